import fc from 'fast-check';
import { type Command, histories } from './commands.ts';
import { createHistory } from './history.ts';
import { createImage } from './world.ts';

/** Any number will do. */
const USUAL_SEED = 20261123;

let imagePath: string | undefined;

/** Plays a history to its end. @throws what the model finds wrong first */
export async function play(commands: readonly Command[], counts: Record<string, number> = {}): Promise<void> {
  imagePath ??= createImage();
  const history = createHistory(imagePath, counts);
  try {
    for (const command of commands) await history.do(command);
    await history.heal();
  } finally {
    history.close();
  }
}

/**
 * Plays so many random histories, the same ones each time: a change is judged by what it changes. `WIKISEED_MODEL_SEED` names
 * another seed, or is `random` to look for what nobody has seen; `WIKISEED_MODEL_RUNS` changes their number.
 * @returns how often what happened
 */
export async function playMany(
  name: string,
  weights: Parameters<typeof histories>[0],
  runs: number,
): Promise<Record<string, number>> {
  const { WIKISEED_MODEL_SEED, WIKISEED_MODEL_RUNS } = process.env;
  const seed =
    WIKISEED_MODEL_SEED === 'random'
      ? Math.floor(Math.random() * 2 ** 31)
      : Number(WIKISEED_MODEL_SEED ?? USUAL_SEED);
  const numRuns = WIKISEED_MODEL_RUNS === undefined ? runs : Number(WIKISEED_MODEL_RUNS);
  const counts: Record<string, number> = {};
  const startedMs = performance.now();
  console.info(`model of the queue, ${name}: ${numRuns} histories, WIKISEED_MODEL_SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(histories(weights), (commands) => play(commands, counts)),
    {
      seed,
      numRuns,
      endOnFailure: false,
      interruptAfterTimeLimit: 10 * 60_000,
      markInterruptAsFailure: true,
    },
  );
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  console.info(
    `model of the queue, ${name}: ${numRuns} histories in ${seconds} s, ${JSON.stringify(counts)}`,
  );
  return counts;
}
