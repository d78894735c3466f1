import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { endStateOf } from './kill-end-state.ts';
import { type KillOrder, type KillPoints, pointsOf } from './kill-points.ts';
import { untruthsOf } from './kill-truth.ts';
import { type KillWorld, type Life, lastWords, openKillWorld } from './kill-world.ts';

/** `npm run test:crash`; without it every test takes its short form. */
export const isExhaustive = process.env.WIKISEED_CRASH === 'exhaustive';

/** The exhaustive form takes every n-th write; default 1. */
export const everyNthWrite = Number(process.env.WIKISEED_CRASH_EVERY ?? 1);

/** Printed with every failure; set it to repeat the same random points. */
export const crashSeed = Number(process.env.WIKISEED_CRASH_SEED ?? Math.floor(Math.random() * 1e6));

/** What the undisturbed run did and left. */
export interface Reference {
  points: KillPoints;
  state: unknown;
}

/** How a trial went. */
export interface TrialResult {
  /** Where each life was killed, in words that `WIKISEED_CRASH_POINT` takes. */
  kills: string[];
  /** Every life, the last one untouched. */
  lives: readonly Life[];
  /** Sentences; empty when the end was that of the undisturbed run. */
  problems: string[];
}

/** How one trial goes on. */
export interface TrialOptions {
  /** What the next life is told; null: to run to its end. `index` counts lives from 0. */
  next(index: number, lives: readonly Life[]): KillOrder | null;
  /** After each death, before anything is looked at: with the process gone and the next one not started. */
  onDeath?(world: KillWorld, life: Life): void;
  /** A trial that is not over by then makes no progress; default 120. */
  livesMax?: number;
  taskDelayMs?: number;
}

let undisturbed: Promise<Reference> | undefined;

/** The cycle run without any kill, its points counted; once for each test file. @throws Error when even that fails */
export function runUndisturbed(): Promise<Reference> {
  undisturbed ??= recordUndisturbed();
  return undisturbed;
}

async function recordUndisturbed(): Promise<Reference> {
  const world = await openKillWorld();
  try {
    const life = await world.live({ record: true });
    if (life.code !== 0) throw new Error(`the undisturbed run failed: ${lastWords(life)}`);
    return { points: pointsOf(life.records), state: endStateOf(world) };
  } finally {
    await world.close();
  }
}

/**
 * Lives in a fresh world until one life ends untouched. After each death no claim of the database may be false, and the
 * end must equal the reference.
 */
export async function runTrial(reference: Reference, options: TrialOptions): Promise<TrialResult> {
  const world = await openKillWorld({ taskDelayMs: options.taskDelayMs ?? 0 });
  const lives: Life[] = [];
  const kills: string[] = [];
  const problems: string[] = [];
  const livesMax = options.livesMax ?? 120;
  try {
    for (;;) {
      const life = await world.live(options.next(lives.length, lives) ?? {});
      lives.push(life);
      if (life.killed === null) {
        if (life.code !== 0) problems.push(`the last life failed: ${lastWords(life)}`);
        break;
      }
      const { at, name, count } = life.killed;
      kills.push(at === 'write' ? `write:${count}` : `step:${name}#${count}`);
      options.onDeath?.(world, life);
      problems.push(...(await untruthsOf(world)).map((text) => `after death ${kills.length}: ${text}`));
      if (lives.length >= livesMax) {
        problems.push(`no life ended untouched within ${livesMax}`);
        break;
      }
    }
    problems.push(...differencesOf(endStateOf(world), reference.state));
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await world.close();
  }
  return { kills, lives, problems };
}

/** More lines than this only repeat one another. */
const DIFFERENCES_MAX = 30;

/** One line for each place at which two states differ. */
export function differencesOf(got: unknown, expected: unknown, path = 'state'): string[] {
  if (isDeepStrictEqual(got, expected)) return [];
  const isTree = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null;
  if (!isTree(got) || !isTree(expected))
    return [`${path} is ${JSON.stringify(got)}, in the undisturbed run ${JSON.stringify(expected)}`];
  const keys = [...new Set([...Object.keys(expected), ...Object.keys(got)])];
  return keys
    .flatMap((key) => differencesOf(got[key], expected[key], `${path}.${key}`))
    .slice(0, DIFFERENCES_MAX);
}

/** Fails with everything that is needed to repeat each failed trial. */
export function expectNoProblems(results: readonly TrialResult[]): void {
  const failed = results.filter((result) => result.problems.length > 0);
  const report = failed.map(
    ({ kills, problems }) =>
      `repeat with: WIKISEED_CRASH_POINT='${kills.join(',')}' WIKISEED_CRASH_SEED=${crashSeed} npx vitest run test/crash/kill-point.test.ts\n${problems.join('\n')}`,
  );
  expect(report.join('\n\n'), `${failed.length} of ${results.length} trials failed`).toBe('');
}

/** Runs trials, two at a time when the machine is ours alone. */
export async function runAll(
  reference: Reference,
  trials: readonly Omit<TrialOptions, 'livesMax'>[],
): Promise<TrialResult[]> {
  const waiting = [...trials];
  const results: TrialResult[] = [];
  const lane = async (): Promise<void> => {
    for (let trial = waiting.shift(); trial !== undefined; trial = waiting.shift()) {
      const result = await runTrial(reference, trial);
      results.push(result);
      // An hour is long: whoever watches sees at once what failed, and how far it is.
      if (isExhaustive && (result.problems.length > 0 || results.length % 20 === 0))
        console.log(
          `${results.length} of ${trials.length}: ${result.kills.join(',')} ${result.problems.join('\n')}`,
        );
    }
  };
  await Promise.all(isExhaustive ? [lane(), lane()] : [lane()]);
  return results;
}

/** One kill, then a life to the end. */
export function killOnce(order: KillOrder): TrialOptions {
  return { next: (index) => (index === 0 ? order : null) };
}

/** Reads `write:12,step:download:renamed#2`. @throws Error for anything else */
export function parseKillPoints(text: string): KillOrder[] {
  return text.split(',').map((point) => {
    const write = /^write:(\d+)$/.exec(point);
    if (write !== null) return { write: Number(write[1]) };
    const step = /^step:(.+)#(\d+)$/.exec(point);
    if (step === null) throw new Error(`not a point: ${point}`);
    return { step: { name: String(step[1]), count: Number(step[2]) } };
  });
}
