import { expect, test } from 'vitest';
import { playMany } from './property.ts';

/**
 * Goal: no job is lost or done under two live leases, no step is skipped, whatever happens whenever.
 * Method: random histories against the real queue on a real database, with the weight on operators: pauses, limits, changes of single jobs, types that are switched off.
 * A model that shares no code with the queue judges every committed change of a row, and the whole table at rest.
 */
test('random histories go as the model says: operators', { timeout: 600_000 }, async () => {
  const counts = await playMany('operators', { leases: 1, operators: 5, trouble: 0 }, 3400);
  for (const what of [
    'cancelled',
    'revived',
    'barriers',
    'probes',
    'halts',
    'halts met',
    'told to stop: cancelled',
    'told to stop: timeout',
  ])
    expect(counts[what] ?? 0, `no history had: ${what}`).toBeGreaterThan(0);
});
