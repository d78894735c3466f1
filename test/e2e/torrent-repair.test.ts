// Goal: a file that rotted before its torrent was made is repaired piece by piece and never thrown away; the torrent waits for it, and
// goes on without it when nobody has its bytes. A file that was only touched is read, and nothing is fetched.
// Method: a whole small cycle in the sandbox; the damage is done in the moment in which the cycle is sealed.
import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import type { DumpFile } from '../../src/catalog/index.ts';
import { outcomeOf } from '../../src/cli/idle-outcome.ts';
import { openDb } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { rot } from '../helpers/rot.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';

const CYCLE = '2026-11-20';
const NOW = '2026-11-23T12:00:00Z';
/** More than the 48 hours that a torrent waits. */
const LATER = '2026-11-25T13:00:00Z';
const PIECE = 16 * 1024;

const sha1Of = (path: string): string => createHash('sha1').update(readFileSync(path)).digest('hex');

/** A WikiSeed in which `harm` is done to the largest file when the cycle is sealed, before its torrents are begun. */
async function worldWith(options: { alignFilesFromBytes?: number } = {}) {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 900_000 });
  const base = sandboxConfig(sandbox);
  const { dataDir } = base.config.wikiseed;
  const { alignFilesFromBytes = 2 ** 30 } = options;
  const config = {
    ...base.config,
    torrents: { ...base.config.torrents, pieceLengthBytes: PIECE, alignFilesFromBytes },
    ia: { ...base.config.ia, enabled: false },
  };
  const begin = async (at: string, harm?: (path: string, file: DumpFile) => void) => {
    const app = await createApp({ ...base, config, clock: shiftedClock(at), log: silentLog });
    onTestFinished(() => app.stop());
    const said: string[] = [];
    app.bus.on('alert:raised', ({ key, message }) => void said.push(`${key}: ${message}`));
    const harmed: { file: DumpFile; path: string; bytesSent: number; files: number }[] = [];
    app.bus.on('cycle:sealed', () => {
      if (harm === undefined) return;
      const [file] = app.catalog.dumpFiles(CYCLE).sort((a, b) => b.sizeBytes - a.sizeBytes) as [DumpFile];
      const path = join(dataDir, file.localPath as string);
      const { bytes, fileRequests } = sandbox.counters().dumps;
      harm(path, file);
      harmed.push({ file, path, bytesSent: bytes, files: fileRequests });
    });
    await app.start();
    /** When a job of that type was given back, or is over. */
    const heard = (name: 'job:givenBack' | 'job:completed', type: string) =>
      new Promise<void>((resolve) => {
        app.bus.on(name, ({ jobType }) => jobType === type && resolve());
      });
    const theHarmed = () => {
      const [one] = harmed;
      if (harmed.length !== 1 || one === undefined) throw new Error('the harm was not done once');
      return one;
    };
    return { app, said, heard, harmed: theHarmed };
  };
  const statusText = (): string => {
    const torrents = join(dataDir, 'torrents');
    const name = readdirSync(torrents).find((each) => each === `wikimedia-dumps-${CYCLE}`) ?? '';
    return readFileSync(join(torrents, name, 'STATUS.txt'), 'utf8');
  };
  const ask = <T>(sql: string): T[] => {
    const db = openDb(join(dataDir, 'db', 'jobs.db'), 'readonly');
    try {
      return db.sqlite.prepare<unknown[], T>(sql).all();
    } finally {
      db.close();
    }
  };
  return { sandbox, dataDir, begin, statusText, ask };
}

describe('a file that rotted before its torrent was made', () => {
  test('is repaired piece by piece while upstream has it, and the torrent is complete', async () => {
    const { sandbox, begin, ask } = await worldWith();
    const { app, harmed } = await begin(NOW, (path) => rot(path, 2 * PIECE + 5));
    const outcome = await outcomeOf(app, await app.whenIdle());
    expect(outcome).toMatchObject({ exitCode: 0 });
    const { file, path, bytesSent, files } = harmed();
    expect(file.sizeBytes).toBeGreaterThan(5 * PIECE);
    expect(sha1Of(path)).toBe(file.sha1);
    expect(app.catalog.dumpFile(file.id)).toMatchObject({ ourStatus: 'included', damagedAt: null });
    // The same file, of which one piece was fetched.
    const counters = sandbox.counters().dumps;
    expect(counters.fileRequests - files).toBe(1);
    expect(counters.bytes - bytesSent).toBeLessThan(2 * PIECE);
    expect(ask("SELECT status FROM jobs WHERE job_type = 'repair_file'")).toEqual([{ status: 'completed' }]);
    expect(ask("SELECT resolved_at IS NULL AS isOpen FROM alerts WHERE alert_key = 'damaged_files'")).toEqual(
      [{ isOpen: 0 }],
    );
  });

  test.each([
    ['flipped', (path: string) => rot(path, 7)],
    [
      'short',
      (path: string) => {
        chmodSync(path, 0o644);
        truncateSync(path, statSync(path).size - 3);
      },
    ],
  ])('stays on the disk when nobody has it (%s), is told, and is left out with a reason at the end', async (_what, harm) => {
    const { sandbox, begin, ask, statusText } = await worldWith();
    const gone = { fired: 0, remove: () => {} };
    let rotten = '';
    const first = await begin(NOW, (path, { filename }) => {
      harm(path);
      rotten = sha1Of(path);
      const fault = sandbox.faults.add({ server: 'dumps', match: filename, kind: 'vanish', times: 1000 });
      Object.defineProperty(gone, 'fired', { get: () => fault.fired });
      gone.remove = () => fault.remove();
    });
    await Promise.all([
      first.heard('job:givenBack', 'create_torrent'),
      first.heard('job:completed', 'repair_file'),
    ]);
    const { file, path, bytesSent } = first.harmed();
    expect(gone.fired).toBeGreaterThan(0);
    expect(first.said).toContain(
      `damaged_files: a held file is damaged or missing on disk: ${file.filename}`,
    );
    const row = first.app.catalog.dumpFile(file.id);
    expect(row).toMatchObject({ ourStatus: 'downloaded', sha1: file.sha1, localPath: file.localPath });
    expect(row?.damagedAt).not.toBeNull();
    expect(sha1Of(path)).toBe(rotten);
    await first.app.stop();

    const second = await begin(LATER);
    const outcome = await outcomeOf(second.app, await second.app.whenIdle());
    expect(outcome).toMatchObject({ exitCode: 3, sentence: expect.stringContaining('1 file of cycle') });
    expect(sha1Of(path)).toBe(rotten);
    expect(sandbox.counters().dumps.bytes - bytesSent).toBeLessThan(file.sizeBytes);
    expect(statusText()).toMatch(
      new RegExp(
        `missing +${file.wikiDbName} ${file.filename.replaceAll('.', '\\.')}: its stored copy was damaged`,
      ),
    );
    const [torrent] = second.app.catalog.torrents().filter(({ isHistory }) => !isHistory);
    expect(second.app.catalog.torrents().filter(({ isHistory }) => !isHistory)).toHaveLength(1);
    const carried = second.app.catalog.torrentFiles(torrent!.id).map(({ dump }) => dump.id);
    expect(carried.length).toBeGreaterThan(0);
    expect(carried).not.toContain(file.id);
    expect(ask("SELECT resolved_at IS NULL AS isOpen FROM alerts WHERE alert_key = 'damaged_files'")).toEqual(
      [{ isOpen: 1 }],
    );
    expect(
      ask("SELECT count(*) AS n FROM jobs WHERE job_type = 'create_torrent' AND status = 'failed'"),
    ).toEqual([{ n: 0 }]);

    await second.app.stop();

    // A damaged file asks for no supplement: nothing waits for it any more.
    const { app } = await begin(LATER);
    await app.whenIdle();
    expect(app.catalog.lateVariants(CYCLE, [])).toEqual({ regular: false, history: false });
    // Once somebody has it again, it travels in one.
    gone.remove();
    app.operator.repairFiles([file.id]);
    await app.whenIdle();
    expect(sha1Of(path)).toBe(file.sha1);
    const supplement = app.catalog.torrents().find((each) => each.supplement === 1);
    expect(app.catalog.torrentFiles(supplement!.id).map(({ dump }) => dump.id)).toEqual([file.id]);
    expect((await outcomeOf(app, { halted: [], paused: [] })).exitCode).toBe(0);
  });
});

test('a large file that was only touched is read, used and known again; nothing is fetched', async () => {
  const { sandbox, begin, ask } = await worldWith({ alignFilesFromBytes: 50_000 });
  const { app, harmed } = await begin(NOW, (path) => utimesSync(path, 1_790_000_000, 1_790_000_000));
  const outcome = await outcomeOf(app, await app.whenIdle());
  expect(outcome).toMatchObject({ exitCode: 0 });
  const { file, files } = harmed();
  expect(app.catalog.torrents()[0]?.alignFilesFromBytes).not.toBeNull();
  expect(sandbox.counters().dumps.fileRequests).toBe(files);
  expect(app.catalog.dumpFile(file.id)).toMatchObject({
    ...{ ourStatus: 'included', damagedAt: null, storedMtimeMs: 1_790_000_000_000 },
  });
  expect(ask("SELECT count(*) AS n FROM jobs WHERE job_type = 'repair_file'")).toEqual([{ n: 0 }]);
});

test('a file of a torrent that lost its end is found at the next start, repaired, and served', async () => {
  const { dataDir, begin, ask } = await worldWith();
  const first = await begin(NOW);
  await first.app.whenIdle();
  const [file] = first.app.catalog.dumpFiles(CYCLE).sort((a, b) => b.sizeBytes - a.sizeBytes) as [DumpFile];
  await first.app.stop();
  const path = join(dataDir, file.localPath as string);
  chmodSync(path, 0o644);
  truncateSync(path, file.sizeBytes - 3);
  const second = await begin(NOW);
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome).toMatchObject({ exitCode: 0 });
  expect(sha1Of(path)).toBe(file.sha1);
  expect(ask("SELECT status FROM jobs WHERE job_type = 'repair_file'")).toEqual([{ status: 'completed' }]);
});
