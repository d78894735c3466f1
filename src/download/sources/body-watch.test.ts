import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/helpers/fake-clock.ts';
import { FLOOR_BYTES_PER_SECOND, watchBody } from './body-watch.ts';

function watched() {
  const clock = new FakeClock();
  let ends = 0;
  const watch = watchBody(clock, { silenceMs: 60_000, onEnd: () => (ends += 1) });
  /** Waits so long for so many bytes, then reads nothing for a while. */
  const round = async (waitMs: number, bytes: number, pauseMs = 0): Promise<void> => {
    watch.begin();
    await clock.advance(waitMs);
    watch.end(bytes);
    await clock.advance(pauseMs);
  };
  return { clock, watch, round, ends: () => ends };
}

test.each([
  [FLOOR_BYTES_PER_SECOND, null],
  [FLOOR_BYTES_PER_SECOND - 1, 'slow'],
])('%i bytes in every second for three minutes: %s', async (bytes, verdict) => {
  const { watch, round, ends } = watched();
  for (let second = 0; second < 180 && watch.verdict() === null; second += 1) await round(1000, bytes);
  expect(watch.verdict()).toBe(verdict);
  expect(ends()).toBe(verdict === null ? 0 : 1);
});

test('a good minute does not make up for a bad one', async () => {
  const { watch, round } = watched();
  await round(1000, 1e9);
  for (let second = 0; second < 59; second += 1) await round(1000, 0);
  expect(watch.verdict()).toBeNull();
  for (let second = 0; second < 60; second += 1) await round(1000, 100);
  expect(watch.verdict()).toBe('slow');
});

test('silence ends it while nothing comes', async () => {
  const { clock, watch, round, ends } = watched();
  await round(1000, 1e6, 600_000);
  watch.begin();
  await clock.advance(59_999);
  expect(watch.verdict()).toBeNull();
  await clock.advance(1);
  expect([watch.verdict(), ends(), clock.waiting]).toEqual(['silent', 1, 0]);
});

test('our own pauses are not their time, and a break soon after a long one may be ours', async () => {
  const { watch, round } = watched();
  for (let count = 0; count < 100; count += 1) await round(10, 1000, 29_999);
  expect([watch.verdict(), watch.mayBeOurs()]).toEqual([null, false]);
  await round(10, 1000, 30_000);
  watch.begin();
  expect(watch.mayBeOurs()).toBe(true);
  watch.end(8 * 1024 * 1024);
  watch.begin();
  expect(watch.mayBeOurs()).toBe(false);
});
