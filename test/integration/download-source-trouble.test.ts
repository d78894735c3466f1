import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openDb, schema } from '../../src/db/index.ts';
import { downloadDump } from '../../src/download/index.ts';
import { readPartState } from '../../src/download/transfer/part-state.ts';
import { CorruptError, Snooze, UnavailableError } from '../../src/lib/index.ts';
import type { DumpSite, Mirror } from '../../src/sandbox/index.ts';
import { attended, drive, expectPolite, expectStored, turnClock } from '../helpers/download-drive.ts';
import { type DownloadWorld, DUMP_NAME, openDownloadWorld } from '../helpers/download-world.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/**
 * Goal: trouble at the origin costs neither the file nor what is there of it, nobody else speaks for it, liars are known as such
 * without it, and it is not asked again at once.
 * Method: one file at an origin and mirrors on loopback that fail together; the clock is turned on as the errors ask for.
 */

const SEGMENT = 160 * 1024;
const SIZE = 12 * SEGMENT + 4321;
const EVER = Number.POSITIVE_INFINITY;
const random = seededRandom(3);
const CONTENT = Buffer.from(Array.from({ length: SIZE }, () => Math.floor(random.next() * 256)));

async function open(mirrors: number, content = CONTENT): Promise<DownloadWorld> {
  const world = await openDownloadWorld({ content, mirrors, segmentBytes: SEGMENT });
  onTestFinished(() => world.close());
  return world;
}

const asked = (site: DumpSite | Mirror) =>
  site.requestLog().filter(({ path, method }) => method === 'GET' && path.endsWith(DUMP_NAME));
const row = (world: DownloadWorld) => world.catalog.dumpFile(world.id);
const keptBytes = ({ paths }: DownloadWorld): number =>
  existsSync(`${paths.part}.state`)
    ? (readPartState(readFileSync(`${paths.part}.state`, 'utf8'))?.ranges ?? []).reduce(
        (sum, { startBytes, endBytes }) => sum + endBytes - startBytes,
        0,
      )
    : 0;

/** What is written of a mirror. */
function standingOf({ dataDir, mirrors }: DownloadWorld, at: number) {
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  try {
    const found = db.orm.select().from(schema.mirrors).all();
    return found.find(({ baseUrl }) => baseUrl === mirrors[at]?.baseUrl);
  } finally {
    db.close();
  }
}

async function failed(world: DownloadWorld, work: Promise<unknown>): Promise<unknown> {
  return attended(world, work).then(
    () => expect.unreachable('the attempt did not fail'),
    (error: unknown) => error,
  );
}

describe('while the origin asked to be left alone', () => {
  test.each([
    ['429', 'has no such file', { kind: 'vanish' }],
    ['429', 'has another file', { kind: 'wrong-size', sizeBytes: SIZE + 7 }],
    ['403', 'has no such file', { kind: 'vanish' }],
  ] as const)('by %s, a mirror that %s is not the last word, and others go on', async (status, _what, spec) => {
    const world = await open(1);
    const life = world.begin();
    // The origin is only asked while the mirror rests.
    world.script('mirror-1', { kind: 'status', status: 503, retryAfter: 40 });
    const refusal = world.script('dumps', { kind: 'status', status: Number(status), retryAfter: 3000 });
    await failed(world, life.work(new AbortController().signal, 1));
    expect(refusal.fired).toBe(1);
    await turnClock(world, 100_000);
    const fault = world.script('mirror-1', { ...spec, times: EVER });
    const error = await failed(world, life.work(new AbortController().signal, 2));
    expect(fault.fired).toBeGreaterThan(0);
    // The target `dumps` is not stopped: the mirror may have other files.
    expect(error).toMatchObject({ name: 'Snooze', delayMs: expect.any(Number) });
    life.recordFailure(error);
    expect(row(world)).toMatchObject({ ourStatus: 'pending', missingSince: null });
    expect(asked(world.origin)).toHaveLength(1);
    await turnClock(world, 3_600_000);
    expect((await drive(world, life)).stored).toBe(true);
    expectStored(world);
    expectPolite(world);
  });
});

describe('with a mirror that can only begin anew', () => {
  const atTheEnd = { fileByte: SIZE - 10 };

  test('a passing fault of the origin costs nothing of what is there', async () => {
    const world = await open(1);
    world.script('mirror-1', { kind: 'ignore-range', times: EVER });
    const fault = world.script('dumps', { kind: 'status', status: 503, ...atTheEnd });
    const life = world.begin();
    expect(await failed(world, life.work(new AbortController().signal, 1))).toBeInstanceOf(Snooze);
    expect(fault.fired).toBe(1);
    expect(keptBytes(world)).toBeGreaterThanOrEqual(12 * SEGMENT);
    await turnClock(world, 60_000);
    expect(await drive(world, life)).toEqual({ stored: true, errors: [] });
    expectStored(world);
    expectPolite(world);
    expect(asked(world.mirrors[0]!).filter(({ range }) => range === null)).toEqual([]);
    // Each segment once, and the last one once more.
    expect(new Set(asked(world.origin).map(({ range }) => range)).size).toBe(asked(world.origin).length - 1);
  });

  test('an origin that never gets better does not cost the file: the last attempt begins anew', async () => {
    const world = await open(1);
    world.script('mirror-1', { kind: 'ignore-range', times: EVER });
    world.script('dumps', { kind: 'status', status: 500, ...atTheEnd, times: EVER });
    const { stored, errors } = await drive(world, world.begin());
    expect({ stored, codes: errors.map(({ code }) => code) }).toEqual({
      stored: true,
      codes: Array.from({ length: downloadDump.maxAttempts - 1 }, () => 'http_status'),
    });
    expectStored(world);
    expectPolite(world);
    expect(asked(world.mirrors[0]!).filter(({ range }) => range === null)).toHaveLength(1);
  });

  test('an origin that refuses us is not waited for', async () => {
    const world = await open(1);
    world.script('mirror-1', { kind: 'ignore-range', times: EVER });
    const fault = world.script('dumps', { kind: 'status', status: 403, ...atTheEnd, times: EVER });
    expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
    expect(fault.fired).toBe(1);
    expectStored(world);
  });

  test('when that is the origin, a mirror that rests is waited for', async () => {
    const world = await open(1);
    world.script('dumps', { kind: 'ignore-range', times: EVER });
    const fault = world.script('mirror-1', {
      ...{ kind: 'status', status: 503, retryAfter: 90, fileByte: 6 * SEGMENT + 10 },
    });
    const life = world.begin();
    const { stored, errors } = await drive(world, life);
    expect(fault.fired).toBe(1);
    expect({ stored, codes: errors.map(({ code }) => code) }).toEqual({
      stored: true,
      codes: ['source_waits'],
    });
    expect(errors[0]).toMatchObject({ retryAfterMs: 90_000 });
    expectStored(world);
    expect(asked(world.origin).filter(({ range }) => range === null)).toEqual([]);
  });
});

describe('wrong bytes while the origin is out of reach', () => {
  test('who gave all of them is known for a liar at once, and the file is neither thrown away nor quarantined', async () => {
    const world = await open(1);
    const lie = world.script('mirror-1', { kind: 'lie', times: EVER });
    const outage = world.script('dumps', { kind: 'status', status: 503, times: EVER });
    const life = world.begin();
    const { stored, errors } = await drive(world, life);
    expect(lie.fired).toBeGreaterThan(0);
    expect(stored).toBe(false);
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['repair_waits']));
    for (const error of errors) expect(error).toBeInstanceOf(UnavailableError);
    expect(row(world)?.ourStatus).toBe('pending');
    expect(existsSync(world.paths.part)).toBe(true);
    expect(standingOf(world, 0)).toMatchObject({ badHashes: 1 });
    expect(standingOf(world, 0)?.probationUntil).not.toBeNull();
    expect(asked(world.mirrors[0]!)).toHaveLength(13);
    outage.remove();
    await turnClock(world, 60_000);
    expect(await drive(world, life)).toEqual({ stored: true, errors: [] });
    expectStored(world);
    expectPolite(world);
    // Once for all of it.
    expect(standingOf(world, 0)).toMatchObject({ badHashes: 1 });
    expect(asked(world.mirrors[0]!)).toHaveLength(13);
  });

  test('at the last attempt, too, bytes that the origin did not see are kept', async () => {
    const world = await open(1);
    world.script('mirror-1', { kind: 'lie', times: EVER });
    world.script('dumps', { kind: 'truncate', fileByte: 0, times: EVER });
    const life = world.begin();
    const error = await failed(world, life.work(new AbortController().signal, downloadDump.maxAttempts));
    expect(error).toMatchObject({ code: 'repair_waits' });
    life.recordFailure(error);
    expect(row(world)?.ourStatus).toBe('pending');
    expect(existsSync(world.paths.part)).toBe(true);
  });

  test('two that agree are not believed against the hash: the origin is asked when it is back', async () => {
    const world = await open(2);
    const outage = world.script('dumps', { kind: 'status', status: 503, times: EVER });
    const lies = [{ startBytes: 5 * SEGMENT, endBytes: 5 * SEGMENT + 9 }];
    for (const server of ['mirror-1', 'mirror-2'] as const)
      world.script(server, { kind: 'lie', lies, mask: 0x10, times: EVER });
    const life = world.begin();
    expect(await failed(world, life.work(new AbortController().signal, 1))).toMatchObject({
      code: 'repair_waits',
    });
    outage.remove();
    await turnClock(world, 60_000);
    expect(await drive(world, life)).toEqual({ stored: true, errors: [] });
    expectStored(world);
    expectPolite(world);
  });

  test('of several givers all are weighed down when nobody knows who it was, and the file is not distrusted', async () => {
    const world = await open(2);
    world.script('dumps', { kind: 'vanish', times: EVER });
    world.script('mirror-1', { kind: 'lie', mask: 0x01, times: EVER });
    world.script('mirror-2', { kind: 'lie', mask: 0x80, times: EVER });
    const life = world.begin();
    const error = await failed(world, life.work(new AbortController().signal, downloadDump.maxAttempts));
    expect(error).toMatchObject({ code: 'checksum_mismatch' });
    expect(error).not.toBeInstanceOf(CorruptError);
    life.recordFailure(error);
    expect(row(world)?.ourStatus).toBe('pending');
    expect(existsSync(world.paths.part)).toBe(false);
    for (const at of [0, 1])
      expect(standingOf(world, at)).toMatchObject({ badHashes: 1, probationUntil: null });
  });
});

describe('the origin is not asked again at once', () => {
  const SMALL = CONTENT.subarray(0, 100_000);

  test.each([
    ['an error', { kind: 'status', status: 500 }],
    ['a hang-up', { kind: 'reset', atByte: 0 }],
    ['a body that breaks off', { kind: 'truncate', fileByte: 50_000 }],
  ] as const)('after %s, when a mirror is there', async (_what, spec) => {
    const world = await open(1, SMALL);
    const fault = world.script('dumps', { ...spec, times: EVER });
    expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
    expectStored(world);
    expectPolite(world);
    expect(fault.fired).toBe(1);
    expect(asked(world.origin)).toHaveLength(1);
  });

  test('nor later in the same attempt, however long that takes', async () => {
    const world = await open(1, CONTENT.subarray(0, 5 * SEGMENT));
    const fault = world.script('dumps', { kind: 'status', status: 500, times: EVER });
    world.onProgress = () => void world.clock.advance(2_000);
    expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
    expectStored(world);
    expect(fault.fired).toBe(1);
  });

  test('after an error, when the mirror turns out to lie', async () => {
    const world = await open(1, SMALL);
    world.script('mirror-1', { kind: 'lie', times: EVER });
    world.script('dumps', { kind: 'status', status: 500 });
    const { stored, errors } = await drive(world, world.begin());
    expect({ stored, codes: errors.map(({ code }) => code) }).toEqual({
      stored: true,
      codes: ['repair_waits'],
    });
    expectStored(world);
    expectPolite(world);
    expect(asked(world.origin)).toHaveLength(2);
  });

  test('with nobody else, each time the attempt ends and the queue waits', async () => {
    const world = await open(0, SMALL);
    const fault = world.script('dumps', { kind: 'status', status: 500, times: 3 });
    const { stored, errors } = await drive(world, world.begin());
    expect(fault.fired).toBe(3);
    expect({ stored, attempts: errors.length }).toEqual({ stored: true, attempts: 3 });
    expectPolite(world);
  });
});
