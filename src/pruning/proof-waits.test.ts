import { expect, test } from 'vitest';
import { FakeClock } from '../../test/helpers/fake-clock.ts';
import type { SystemState } from '../db/index.ts';
import { hours } from '../lib/index.ts';
import { createProofWaits, type ProofWaits } from './proof-waits.ts';

/**
 * Goal: an answer of the archive is waited for once and for less than a day, an archive that is silent not at all; over restarts, too.
 * Method: a clock that goes over days, one look and one note for each prune.
 */

const DAY = hours(24);

function setup() {
  const stored = new Map<string, string>();
  const state: SystemState = {
    get: (key) => stored.get(key) ?? null,
    set: (key, value) => void stored.set(key, value),
    delete: (key) => void stored.delete(key),
    list: () => [],
  };
  const clock = new FakeClock('2026-11-21T00:00:00Z');
  const start = (): ProofWaits => createProofWaits({ state, clock, remoteProofMaxAgeMs: 7 * DAY });
  return { stored, clock, start };
}

const items = (...names: string[]) =>
  names.map((identifier) => ({ identifier, wikiDbName: 'aawiki', runDate: '20260901' }));

/** What a prune does: names that it asks, and whether it waits. */
function prune(waits: ProofWaits, ...names: string[]): [asked: string, isWaiting: boolean] {
  const { toAsk, isWaiting } = waits.look(items(...names));
  waits.noteAsked(toAsk);
  return [toAsk.map(({ identifier }) => identifier).join(' '), isWaiting];
}

test('an archive out of reach is waited for on one day of many', async () => {
  const { clock, start } = setup();
  const days: [string, boolean][] = [];
  for (let day = 0; day < 20; day += 1) {
    // Each day is another process, and each second day brings an item that was never asked about.
    days.push(prune(start(), 'a', ...(day > 0 && day % 2 === 0 ? [`b${day}`] : [])));
    await clock.advance(DAY);
  }
  expect(days.map(([, isWaiting]) => isWaiting)).toEqual([true, ...Array(19).fill(false)]);
  // It is asked again daily all the same.
  for (const [asked] of days) expect(asked).toContain('a');
  // It answers at last: the next one that was never asked about is worth waiting for again.
  start().noteEnd('a', { isAnswered: true });
  expect(prune(start(), 'c')).toEqual(['c', true]);
});

test('the wait ends with the last answer, whatever it says, and does not begin again', async () => {
  const { clock, start } = setup();
  expect(prune(start(), 'a', 'b')).toEqual(['a b', true]);
  await clock.advance(hours(1));
  expect(start().noteEnd('a', { isAnswered: true })).toBe(false);
  // Somebody prunes meanwhile: it neither asks twice nor stops waiting.
  expect(prune(start(), 'a', 'b')).toEqual(['', true]);
  expect(start().noteEnd('b', { isAnswered: false })).toBe(true);
  expect(start().isWaiting()).toBe(false);
  expect(start().noteEnd('b', { isAnswered: false })).toBe(false);
  expect(start().noteEnd('never asked', { isAnswered: true })).toBe(false);
  expect(prune(start(), 'a', 'b')).toEqual(['', false]);
  await clock.advance(DAY);
  expect(prune(start(), 'a', 'b')).toEqual(['a b', false]);
  // A proof that was found is too old again a week later.
  start().noteEnd('a', { isAnswered: true });
  await clock.advance(6 * DAY);
  expect(prune(start(), 'a')).toEqual(['a', true]);
});

test('only what is asked about now is waited for', async () => {
  const { start } = setup();
  prune(start(), 'a');
  expect(start().look(items('a')).isWaiting).toBe(true);
  expect(start().look([]).isWaiting).toBe(false);
});

test('a wall clock that was set back, or a value that cannot be read, asks again', async () => {
  const { clock, stored, start } = setup();
  prune(start(), 'a');
  clock.setWall(clock.now() - 30 * DAY);
  expect(prune(start(), 'a')).toEqual(['a', true]);
  for (const key of stored.keys()) stored.set(key, '{');
  expect(prune(start(), 'a')).toEqual(['a', true]);
});
