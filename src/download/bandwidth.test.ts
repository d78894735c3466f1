import { expect, test } from 'vitest';
import { FakeClock } from '../../test/helpers/fake-clock.ts';
import type { BandwidthLimit } from '../config/index.ts';
import { createBandwidth } from './bandwidth.ts';

/** Goal: bytes pass at the rate of the moment, shared fairly. Method: a clock turned by hand, readers that ask chunk by chunk. */

const CHUNK = 16_384;
const always = (bytesPerSecond: number | null): BandwidthLimit => ({
  defaultBytesPerSecond: bytesPerSecond,
  windows: [],
});

function setup(limits: { total?: BandwidthLimit; perHost?: BandwidthLimit }) {
  const clock = new FakeClock('2026-11-23T11:59:50Z');
  const hand: { total?: number | null; perHost?: number | null } = {};
  const bandwidth = createBandwidth({
    clock,
    config: { total: limits.total ?? always(null), perHost: limits.perHost ?? always(null) },
    byHand: { total: () => hand.total, perHost: () => hand.perHost },
  });
  const stop = new AbortController();
  /** Reads for ever, one chunk after the other; what passed so far is counted. */
  function reader(host: string, chunk = CHUNK) {
    const state = { bytes: 0, error: null as unknown };
    void (async () => {
      for (let count = 1; ; count += 1) {
        await bandwidth.take(host, chunk, stop.signal);
        state.bytes += chunk;
        // Without a turn now and then an unlimited one would never end.
        if (count % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (stop.signal.aborted) return;
      }
    })().catch((error: unknown) => {
      state.error = error;
    });
    return state;
  }
  return { clock, hand, bandwidth, stop, reader };
}

test('one reader gets the rate, whatever the size of its chunks', async () => {
  for (const chunk of [1_000, CHUNK, 3_000_000]) {
    const { clock, reader, stop } = setup({ total: always(1_000_000) });
    const read = reader('a', chunk);
    for (let second = 0; second < 60; second += 1) await clock.advance(1_000);
    expect(read.bytes).toBeGreaterThan(60e6 - 1e6);
    expect(read.bytes).toBeLessThanOrEqual(60e6 + 0.25e6 + 2 * chunk);
    stop.abort();
  }
});

test('readers share it equally, and what one host may not use goes to the others', async () => {
  const { clock, reader, stop } = setup({ total: always(1_000_000) });
  const readers = ['a', 'a', 'b'].map((host) => reader(host));
  await clock.advance(30_000);
  for (const { bytes } of readers) expect(Math.abs(bytes - 10e6)).toBeLessThan(0.3e6);
  stop.abort();

  const limited = setup({ total: always(1_000_000), perHost: always(200_000) });
  const [slow, alsoSlow] = [limited.reader('a'), limited.reader('a')];
  const other = limited.reader('b');
  await limited.clock.advance(30_000);
  expect(Math.abs(slow.bytes + alsoSlow.bytes - 6e6)).toBeLessThan(0.2e6);
  expect(Math.abs(other.bytes - 6e6)).toBeLessThan(0.2e6);
  limited.stop.abort();
});

test('the schedule changes at its minute, also for those who wait', async () => {
  const total: BandwidthLimit = {
    defaultBytesPerSecond: 1_000,
    windows: [{ days: [1], fromMinute: 720, toMinuteExclusive: 721, bytesPerSecond: 1_000_000 }],
  };
  const { clock, reader, stop } = setup({ total });
  const read = reader('a', 100_000);
  // The second chunk would have to wait for 100 s; noon is in ten.
  await clock.advance(9_999);
  expect(read.bytes).toBe(100_000);
  await clock.advance(61_000);
  expect(read.bytes).toBeGreaterThan(59e6);
  expect(read.bytes).toBeLessThan(62e6);
  const atEnd = read.bytes;
  await clock.advance(60_000);
  expect(read.bytes - atEnd).toBeLessThanOrEqual(100_000);
  stop.abort();
});

test('a rate set by hand goes before the schedule at once, and unlimited lets everybody go', async () => {
  const { clock, reader, hand, bandwidth, stop } = setup({ total: always(1_000) });
  const read = reader('a', 100_000);
  await clock.advance(1_000);
  expect(read.bytes).toBe(100_000);
  hand.total = 1_000_000;
  bandwidth.changed();
  await clock.advance(10_000);
  expect(read.bytes).toBeGreaterThan(8e6);
  hand.total = null;
  bandwidth.changed();
  const before = read.bytes;
  await clock.advance(0);
  expect(read.bytes).toBeGreaterThan(before);
  // Nobody waits for a clock any more.
  expect(clock.waiting).toBe(0);
  delete hand.total;
  bandwidth.changed();
  await clock.advance(10_000);
  const slow = read.bytes;
  await clock.advance(10_000);
  expect(read.bytes - slow).toBeLessThanOrEqual(100_000);
  stop.abort();
});

test('who is stopped leaves the queue, the others move up, and there is one timer however many wait', async () => {
  const { clock, bandwidth } = setup({ total: always(1_000) });
  await bandwidth.take('a', 10_000, new AbortController().signal);
  const stop = new AbortController();
  const first = bandwidth.take('a', 10_000, stop.signal);
  let passed = 0;
  for (let n = 0; n < 50; n += 1)
    void bandwidth.take('a', 1, new AbortController().signal).then(() => {
      passed += 1;
    });
  await clock.advance(0);
  expect(clock.waiting).toBe(1);
  stop.abort();
  await expect(first).rejects.toMatchObject({ name: 'Interrupted' });
  await clock.advance(10_200);
  expect(passed).toBe(50);
  expect(clock.waiting).toBe(0);
  await expect(bandwidth.take('a', 1e9, stop.signal)).resolves.toBeUndefined();
  await expect(bandwidth.take('a', 1, stop.signal)).rejects.toMatchObject({ name: 'Interrupted' });
});

test('idle time is not saved up', async () => {
  const { clock, reader, stop } = setup({ total: always(1_000_000) });
  await clock.advance(3_600_000);
  const read = reader('a');
  await clock.advance(1_000);
  expect(read.bytes).toBeLessThan(1.3e6);
  stop.abort();
});
