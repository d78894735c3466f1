import fc from 'fast-check';
import { expect } from 'vitest';
import { type PruningCommand, type PruningWeights, pruningHistories } from './pruning-commands.ts';
import { playPruning } from './pruning-history.ts';

/**
 * Plays so many random histories, the same ones each time. `WIKISEED_MODEL_SEED` names another seed, or is `random` to look for
 * what nobody has seen; `WIKISEED_MODEL_RUNS` changes their number.
 * @param seed any number will do
 * @throws what the judge finds wrong first, made as small as it can be; and when something never happened
 */
export async function playManyPrunings(
  name: string,
  weights: PruningWeights,
  { runs, seed: usualSeed }: { runs: number; seed: number },
): Promise<void> {
  const { WIKISEED_MODEL_SEED, WIKISEED_MODEL_RUNS } = process.env;
  const seed =
    WIKISEED_MODEL_SEED === 'random'
      ? Math.floor(Math.random() * 2 ** 31)
      : Number(WIKISEED_MODEL_SEED ?? usualSeed);
  const numRuns = Number(WIKISEED_MODEL_RUNS ?? runs);
  const counts: Record<string, number> = {};
  const startedMs = performance.now();
  console.info(`model of pruning, ${name}: ${numRuns} histories, WIKISEED_MODEL_SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(pruningHistories(weights), (commands: PruningCommand[]) =>
      playPruning(commands, counts),
    ),
    { seed, numRuns, endOnFailure: false, interruptAfterTimeLimit: 9 * 60_000, markInterruptAsFailure: true },
  );
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  console.info(`model of pruning, ${name}: ${numRuns} histories in ${seconds} s, ${JSON.stringify(counts)}`);
  for (const what of [
    'removed',
    'removed, with a copy at the archive alone',
    'deaths',
    'changes lost with the power',
    'taken back',
    'told meanwhile',
    'sets kept after a second look',
    'input/output errors',
    'torrents of a run',
    'unpacked removed',
    'prunes that wait for who seeds',
    'enough waits',
    'still seeded, perhaps',
  ])
    expect(counts[what] ?? 0, `no history had: ${what}`).toBeGreaterThan(0);
}
