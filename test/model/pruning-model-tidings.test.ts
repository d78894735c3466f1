import { test } from 'vitest';
import { playManyPrunings } from './pruning-property.ts';

/**
 * As pruning-model-deaths.test.ts, with the weight on what is heard and done around the room: wikis that close and vanish, files published
 * anew, found damaged, gone from the archive, proofs that grow old, clocks that are set.
 */
test('5,000 random histories never break the golden rule: tidings', { timeout: 600_000 }, async () => {
  await playManyPrunings(
    'tidings',
    { restart: 1, telling: 7, befalling: 5, work: 5 },
    { runs: 5000, seed: 20261124 },
  );
});
