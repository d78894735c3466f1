import { expect, test } from 'vitest';
import { playMany } from './property.ts';

/**
 * Goal: no job is lost or done under two live leases, no step is skipped, whatever happens whenever.
 * Method: random histories against the real queue on a real database, with the weight on trouble: a database that cannot be written, at once or in the middle of a transaction.
 * A model that shares no code with the queue judges every committed change of a row, and the whole table at rest.
 */
test('random histories go as the model says: trouble', { timeout: 600_000 }, async () => {
  const counts = await playMany('trouble', { leases: 2, operators: 1, trouble: 5 }, 3400);
  for (const what of ['refused', 'crashes', 'rescued', 'late results of the dead', 'barriers', 'halts'])
    expect(counts[what] ?? 0, `no history had: ${what}`).toBeGreaterThan(0);
});
