import { expect, test } from 'vitest';
import {
  expectNoProblems,
  isExhaustive,
  killOnce,
  type Reference,
  runAll,
  runTrial,
  runUndisturbed,
  type TrialResult,
} from '../helpers/kill-trial.ts';

/**
 * Goal: a process that dies at any named step loses nothing and does nothing twice.
 * Method: the undisturbed run names the steps (`src/lib/steps.ts`), so a new one is covered without a change here. Short
 * form: one data directory, and each life dies at the first step that none has died at before. Exhaustive form
 * (WIKISEED_CRASH=exhaustive): each step's first, second, middle and last occurrence in a world of its own.
 * Fault budget: SIGKILL at any instruction between two steps looks to the disk like SIGKILL at the later one.
 */

/** Steps that only trouble brings about, which an undisturbed run does not name. */
const AFTER_TROUBLE = ['download:recognised'];

test('names steps in every room that acts on the outside', async () => {
  const reference = await runUndisturbed();
  const rooms = new Set([...reference.points.steps.keys()].map((name) => name.split(':')[0]));
  for (const room of ['discovery', 'download', 'upload', 'torrenting', 'seeding', 'publishing', 'scheduling'])
    expect([...rooms]).toContain(room);
});

async function onTheWayThroughOneCycle(): Promise<void> {
  const reference = await runUndisturbed();
  const steps = [...reference.points.steps.keys(), ...AFTER_TROUBLE];
  const remaining = new Set(steps);
  const results: TrialResult[] = [];
  // A step that lies behind us in one world is met in a later one. Every other step each time: a job that was at work at ten ends
  // of the process is put aside, and it should be.
  for (let round = 1; remaining.size > 0 && round <= 6; round += 1) {
    const left = (): string[] =>
      steps.filter((name, index) => remaining.has(name) && index % 2 === round % 2);
    if (left().length === 0) continue;
    results.push(
      await runTrial(reference, {
        next: (_index, lives) => {
          const last = lives.at(-1)?.killed;
          if (last?.at === 'step') remaining.delete(last.name);
          return left().length === 0 ? null : { firstOf: left() };
        },
      }),
    );
  }
  expectNoProblems(results);
  expect([...remaining], 'steps at which no life could be killed').toEqual([]);
}

async function eachInAWorldOfItsOwn(): Promise<void> {
  const reference = await runUndisturbed();
  const points = occurrencesOf(reference);
  const results = await runAll(
    reference,
    points.map((step) => killOnce({ step })),
  );
  expectNoProblems(results);
  const fired = results.filter((result) => result.kills.length === 1).length;
  console.log(`killed at ${fired} of ${points.length} occurrences of named steps`);
  // Which job comes last differs from run to run, so an occurrence may be missing now and then.
  expect(fired).toBeGreaterThanOrEqual(points.length * 0.95);
}

if (isExhaustive)
  test(
    'killed at the first, second, middle and last occurrence of every named step',
    eachInAWorldOfItsOwn,
    3_600_000,
  );
else test('killed once at every named step on the way through one cycle', onTheWayThroughOneCycle, 600_000);

function occurrencesOf({ points }: Reference): { name: string; count: number }[] {
  return [...points.steps].flatMap(([name, last]) =>
    [...new Set([1, 2, Math.ceil(last / 2), last])]
      .filter((count) => count <= last)
      .map((count) => ({ name, count })),
  );
}
