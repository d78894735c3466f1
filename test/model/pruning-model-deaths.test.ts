import { test } from 'vitest';
import { playManyPrunings } from './pruning-property.ts';

/**
 * Goal: the last whole verified copy of a wiki, and of a project in one language, is never deleted by us, whatever happens whenever;
 * and what a dead process began is ended or taken back, with tombstones, names and torrents that agree.
 * Method: random histories against the real room and catalog on a real database, over a small disk with hard links that loses what was
 * not made durable. A judge that shares no code with the product looks at each name as it goes. Here with the weight on processes
 * that die and are started again, in a world that has changed meanwhile.
 */
test('5,000 random histories never break the golden rule: deaths', { timeout: 600_000 }, async () => {
  await playManyPrunings(
    'deaths',
    { restart: 4, telling: 3, befalling: 6, work: 3 },
    { runs: 5000, seed: 20261123 },
  );
});
