import { expect, test } from 'vitest';
import { playMany } from './property.ts';

/**
 * Goal: no job is lost or done under two live leases, no step is skipped, whatever happens whenever.
 * Method: random histories against the real queue on a real database, with the weight on leases: crashes, the dead that come back, clocks that jump, loops that stand still.
 * A model that shares no code with the queue judges every committed change of a row, and the whole table at rest.
 */
test('random histories go as the model says: leases', { timeout: 600_000 }, async () => {
  const counts = await playMany('leases', { leases: 5, operators: 1, trouble: 0 }, 3400);
  for (const what of [
    'crashes',
    'stops',
    'rescued',
    'stolen',
    'late results of the dead',
    'expired',
    'shifted',
    'stuck',
    'renewals',
  ])
    expect(counts[what] ?? 0, `no history had: ${what}`).toBeGreaterThan(0);
});
