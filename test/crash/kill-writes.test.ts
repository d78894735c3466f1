import { expect, test } from 'vitest';
import {
  crashSeed,
  everyNthWrite,
  expectNoProblems,
  isExhaustive,
  killOnce,
  runAll,
  runTrial,
  runUndisturbed,
} from '../helpers/kill-trial.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/** Of about 600. A start and its look take some 100 of them (the first one, with its migrations, 50 more); the rest is progress. */
const WRITES_OF_A_SHORT_LIFE = 170;

/**
 * Goal: a process that dies after any database write loses nothing and does nothing twice; one that dies again and again
 * still arrives.
 * Method: the process counts its own writes (everything that is not read-only, and every BEGIN and COMMIT) and kills itself when
 * the n-th has run, so that it dies inside transactions as well as between them. Exhaustive form
 * (WIKISEED_CRASH=exhaustive): every n, or every k-th with WIKISEED_CRASH_EVERY=k. Short form: a spread and some at random, the seed is printed.
 */

test(
  'killed at the n-th database write, then run to the end',
  async () => {
    const reference = await runUndisturbed();
    const { writes } = reference.points;
    const chosen = isExhaustive
      ? range(1, writes).filter((write) => write % everyNthWrite === 0)
      : someOf(writes);
    const results = await runAll(
      reference,
      chosen.map((write) => killOnce({ write })),
    );
    expectNoProblems(results);
    const fired = results.filter((result) => result.kills.length === 1).length;
    console.log(`seed ${crashSeed}: killed at ${fired} of ${chosen.length} points in ${writes} writes`);
    // Two runs differ by some writes, which is how often a pool looks for work: points near the end may not be reached.
    expect(fired).toBeGreaterThanOrEqual(Math.floor(chosen.length * 0.8));
  },
  isExhaustive ? 7_200_000 : 600_000,
);

test('killed in every life, later each time, until one ends untouched', async () => {
  const reference = await runUndisturbed();
  const random = seededRandom(crashSeed);
  let write = 1 + Math.floor(random.next() * 10);
  const result = await runTrial(reference, {
    next: () => {
      write += 40 + Math.floor(random.next() * 50);
      return { write };
    },
  });
  expectNoProblems([result]);
  expect(result.kills.length, 'a trial without several kills proves nothing').toBeGreaterThan(2);
}, 600_000);

test('killed in every life after the same few writes still arrives', async () => {
  const reference = await runUndisturbed();
  const result = await runTrial(reference, {
    next: (index) => ({ write: index === 0 ? WRITES_OF_A_SHORT_LIFE + 50 : WRITES_OF_A_SHORT_LIFE }),
  });
  expectNoProblems([result]);
  expect(result.kills.length).toBeGreaterThan(2);
}, 600_000);

function range(from: number, toInclusive: number): number[] {
  return Array.from({ length: toInclusive - from + 1 }, (_, index) => from + index);
}

/** Four spread over the run, three at random, all before its last fifth. */
function someOf(writes: number): number[] {
  const random = seededRandom(crashSeed);
  const last = Math.floor(writes * 0.8);
  const spread = [0.03, 0.35, 0.65, 1].map((share) => Math.max(1, Math.round(last * share)));
  const chance = range(1, 3).map(() => 1 + Math.floor(random.next() * last));
  return [...new Set([...spread, ...chance])];
}
