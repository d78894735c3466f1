import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import { JobId, Snooze, UnavailableError } from '../../src/lib/index.ts';
import { createHttp, createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { startArchive } from '../../src/sandbox/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { createUpload, type UploadConfig } from '../../src/upload/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/**
 * Goal: a file counts as uploaded only when the archive lists our hashes and is at rest; whatever goes wrong on the way is
 * waited for, retried, skipped or halted as the contract says. Method: the sandbox's archive over loopback, a clock that stands still.
 */

const CONTENT = Buffer.from('dump '.repeat(500_000));
const IDENTIFIER = 'wikiseed-aawiki-20261120';
const KEY = 'aawiki/20261120/aawiki-20261120-page.sql.gz';
const hex = (algorithm: string): string => createHash(algorithm).update(CONTENT).digest('hex');

async function setup(options: { config?: Partial<UploadConfig>; taskDelayMs?: number } = {}) {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock();
  const catalog = createCatalog({ db, clock });
  const archive = await startArchive({
    dir: join(dataDir, 'archive'),
    taskDelayMs: options.taskDelayMs ?? 0,
  });
  onTestFinished(() => archive.stop());
  const wiki = { project: 'wikipedia', language: 'aa', url: 'https://aa.wikipedia.org', name: 'Afar' };
  catalog.recordWikis([
    { wikiDbName: 'aawiki', ...wiki, isClosed: true, isPrivate: false, isFishbowl: false },
  ]);
  catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: clock.now() + 1e9 });
  const filename = KEY.split('/')[2]!;
  const file = {
    dumpType: 'page',
    filename,
    isHistory: false,
    sizeBytes: CONTENT.length,
    hashes: { md5: hex('md5'), sha1: hex('sha1') },
    wikimediaUrl: `https://dumps.wikimedia.org/${KEY}`,
    wikimediaStatus: 'done',
    wikimediaDate: null,
  };
  const run = { wikiDbName: 'aawiki', cycleDate: '2026-11-20', runDate: '20261120' };
  catalog.recordRun({
    ...{ ...run, source: 'classic', status: 'finished', notices: [], files: [file] },
    ...{ listedNames: null, document: null },
  });
  const id = catalog.dumpFiles('2026-11-20')[0]!.id;
  const layout = createLayout(dataDir);
  const path = layout.dumpFile({ ...run, source: 'classic', filename });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, CONTENT);
  catalog.markDownloading(id);
  catalog.recordDownloaded(id, {
    md5: hex('md5'),
    sha1: hex('sha1'),
    sha256: hex('sha256'),
    sizeBytes: CONTENT.length,
    verification: 'sha1',
    localPath: layout.relative(path),
    fetchedFromUrl: file.wikimediaUrl,
    pieceHashes: null,
  });
  const http = createHttp({ userAgent: 'WikiSeed/test (+test@example.org)', clock });
  const room = createUpload({
    catalog,
    http,
    disk: createNodeDisk(),
    layout,
    clock,
    log: silentLog,
    bus: { emit: () => {} },
    config: {
      s3Endpoint: archive.baseUrl,
      siteUrl: archive.baseUrl,
      collection: 'test_collection',
      ...archive.keys,
      userAgent: 'WikiSeed/test (+test@example.org)',
      ...options.config,
    },
  });
  onTestFinished(() => room.stop());
  const handler = room.handlers[0]!;
  const input = { dumpFileId: id };
  let cursor: unknown = null;
  /** One run as the executor makes it; a snooze keeps its cursor and gives its delay. */
  async function attempt(
    signal = new AbortController().signal,
  ): Promise<{ snoozeMs: number; reason: string } | 'done'> {
    try {
      const output = await handler.run(input, {
        jobId: JobId.parse(1),
        attempt: 1,
        signal,
        clock,
        log: silentLog,
        cursor,
        progress: (p) => {
          if (p.cursor !== undefined) cursor = p.cursor;
        },
      });
      db.transaction(() => handler.record?.(input, output));
      return 'done';
    } catch (error) {
      // The queue lets the whole target rest for as long; for this job it is a wait like any other.
      if (error instanceof UnavailableError && error.pauseMs !== undefined)
        return { snoozeMs: error.pauseMs, reason: error.message };
      if (!(error instanceof Snooze)) throw error;
      cursor = JSON.parse(JSON.stringify(error.cursor ?? cursor));
      return { snoozeMs: error.delayMs, reason: error.message };
    }
  }
  return {
    archive,
    clock,
    path,
    attempt,
    row: () => catalog.dumpFile(id)!,
    fail: (error: unknown) => db.transaction(() => handler.recordFailure?.(input, error)),
    metadata: async () => (await fetch(`${archive.baseUrl}/metadata/${IDENTIFIER}`)).json() as Promise<never>,
    download: async () =>
      Buffer.from(await (await fetch(`${archive.baseUrl}/download/${IDENTIFIER}/${KEY}`)).arrayBuffer()),
  };
}

const error = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );

test('sends the file once, waits, and counts it only when it is listed with our hashes', async () => {
  const { archive, attempt, row, metadata, download, clock } = await setup({ taskDelayMs: 50 });
  expect(await attempt()).toEqual({
    snoozeMs: 30_000,
    reason: 'waiting for the Internet Archive to file it',
  });
  expect(row()).toMatchObject({ ourStatus: 'uploading', iaVerifiedAt: null });
  await archive.whenIdle();
  await clock.advance(30_000);
  expect(await attempt()).toBe('done');
  expect(row()).toMatchObject({
    ourStatus: 'uploaded',
    iaIdentifier: IDENTIFIER,
    iaUrl: `${archive.baseUrl}/download/${IDENTIFIER}/${KEY}`,
    iaVerifiedAt: clock.now(),
  });
  expect(await attempt()).toBe('done');
  expect(archive.counters()).toMatchObject({ puts: 1, putBytes: CONTENT.length });
  expect((await download()).equals(CONTENT)).toBe(true);
  expect(await metadata()).toMatchObject({
    metadata: {
      mediatype: 'data',
      collection: 'test_collection',
      title: 'Wikimedia database dump of aawiki on 2026-11-20',
      date: '2026-11-20',
      subject: ['wikimedia', 'dumps', 'data dumps', 'wikipedia', 'aawiki'],
      language: 'aa',
      originalurl: 'https://dumps.wikimedia.org/aawiki/20261120/',
      'wiki-dbname': 'aawiki',
    },
  });
});

test('while the archive has not filed it, looks again after 30 s, 1, 2, 10, 10 minutes and sends nothing', async () => {
  const { archive, attempt, clock } = await setup({ taskDelayMs: 3_600_000 });
  const delays: unknown[] = [];
  for (let look = 0; look < 6; look += 1) {
    const result = await attempt();
    delays.push(result === 'done' ? result : result.snoozeMs / 1000);
    await clock.advance(1000);
  }
  expect(delays).toEqual([30, 60, 120, 600, 600, 600]);
  expect(archive.counters().puts).toBe(1);
});

test('sends once more after the deadline, then gives up', async () => {
  const { archive, attempt, clock, row, fail } = await setup();
  archive.faults.add({ server: 'ia', kind: 'task-error', match: 'PUT', times: 2 });
  await attempt();
  await clock.advance(47 * 3_600_000);
  expect(await attempt()).toMatchObject({ snoozeMs: 60_000 });
  expect(archive.counters().puts).toBe(1);
  await clock.advance(3_600_001);
  await attempt();
  expect(archive.counters().puts).toBe(2);
  await clock.advance(48 * 3_600_000);
  const thrown = await error(attempt());
  expect(thrown).toMatchObject({ name: 'PermanentError', code: 'not_filed' });
  fail(thrown);
  expect(row()).toMatchObject({ ourStatus: 'downloaded', iaVerifiedAt: null });
});

test('a file that is there already is verified without sending a byte', async () => {
  const { archive, attempt, row } = await setup();
  await fetch(`${archive.baseUrl}/${IDENTIFIER}/${KEY}`, {
    method: 'PUT',
    body: CONTENT,
    headers: {
      authorization: `LOW ${archive.keys.access}:${archive.keys.secret}`,
      'x-archive-auto-make-bucket': '1',
    },
  });
  expect(await attempt()).toBe('done');
  expect(archive.counters().puts).toBe(1);
  expect(row().ourStatus).toBe('uploaded');
});

test('sends again when the archive lists other bytes than we sent', async () => {
  const { archive, attempt } = await setup();
  const loss = archive.faults.add({ server: 'ia', kind: 'late-loss', match: 'PUT' });
  await attempt();
  expect(await error(attempt())).toMatchObject({ name: 'RetryableError', code: 'archive_mismatch' });
  expect(loss.fired).toBe(1);
  expect(await attempt()).toMatchObject({ snoozeMs: 30_000 });
  expect(await attempt()).toBe('done');
  expect(archive.counters().puts).toBe(2);
});

test('overload closes the lane, doubling, asks check_limit, and costs no body', async () => {
  const { archive, attempt, clock } = await setup();
  const slow = archive.faults.add({ server: 'ia', kind: 'slow-down', match: 'PUT', message: 'queue full' });
  const limit = archive.faults.add({ server: 'ia', kind: 'over-limit', match: 'check_limit', times: 1 });
  expect(await attempt()).toMatchObject({ snoozeMs: 30_000, reason: expect.stringContaining('queue full') });
  expect(await attempt()).toMatchObject({ snoozeMs: 30_000, reason: expect.stringContaining('pace') });
  await clock.advance(30_000);
  expect(await attempt()).toMatchObject({ snoozeMs: 60_000, reason: expect.stringContaining('limit') });
  expect([slow.fired, limit.fired, archive.counters().puts]).toEqual([1, 1, 0]);
  await clock.advance(60_000);
  await attempt();
  expect(await attempt()).toBe('done');
});

test('a refusal as spam is final for the file', async () => {
  const { archive, attempt, row, fail } = await setup();
  archive.faults.add({ server: 'ia', kind: 'spam', match: 'PUT' });
  const thrown = await error(attempt());
  expect(thrown).toMatchObject({ name: 'PermanentError', code: 'refused_as_spam' });
  fail(thrown);
  expect(row()).toMatchObject({
    ourStatus: 'downloaded',
    errorMessage: expect.stringContaining('appears to be spam'),
  });
});

test('wrong keys halt the archive and are never told', async () => {
  const { attempt } = await setup({ config: { secret: 'very-secret' } });
  const thrown = await error(attempt());
  expect(thrown).toMatchObject({
    name: 'HaltPipelineError',
    code: 'bad_credentials',
    hint: expect.any(String),
  });
  expect(JSON.stringify(thrown) + String(thrown)).not.toContain('very-secret');
});

test('an item taken down is skipped', async () => {
  const { archive, attempt } = await setup();
  archive.faults.add({ server: 'ia', kind: 'dark', match: 'metadata' });
  expect(await error(attempt())).toMatchObject({ name: 'PermanentError', code: 'item_dark' });
});

test.each([
  ['a reset in mid-body', { kind: 'reset', atByte: 300_000 }, 'network'],
  ['500', { kind: 'status', status: 500 }, 'http_status'],
] as const)('%s is retried', async (_name, fault, code) => {
  const { archive, attempt } = await setup();
  const entry = archive.faults.add({ server: 'ia', match: 'PUT', ...fault });
  expect(await error(attempt())).toMatchObject({ name: 'RetryableError', code });
  expect(entry.fired).toBe(1);
  // After a broken line the archive is asked before anything is sent again.
  let last: unknown;
  for (let more = 0; more < 3 && last !== 'done'; more += 1) last = await attempt();
  expect(last).toBe('done');
});

test('changed local bytes are refused by the archive and never counted', async () => {
  const { archive, attempt, path } = await setup();
  writeFileSync(path, Buffer.alloc(CONTENT.length, 1));
  expect(await error(attempt())).toMatchObject({ name: 'RetryableError', code: 'bad_digest' });
  expect(archive.counters().files).toBe(0);
});

test('an aborted upload is interrupted and leaves nothing behind', async () => {
  const { archive, attempt } = await setup();
  const stall = archive.faults.add({ server: 'ia', kind: 'stall', match: 'PUT' });
  const controller = new AbortController();
  const running = error(attempt(controller.signal));
  await stall.whenFired();
  controller.abort();
  expect(await running).toMatchObject({ name: 'Interrupted' });
});

test('follows a redirect from byte 0, keys included, but never out of the house', async () => {
  const { archive, attempt } = await setup();
  const authorizations: (string | undefined)[] = [];
  const door = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    response.writeHead(307, { location: `${archive.baseUrl}${request.url}` }).end();
  });
  door.on('checkContinue', (request, response) => door.emit('request', request, response));
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void door.close());
  const location = `http://127.0.0.1:${(door.address() as AddressInfo).port}/${IDENTIFIER}/${KEY}`;
  const redirect = archive.faults.add({ server: 'ia', kind: 'redirect', match: 'PUT', location });
  expect(await attempt()).toMatchObject({ snoozeMs: 30_000 });
  expect(redirect.fired).toBe(1);
  expect(authorizations).toEqual([`LOW ${archive.keys.access}:${archive.keys.secret}`]);
  expect(await attempt()).toBe('done');
  expect(archive.counters().puts).toBe(1);
});

test('too many new items in an hour wait their turn', async () => {
  const { attempt, archive } = await setup({ config: { newItemsPerHour: 0 } });
  expect(await attempt()).toMatchObject({ reason: expect.stringContaining('pace') });
  expect(archive.counters().puts).toBe(0);
});
