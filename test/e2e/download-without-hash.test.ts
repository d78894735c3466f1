import { readFileSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { readPartState, writePartState } from '../../src/download/transfer/part-state.ts';
import { bzip2Stream, loadBzip2 } from '../../src/sandbox/bzip2.ts';
import {
  attended,
  drive,
  expectNotStored,
  expectPolite,
  expectStored,
  turnClock,
} from '../helpers/download-drive.ts';
import {
  type DownloadWorld,
  DUMP_NAME,
  hash,
  openDownloadWorld,
  type WorldOptions,
} from '../helpers/download-world.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/**
 * Goal: of a file without any hash nothing is taken from anybody but the origin, however good other bytes look. Method: mirrors
 * that serve another valid file of the same name, size and structure; real sockets, disk, threads and room.
 */

const SEGMENT = 160 * 1024;
const bzip2 = await loadBzip2();
const random = seededRandom(20261124);
const stream = (texts: readonly string[]): Buffer =>
  Buffer.concat([...bzip2Stream(texts.map((text) => bzip2.block(Buffer.from(text))))]);
const [HEAD, A, B, FOOT] = [
  stream(['<mediawiki>\n']),
  stream([random.hex(350_000), random.hex(350_000)]),
  stream([random.hex(350_000), random.hex(300_000)]),
  stream(['</mediawiki>\n']),
];
const CONTENT = Buffer.concat([HEAD, A, B, FOOT]);
/** As whole and as large, and another file: nothing but a hash could tell. */
const OTHER = Buffer.concat([HEAD, B, A, FOOT]);

/** A cycle that ends within two days: files without a hash are taken. */
async function open(options: Partial<WorldOptions> = {}): Promise<DownloadWorld> {
  const world = await openDownloadWorld({
    ...{ content: CONTENT, mirrorContent: OTHER, mirrors: 2, segmentBytes: SEGMENT, hashes: {} },
    ...options,
  });
  onTestFinished(() => world.close());
  await turnClock(world, 11 * 86_400_000);
  return world;
}

const askedAtMirrors = (world: DownloadWorld): number =>
  [...world.mirrors, world.spare].reduce((sum, mirror) => sum + mirror.counters().requests, 0);

test('no hash x lying mirrors: only the origin is asked', async () => {
  expect(OTHER).toHaveLength(CONTENT.length);
  expect(CONTENT.length).toBeGreaterThan(1024 * 1024);
  const world = await open();
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expectStored(world);
  expectPolite(world);
  expect(world.catalog.dumpFile(world.id)?.verification).toBe('structure-only');
  expect(askedAtMirrors(world)).toBe(0);
});

test.each([1, 2])('with a hash %i such mirrors are asked, and found out', async (mirrors) => {
  const world = await open({ mirrors, hashes: { md5: hash('md5', CONTENT) } });
  const { stored, errors } = await drive(world, world.begin());
  expect(stored, errors.map(String).join('; ')).toBe(true);
  expectStored(world);
  expect(askedAtMirrors(world)).toBeGreaterThan(0);
});

test('no hash x the origin breaks off, for a while or for ever: mirrors are no way out', async () => {
  for (const times of [2, Number.POSITIVE_INFINITY]) {
    const world = await open();
    const fault = world.script('dumps', { kind: 'status', status: 500, times });
    const { stored } = await drive(world, world.begin());
    expect(fault.fired).toBeGreaterThanOrEqual(2);
    expect(stored).toBe(times === 2);
    if (stored) expectStored(world);
    else expectNotStored(world);
    expect(askedAtMirrors(world)).toBe(0);
  }
});

test.each([
  403, 503,
])('no hash x %i at the origin: this file waits, and others go on from mirrors', async (status) => {
  const world = await open();
  const fault = world.script('dumps', { kind: 'status', status, times: 1, retryAfter: 600 });
  const { stored, errors } = await drive(world, world.begin());
  expect(fault.fired).toBe(1);
  // A halt of the target would stop the files that mirrors give.
  expect(errors.map(({ name }) => name)).toEqual(['Snooze']);
  expect(stored).toBe(true);
  expectStored(world);
  expect(askedAtMirrors(world)).toBe(0);
});

test('what a mirror gave to a part file earlier is fetched from the origin', async () => {
  const world = await open();
  const life = world.begin();
  const controller = new AbortController();
  world.onProgress = (doneBytes) => {
    if (doneBytes > 6 * SEGMENT) controller.abort();
  };
  await expect(attended(world, life.work(controller.signal, 1))).rejects.toMatchObject({
    code: 'interrupted',
  });
  await life.end();
  const statePath = `${world.paths.part}.state`;
  const state = readPartState(readFileSync(statePath, 'utf8'));
  if (state === null) throw new Error('there is no state');
  const [first] = state.ranges;
  const border = 3 * SEGMENT;
  const endBytes = first?.endBytes ?? 0;
  expect(endBytes).toBeGreaterThan(border);
  // As an earlier version left it: the beginning is a mirror's, and is not what the origin has.
  const bytes = readFileSync(world.paths.part);
  OTHER.copy(bytes, 0, 0, border);
  writeFileSync(world.paths.part, bytes);
  const giver = world.mirrors[0]?.baseUrl ?? '';
  const ranges = [
    { startBytes: 0, endBytes: border, giver },
    { startBytes: border, endBytes, giver: 'origin' },
  ];
  writeFileSync(statePath, writePartState({ ...state, ranges, digests: null }));
  const before = world.origin.counters().bytes;
  world.onProgress = () => {};
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expectStored(world);
  expect(askedAtMirrors(world)).toBe(0);
  const sentBytes = world.origin.counters().bytes - before;
  expect(sentBytes).toBeGreaterThanOrEqual(border + CONTENT.length - endBytes);
  expect(sentBytes, 'what the origin gave stays').toBeLessThan(CONTENT.length);
});

test('a file that is not packed is waited for: nothing of it could be proved', async () => {
  const filename = DUMP_NAME.replace('.bz2', '');
  const world = await open({ filename });
  expect(world.catalog.filesToDownload()).toEqual([]);
  await expect(world.begin().work(new AbortController().signal, 1)).rejects.toMatchObject({
    name: 'Snooze',
  });
  expectNotStored(world);
  expect(world.origin.counters().requests).toBe(0);
});
