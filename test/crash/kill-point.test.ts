import { expect, test } from 'vitest';
import { expectNoProblems, parseKillPoints, runTrial, runUndisturbed } from '../helpers/kill-trial.ts';

/**
 * Repeats single points: `WIKISEED_CRASH_POINT='write:120'`, or `'step:download:renamed#2,write:40'` for one kill in each
 * of two lives. Without the variable, the points that were once found broken.
 */
const named = process.env.WIKISEED_CRASH_POINT;

interface Point {
  what: string;
  points: string;
  /** How long the archive keeps what it took before it lists it. */
  taskDelayMs: number;
}

const FOUND: Point[] = [
  {
    what: 'the archive had taken a file and listed it only later, so it was sent twice',
    points: 'step:upload:body_sent#1,step:upload:answered#2',
    taskDelayMs: 3000,
  },
];

test.each(
  named === undefined ? FOUND : [{ what: 'by hand', points: named, taskDelayMs: 0 }],
)('killed at $points ($what)', async ({ points, taskDelayMs }) => {
  const reference = await runUndisturbed();
  const orders = parseKillPoints(points);
  const result = await runTrial(reference, { next: (index) => orders[index] ?? null, taskDelayMs });
  expectNoProblems([result]);
  expect(result.kills).toEqual(points.split(','));
}, 600_000);
