import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PruningCommand, pruningHistories } from './pruning-commands.ts';
import { playPruning } from './pruning-history.ts';

/** Any number will do. */
const USUAL_SEED = 20261123;

test('10,000 random histories never break the golden rule', { timeout: 600_000 }, async () => {
  const { WIKISEED_MODEL_SEED, WIKISEED_MODEL_RUNS } = process.env;
  const seed =
    WIKISEED_MODEL_SEED === 'random'
      ? Math.floor(Math.random() * 2 ** 31)
      : Number(WIKISEED_MODEL_SEED ?? USUAL_SEED);
  const numRuns = Number(WIKISEED_MODEL_RUNS ?? 10_000);
  const counts: Record<string, number> = {};
  const startedMs = performance.now();
  await fc.assert(
    fc.asyncProperty(pruningHistories, (commands: PruningCommand[]) => playPruning(commands, counts)),
    { seed, numRuns, endOnFailure: false, interruptAfterTimeLimit: 9 * 60_000, markInterruptAsFailure: true },
  );
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  console.info(
    `model of pruning: ${numRuns} histories in ${seconds} s, seed ${seed}, ${JSON.stringify(counts)}`,
  );
  for (const what of ['removed', 'deaths', 'taken back', 'told meanwhile', 'input/output errors'])
    expect(counts[what] ?? 0, `no history had: ${what}`).toBeGreaterThan(0);
});
