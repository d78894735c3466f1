import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { downloadDump } from '../../src/download/index.ts';
import { readPartState } from '../../src/download/transfer/part-state.ts';
import { STEPS_CHANNEL } from '../../src/lib/steps.ts';
import { bzip2Stream, loadBzip2 } from '../../src/sandbox/bzip2.ts';
import type { LoggedRequest } from '../../src/sandbox/index.ts';
import { attended, drive, expectStored, turnClock } from '../helpers/download-drive.ts';
import { type DownloadWorld, hash, openDownloadWorld, PIECE_BYTES } from '../helpers/download-world.ts';
import { createMachine, createMortalDisk } from '../helpers/mortal-disk.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { storedGzip } from '../helpers/stored-gzip.ts';

/**
 * Goal: what a crash costs, what a failure of one source costs, and what a wrong byte costs, counted in bytes that travel again.
 * Method: a dump site and mirrors on loopback that count what they send; disks that die; real threads.
 */

const SIZE = 3_000_000;
const SEGMENT = 512 * 1024;
const GZIP_NAME = 'aawiki-20261120-stub-articles.xml.gz';
const random = seededRandom(7);
const CONTENT = Buffer.from(Uint8Array.from({ length: SIZE }, () => Math.floor(random.next() * 256)));
/** What a header takes, and what the other side sent before it knew that nobody listens: 64 KiB chunks of each connection. */
const EDGE = 4 * 64 * 1024;

async function open(
  options: { mirrors?: number; content?: Buffer; segmentBytes?: number; filename?: string } = {},
) {
  const world = await openDownloadWorld({ content: CONTENT, segmentBytes: SEGMENT, ...options });
  onTestFinished(() => world.close());
  return world;
}

const stateOf = ({ paths }: DownloadWorld) => readPartState(readFileSync(`${paths.part}.state`, 'utf8'));
const keptBytes = (world: DownloadWorld): number =>
  stateOf(world)?.ranges.reduce((sum, { startBytes, endBytes }) => sum + endBytes - startBytes, 0) ?? 0;
const filesOf = (log: readonly LoggedRequest[]) => log.filter(({ kind }) => kind !== 'other');
const rangesOf = (log: readonly LoggedRequest[]) =>
  filesOf(log).map(({ range }) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    return first === undefined
      ? { startBytes: 0, endBytes: SIZE }
      : { startBytes: Number(first), endBytes: Number(last) + 1 };
  });
const sum = (ranges: { startBytes: number; endBytes: number }[]) =>
  ranges.reduce((bytes, { startBytes, endBytes }) => bytes + endBytes - startBytes, 0);

test.each([
  45, 60, 75, 90, 105,
])('a power cut at call %i of the disk costs at most one segment', async (calls) => {
  const world = await open();
  const mortal = createMortalDisk(createMachine(), calls, 0.5);
  const life = world.begin(mortal.disk);
  let written = 0;
  world.onProgress = (doneBytes) => {
    written = doneBytes;
  };
  life.work(new AbortController().signal, 1).catch(() => {});
  await mortal.died;
  await life.end();
  await mortal.bury('power cut');
  expect(written).toBeGreaterThan(0);
  const kept = keptBytes(world);
  expect(written - kept).toBeLessThanOrEqual(SEGMENT);
  world.origin.resetCounters();
  expect((await drive(world, world.begin())).stored).toBe(true);
  expect(rangesOf(world.origin.requestLog())).toEqual(
    kept === SIZE ? [] : [{ startBytes: kept, endBytes: SIZE }],
  );
  expectStored(world);
});

/** How a clock is turned with the bytes that are here, so that hashing is done by what can be saved. */
const SLOW_WAYS: Readonly<Record<string, (world: DownloadWorld) => (doneBytes: number) => void>> = {
  'was slow all along': (world) => () => void world.clock.advance(50),
  'came fast at first and was slow for a minute': (world) => {
    const turns = [0.45, 0.65];
    return (doneBytes) => {
      if (doneBytes < (turns[0] ?? 1) * SIZE) return;
      turns.shift();
      void world.clock.advance(31_000);
    };
  },
};

test.each(
  Object.entries(SLOW_WAYS),
)('a stop of a file that %s keeps every byte, and what was hashed is not read again', async (_how, wayOf) => {
  const world = await open();
  const stop = new AbortController();
  const turn = wayOf(world);
  world.onProgress = (doneBytes) => {
    turn(doneBytes);
    if (doneBytes > 0.8 * SIZE) stop.abort();
  };
  const life = world.begin();
  await expect(attended(world, life.work(stop.signal, 1))).rejects.toMatchObject({ code: 'interrupted' });
  await life.end();
  const { hashing, ranges } = stateOf(world) ?? {};
  expect(ranges?.[0]?.endBytes).toBeGreaterThan(0.8 * SIZE);
  const hashed = Math.min(hashing?.md5?.bytes ?? 0, hashing?.sha?.bytes ?? 0);
  expect(hashed).toBeGreaterThan(PIECE_BYTES);
  // Whoever reads the old part gets other bytes.
  const part = readFileSync(world.paths.part);
  writeFileSync(world.paths.part, part.fill(9, 0, hashed));
  world.onProgress = () => {};
  const output = await attended(world, world.begin().work(new AbortController().signal, 2));
  expect(output).toMatchObject({ md5: hash('md5', CONTENT), sha256: hash('sha256', CONTENT) });
});

test('an attempt that got on and is not through after most of a day steps back, which costs none', async () => {
  const world = await open();
  const life = world.begin();
  let isTurned = false;
  world.onProgress = (doneBytes) => {
    if (isTurned || doneBytes < SIZE / 2) return;
    isTurned = true;
    void world.clock.advance(1);
  };
  const work = life.work(new AbortController().signal, 1);
  work.catch(() => {});
  // Nothing was asked yet, so nobody is taken for silent.
  await world.clock.advance(23 * 3_600_000 - 1);
  await expect(attended(world, work)).rejects.toMatchObject({ name: 'Snooze', delayMs: 1000 });
  const kept = keptBytes(world);
  expect(kept).toBeGreaterThanOrEqual(SIZE / 2);
  world.origin.resetCounters();
  expect(await drive(world, life)).toEqual({ stored: true, errors: [] });
  expect(rangesOf(world.origin.requestLog())).toEqual(
    kept === SIZE ? [] : [{ startBytes: kept, endBytes: SIZE }],
  );
  expectStored(world);
});

test('an attempt that got nowhere in a day is left to the time limit', async () => {
  const world = await open();
  const fault = world.script('dumps', { kind: 'stall', atByte: 0 });
  const stop = new AbortController();
  const work = world.begin().work(stop.signal, 1);
  work.catch(() => {});
  await world.clock.advance(23 * 3_600_000);
  await expect.poll(() => fault.fired).toBe(1);
  stop.abort();
  await expect(work).rejects.toMatchObject({ name: 'Interrupted' });
});

test.each(['torn', 'empty', 'of another file'])('a sidecar that is %s is not believed', async (how) => {
  const world = await open();
  const stop = new AbortController();
  world.onProgress = (doneBytes) => doneBytes > SIZE / 2 && stop.abort();
  const life = world.begin();
  await expect(attended(world, life.work(stop.signal, 1))).rejects.toMatchObject({ code: 'interrupted' });
  await life.end();
  const sidecar = `${world.paths.part}.state`;
  if (how === 'of another file') {
    // As if it were of a longer file: the part would not be its own.
    truncateSync(world.paths.part, SIZE - 1);
  } else truncateSync(sidecar, how === 'empty' ? 0 : statSync(sidecar).size - 3);
  world.origin.resetCounters();
  world.onProgress = () => {};
  expect((await drive(world, world.begin())).stored).toBe(true);
  expect(rangesOf(world.origin.requestLog())).toEqual([{ startBytes: 0, endBytes: SIZE }]);
  expectStored(world);
});

test('mirrors are asked for many ranges at once, which together are the file, and the origin is left alone', async () => {
  const world = await open({ mirrors: 2 });
  expect((await drive(world, world.begin())).stored).toBe(true);
  expectStored(world);
  const logs = world.mirrors.map((mirror) => filesOf(mirror.requestLog()));
  for (const log of logs) expect(log.length).toBeGreaterThan(0);
  expect(filesOf(world.origin.requestLog())).toEqual([]);
  const all = logs.flat().sort((a, b) => a.beganMs - b.beganMs);
  const overlapping = all.filter((one) =>
    all.some((other) => other !== one && other.beganMs <= one.beganMs && (other.endedMs ?? 0) >= one.beganMs),
  );
  expect(overlapping.length).toBeGreaterThan(0);
  // Nothing comes twice but what a connection was told too late.
  expect(sum(rangesOf(all))).toBeLessThan(2 * SIZE);
});

test('when a mirror breaks off in mid-segment the next source goes on at that very byte', async () => {
  const world = await open({ mirrors: 1 });
  const at = Math.floor(2.5 * SEGMENT);
  const fault = world.script('mirror-1', { kind: 'truncate', fileByte: at, times: Number.POSITIVE_INFINITY });
  expect((await drive(world, world.begin())).stored).toBe(true);
  expect(fault.fired).toBeGreaterThan(0);
  expectStored(world);
  const fromOrigin = rangesOf(world.origin.requestLog());
  expect(fromOrigin.length).toBeGreaterThan(0);
  const sent = world.origin.counters().bytes + world.mirrors[0]!.counters().bytes;
  expect(sent).toBeLessThan(SIZE + SEGMENT + EDGE);
});

/** Lies at one byte of what only mirrors give. @returns what travelled after the file was complete */
async function repaired(
  content: Buffer,
): Promise<{ world: DownloadWorld; again: ReturnType<typeof rangesOf> }> {
  const world = await open({ mirrors: 1, content });
  const at = Math.floor(0.6 * content.length);
  const lies = [{ startBytes: at, endBytes: at + 1 }];
  const fault = world.script('mirror-1', { kind: 'lie', lies, mask: 0x10, times: Number.POSITIVE_INFINITY });
  const outcome = await drive(world, world.begin());
  expect(outcome).toEqual({ stored: true, errors: [] });
  expect(fault.fired).toBeGreaterThan(0);
  expectStored(world);
  return { world, again: rangesOf(world.origin.requestLog()) };
}

test('of a bzip2 file with one wrong byte just the segment with it travels again', async () => {
  const bzip2 = await loadBzip2();
  const blocks = Array.from({ length: 40 }, (_, at) =>
    bzip2.block(CONTENT.subarray(at * 75_000, (at + 1) * 75_000)),
  );
  const compressed = Buffer.concat([...bzip2Stream(blocks)]);
  const { again } = await repaired(compressed);
  const at = Math.floor(0.6 * compressed.length);
  expect(again).toEqual([
    { startBytes: Math.floor(at / SEGMENT) * SEGMENT, endBytes: (Math.floor(at / SEGMENT) + 1) * SEGMENT },
  ]);
});

async function repairedGzip(content: Buffer, lieAt: number, segmentBytes: number) {
  const world = await open({ mirrors: 1, content, segmentBytes, filename: GZIP_NAME });
  const lies = [{ startBytes: lieAt, endBytes: lieAt + 1 }];
  const fault = world.script('mirror-1', { kind: 'lie', lies, mask: 0x10, times: Number.POSITIVE_INFINITY });
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expect(fault.fired).toBeGreaterThan(0);
  return rangesOf(world.origin.requestLog()).map(({ startBytes }) => startBytes / segmentBytes);
}

test('of a gzip file in which unpacking fails at once just the segment with that place travels again', async () => {
  const { bytes, lengthsAt } = storedGzip(CONTENT);
  const segmentBytes = 1_400_000;
  expect(await repairedGzip(bytes, lengthsAt.find((at) => at > 2_200_000)!, segmentBytes)).toEqual([1]);
});

test('of one in which the damage shows later what lies before that place travels again, backwards', async () => {
  // The checksum of the first member is read in segment 5, in a megabyte that begins in segment 4.
  const [first, second] = [storedGzip(CONTENT.subarray(0, 5.5 * SEGMENT)), storedGzip(CONTENT)];
  const content = Buffer.concat([first.bytes, second.bytes]);
  const lieAt = first.lengthsAt.find((at) => at > 2 * SEGMENT)! + 1000;
  expect(await repairedGzip(content, lieAt, SEGMENT)).toEqual([3, 4, 5, 2]);
});

test('of another file the segments of the liar travel again up to the wrong one, and it is not believed any more', async () => {
  const { world, again } = await repaired(CONTENT);
  expect(again.length).toBe(Math.floor((0.6 * SIZE) / SEGMENT) + 1);
  expect(sum(again)).toBeLessThanOrEqual(again.length * SEGMENT);
  await turnClock(world, 1000);
});

/** How often the whole file is read again to be hashed. */
function countHashes(): () => number {
  let count = 0;
  const hear = (message: unknown): void => {
    if ((message as { name: string }).name === 'download:hashed_again') count += 1;
  };
  subscribe(STEPS_CHANNEL, hear);
  onTestFinished(() => void unsubscribe(STEPS_CHANNEL, hear));
  return () => count;
}

test('a mirror that lies about all of 64 segments makes the file be read a few times, not 64', async () => {
  const segmentBytes = Math.ceil(SIZE / 64);
  const world = await open({ mirrors: 1, segmentBytes });
  const fault = world.script('mirror-1', { kind: 'lie', times: Number.POSITIVE_INFINITY });
  const hashes = countHashes();
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expect(fault.fired).toBeGreaterThanOrEqual(64);
  expectStored(world);
  expect(rangesOf(world.origin.requestLog())).toHaveLength(64);
  expect(hashes()).toBeGreaterThan(0);
  expect(hashes()).toBeLessThanOrEqual(Math.log2(64) + 3);
});

/** In passing, at the only source that could help, while it is asked for the fourth segment again. */
const HICCUPS = {
  'breaks off': { kind: 'truncate' },
  'resets the connection': { kind: 'reset' },
  'falls silent': { kind: 'stall' },
  'answers 503': { kind: 'status', status: 503 },
  'answers 500': { kind: 'status', status: 500 },
  'answers 403': { kind: 'status', status: 403 },
} as const;

async function lying(times: number, hiccup: (typeof HICCUPS)[keyof typeof HICCUPS], fileByte: number) {
  const world = await open({ mirrors: 1 });
  const at = Math.floor(0.9 * SIZE);
  const lies = [{ startBytes: at, endBytes: at + 1 }];
  const lie = world.script('mirror-1', { kind: 'lie', lies, mask: 0x10, times: Number.POSITIVE_INFINITY });
  const fault = world.script('dumps', { ...hiccup, fileByte, times });
  return { world, lie, fault };
}

test.each(
  Object.keys(HICCUPS) as (keyof typeof HICCUPS)[],
)('when the origin %s while a file is repaired, the next attempt goes on there', async (name) => {
  const fileByte = 3 * SEGMENT + 100;
  const { world, lie, fault } = await lying(3, HICCUPS[name], fileByte);
  const { stored, errors } = await drive(world, world.begin());
  expect(fault.fired).toBe(3);
  expect(lie.fired).toBeGreaterThan(0);
  expect({ stored, codes: new Set(errors.map(({ code }) => code)) }).toEqual({
    stored: true,
    codes: new Set(['repair_waits']),
  });
  expectStored(world);
  // What was compared is not fetched again, neither from the one nor from the other.
  expect(sum(rangesOf(world.mirrors[0]!.requestLog()))).toBeLessThan(SIZE + SEGMENT);
  const firsts = rangesOf(world.origin.requestLog()).map(({ startBytes }) => startBytes);
  expect(firsts.filter((first) => first < 3 * SEGMENT)).toEqual([0, SEGMENT, 2 * SEGMENT]);
  expect(firsts.filter((first) => first === 3 * SEGMENT)).toHaveLength(4);
});

test('a process that is killed while a file is repaired does not ask again for what was compared', async () => {
  const { world, lie, fault } = await lying(1, { kind: 'stall' }, 3 * SEGMENT + 100);
  const life = world.begin();
  const stop = new AbortController();
  const work = life.work(stop.signal, 1);
  work.catch(() => {});
  await expect.poll(() => fault.fired).toBe(1);
  const kept = readFileSync(`${world.paths.part}.state`);
  stop.abort();
  await expect(attended(world, work)).rejects.toMatchObject({ code: 'interrupted' });
  await life.end();
  // As a kill would have left it.
  writeFileSync(`${world.paths.part}.state`, kept);
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expect(lie.fired).toBeGreaterThan(0);
  expectStored(world);
  const firsts = rangesOf(world.origin.requestLog()).map(({ startBytes }) => startBytes / SEGMENT);
  expect(firsts).toEqual([0, 1, 2, 3, 3, 4, 5]);
});

test('a mirror that never gets better is not waited for at the last attempt', async () => {
  const world = await open({ mirrors: 2 });
  const at = Math.floor(0.9 * SIZE);
  const lies = [{ startBytes: at, endBytes: at + 1 }];
  const lie = world.script('mirror-1', { kind: 'lie', lies, mask: 0x10, times: Number.POSITIVE_INFINITY });
  const fault = world.script('mirror-2', { kind: 'reset', atByte: 0, times: Number.POSITIVE_INFINITY });
  // What the origin could still say is waited for.
  world.script('dumps', { kind: 'vanish', times: Number.POSITIVE_INFINITY });
  const life = world.begin();
  for (let attempt = 1; attempt <= downloadDump.maxAttempts; attempt += 1) {
    const isLast = attempt === downloadDump.maxAttempts;
    await expect(attended(world, life.work(new AbortController().signal, attempt))).rejects.toMatchObject({
      code: isLast ? 'checksum_mismatch' : 'repair_waits',
    });
    expect(existsSync(world.paths.part)).toBe(!isLast);
    await turnClock(world, 60_000);
  }
  expect(lie.fired).toBeGreaterThan(0);
  expect(fault.fired).toBeGreaterThan(0);
  expect(sum(rangesOf(world.mirrors[0]!.requestLog()))).toBeLessThan(SIZE + SEGMENT);
  expect(existsSync(world.paths.final)).toBe(false);
});
