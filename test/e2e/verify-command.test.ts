// Goal: `wikiseed verify` finds what rotted, says by what each file was proved, records it and changes no file; with --repair the damage is put
// right, by the running daemon or here, under every name of the file. And nothing that was not proved is in a torrent.
// Method: a whole small cycle in the sandbox, bytes flipped on disk, the commands in this process.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { lockDataDirectory, openDb } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { rot } from '../helpers/rot.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { writeConfig } from '../helpers/with-process.ts';

const PIECE = 16 * 1024;

interface Row {
  id: number;
  localPath: string;
  sizeBytes: number;
  sha1: string;
  verification: string;
  damagedAt: number | null;
  verifiedAt: number | null;
  wiki: string;
}

/** A data directory with a published cycle. */
async function publishedCycle() {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 600_000 });
  const base = sandboxConfig(sandbox);
  const options = {
    ...base,
    config: {
      ...base.config,
      torrents: { ...base.config.torrents, pieceLengthBytes: PIECE },
      ia: { ...base.config.ia, enabled: false },
    },
  };
  const { dataDir } = options.config.wikiseed;
  const begin = async () => {
    const app = await createApp({ ...options, clock: shiftedClock('2026-11-23T00:00:00Z'), log: silentLog });
    onTestFinished(() => app.stop());
    await app.start();
    return app;
  };
  const first = await begin();
  await first.whenIdle();
  await first.stop();
  const { path, env } = writeConfig(options);
  const cli = async (...args: string[]) => {
    let out = '';
    let err = '';
    const io: CliIo = {
      ...{ out: { write: (text) => (out += text) }, err: { write: (text) => (err += text) } },
      ...{ env, cwd: dataDir, signal: cli.signal },
      readTextFile: (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
    };
    const code = await runCli([...args, '--config', path], io);
    return { code, out, err };
  };
  cli.signal = new AbortController().signal;
  const ask = <T>(sql: string, ...given: unknown[]): T[] => {
    const db = openDb(join(dataDir, 'db', 'jobs.db'), 'readonly');
    try {
      return db.sqlite.prepare<unknown[], T>(sql).all(...given);
    } finally {
      db.close();
    }
  };
  const rows = () =>
    ask<Row>(
      `SELECT id, local_path AS localPath, size_bytes AS sizeBytes, sha1, verification, damaged_at AS damagedAt,
              verified_at AS verifiedAt, wiki_db_name AS wiki FROM dumps WHERE local_path IS NOT NULL ORDER BY size_bytes DESC`,
    );
  return { sandbox, dataDir, begin, cli, ask, rows, largest: () => rows()[0] as Row };
}

const sha1Of = (path: string): string => createHash('sha1').update(readFileSync(path)).digest('hex');

test('without a daemon: found, told, recorded, changed by nobody, and put right with --repair', async () => {
  const { dataDir, sandbox, cli, ask, rows, largest } = await publishedCycle();
  const all = await cli('verify');
  expect([all.code, all.err]).toEqual([0, '']);
  expect(all.out).toContain(`${rows().length} files read`);
  expect(all.out).toMatch(/\d+ by upstream's SHA-1/);
  expect(all.out).toContain('All of them are what is recorded.');

  const row = largest();
  expect(row.sizeBytes).toBeGreaterThan(3 * PIECE);
  const path = join(dataDir, row.localPath);
  const { nlink } = statSync(path);
  expect(nlink).toBeGreaterThan(1);
  rot(path, PIECE + 5);
  const rotten = sha1Of(path);
  const tables = () =>
    JSON.stringify(
      ask<object>('SELECT * FROM dumps ORDER BY id').map((each) => ({ ...each, damaged_at: null })),
    );
  const before = tables();
  const jobs = ask<{ n: number }>('SELECT count(*) AS n FROM jobs');

  const found = await cli('verify');
  expect(found.code).toBe(1);
  expect(found.out).toContain(`${row.localPath} (sha1): damaged: 1 of `);
  expect(found.out).toContain('What is damaged is recorded so: it counts as no copy until it is repaired.');
  expect(found.out).toContain('To put them right: wikiseed verify --repair');
  const { damagedAt } = largest();
  expect(damagedAt).not.toBeNull();
  expect(rows().filter((each) => each.damagedAt !== null)).toHaveLength(1);
  expect((await cli('status')).out).toContain('a held file is damaged or missing on disk');
  const json = JSON.parse((await cli('verify', '--json', '--wiki', row.wiki)).out);
  expect(json).toMatchObject({ damaged: 1, unread: 0, repaired: 0, recorded: 1, notRecorded: null });
  expect(json.filesRead).toBe(rows().filter(({ wiki }) => wiki === row.wiki).length);
  expect(json.files.find(({ id }: { id: number }) => id === row.id)).toMatchObject({
    ...{ state: 'damaged', verification: 'sha1', repair: null },
  });
  // It changed no file, and nothing else in the tables; the first time is what counts.
  expect(sha1Of(path)).toBe(rotten);
  expect(tables()).toBe(before);
  expect(largest().damagedAt).toBe(damagedAt);
  expect(ask('SELECT count(*) AS n FROM jobs')).toEqual(jobs);

  const asked = sandbox.counters().dumps.requests;
  const repaired = await cli('verify', '--repair', '--cycle', '2026-11-20');
  expect([repaired.code, repaired.err]).toEqual([0, '']);
  expect(repaired.out).toContain('  repaired\n');
  expect(repaired.out).toContain('1 file repaired, 0 left.');
  expect(sha1Of(path)).toBe(row.sha1);
  expect(statSync(path)).toMatchObject({ nlink });
  expect(sandbox.counters().dumps.requests - asked).toBe(1);
  expect(largest()).toMatchObject({ damagedAt: null });
  expect((await cli('verify')).code).toBe(0);

  // Put right by hand: the same bit again.
  rot(path, PIECE + 5);
  expect((await cli('verify')).code).toBe(1);
  rot(path, PIECE + 5);
  const byHand = await cli('verify');
  expect([byHand.code, byHand.out]).toEqual([
    0,
    expect.stringContaining('1 file recorded as damaged: sound by now'),
  ]);
  expect(largest().damagedAt).not.toBeNull();
  expect((await cli('verify', '--repair')).out).not.toContain('sound by now');
  expect(largest().damagedAt).toBeNull();
});

test('with a daemon: it does the repair, by a job, and goes on seeding; what nobody has stays and is told', async () => {
  const { dataDir, sandbox, begin, cli, ask, largest, rows } = await publishedCycle();
  const app = await begin();
  const alerts: string[] = [];
  app.bus.on('alert:raised', ({ key }) => void alerts.push(key));
  await app.whenIdle();
  const row = largest();
  const path = join(dataDir, row.localPath);
  rot(path, 2 * PIECE);
  expect((await cli('verify')).code).toBe(1);
  // The daemon knows it from the command.
  expect(largest().damagedAt).not.toBeNull();
  expect(alerts).toContain('damaged_files');
  const repaired = await cli('verify', '--repair', '--json');
  expect(repaired.code).toBe(0);
  expect(JSON.parse(repaired.out)).toMatchObject({ damaged: 1, repaired: 1 });
  expect(sha1Of(path)).toBe(row.sha1);
  const [job] = ask<{ status: string; type: string }>(
    'SELECT status, job_type AS type FROM jobs WHERE dump_id = ? ORDER BY id DESC LIMIT 1',
    row.id,
  );
  expect(job).toEqual({ status: 'completed', type: 'repair_file' });
  expect((await app.seeding()).torrents.length).toBeGreaterThan(0);

  // Nobody has it any more.
  sandbox.faults.add({
    server: 'dumps',
    match: row.localPath.split('/').at(-1) as string,
    kind: 'vanish',
    times: 1000,
  });
  rot(path, 2 * PIECE);
  const left = await cli('verify', '--repair');
  expect(left.code).toBe(1);
  expect(left.out).toContain('not repaired: nobody who was asked has the right bytes now');
  expect(largest().damagedAt).not.toBeNull();
  const status = await cli('status');
  expect(status.out).toContain('a held file is damaged or missing on disk');

  // A missing one: still in the torrent's folder.
  const second = rows()[1] as Row;
  unlinkSync(join(dataDir, second.localPath));
  expect((await cli('verify', '--wiki', second.wiki)).out).toContain('it is not there');
  await cli('verify', '--repair', '--wiki', second.wiki);
  expect(sha1Of(join(dataDir, second.localPath))).toBe(second.sha1);
});

test('a repair that waits for a newer version of the file is not waited for', async () => {
  const { dataDir, begin, cli, largest } = await publishedCycle();
  const row = largest();
  rot(join(dataDir, row.localPath), PIECE);
  const rotten = sha1Of(join(dataDir, row.localPath));
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  onTestFinished(() => db.close());
  const app = await begin();
  await app.whenIdle();
  // Upstream published it anew, and the cycle is open; the download of it does not come up here.
  app.queue.pause({ kind: 'type', name: 'download_dump' }, null);
  db.sqlite.exec("UPDATE cycles SET status = 'open', sealed_at = NULL, published_at = NULL");
  db.sqlite
    .prepare(
      `INSERT INTO dump_replacements (dump_id, kind, size_bytes, sha1, found_at) VALUES (?, 'replaced', 7, '${'a'.repeat(40)}', 1)`,
    )
    .run(row.id);
  // The daemon here has another clock than the command: a quarter of an hour later on that of the command.
  const later = db.sqlite.prepare('UPDATE jobs SET next_retry_at = ? WHERE id = ?');
  const putOff: string[] = [];
  app.bus.on('job:givenBack', ({ jobId, reason }) => {
    putOff.push(reason);
    setImmediate(() => later.run(Date.now() + 15 * 60_000, jobId));
  });
  const left = await cli('verify', '--repair');
  expect(putOff).toEqual(['snooze']);
  expect(left.code).toBe(1);
  expect(left.out).toMatch(/not repaired: .*newer version of the file; it is tried again by itself/);
  expect(sha1Of(join(dataDir, row.localPath))).toBe(rotten);
  // Nothing is judged by what is to be replaced: such a file counts as no copy anyway.
  expect(largest().damagedAt).toBeNull();
});

test('damage that cannot be recorded is told all the same', async () => {
  const { dataDir, cli, largest } = await publishedCycle();
  rot(join(dataDir, largest().localPath), 5);
  // Something that takes no commands has the data directory: a restore, a rebuild.
  const lock = lockDataDirectory(dataDir, { pid: process.pid, startedAt: '2026-11-23T00:00:00Z' });
  try {
    const found = await cli('verify');
    expect(found.code).toBe(1);
    expect(found.out).toContain('damaged: 1 of ');
    expect(found.out).toMatch(
      /could not be recorded as damaged, and still count as whole: .* takes no commands\..* try again/,
    );
    const { recorded, notRecorded } = JSON.parse((await cli('verify', '--json')).out);
    expect([recorded, notRecorded]).toEqual([0, expect.stringContaining('takes no commands')]);
    expect(largest().damagedAt).toBeNull();
  } finally {
    lock.release();
  }
});

test('it says what it does not understand, and stops when told to', async () => {
  const { cli } = await publishedCycle();
  expect(await cli('verify', '--cycle', 'yesterday')).toMatchObject({ code: 2 });
  expect(await cli('verify', '--wiki', 'nowiki')).toMatchObject({ code: 2 });
  cli.signal = AbortSignal.abort();
  expect(await cli('verify')).toMatchObject({ code: 130 });
});

test('every file of every torrent was proved: held, with its level, and with the bytes that are recorded', async () => {
  const { dataDir, ask, rows } = await publishedCycle();
  const carried = ask<Row & { path: string; torrent: string; level: string | null; status: string }>(
    `SELECT d.id, d.local_path AS localPath, d.sha1, d.verification, d.our_status AS status, f.path_in_torrent AS path,
            f.verification AS level, t.name AS torrent
       FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id JOIN dumps d ON d.id = f.dump_id`,
  );
  expect(carried.length).toBeGreaterThan(5);
  expect(new Set(carried.map(({ id }) => id)).size).toBe(rows().length);
  for (const file of carried) {
    expect(['sha1', 'md5', 'sha256-upstream', 'structure-only']).toContain(file.verification);
    expect(file).toMatchObject({ status: 'included', level: file.verification });
    expect(sha1Of(join(dataDir, 'torrents', file.torrent, file.path))).toBe(file.sha1);
  }
});

test('the tables refuse a held file that nothing proved', async () => {
  const { dataDir, largest } = await publishedCycle();
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  onTestFinished(() => db.close());
  const { id } = largest();
  for (const status of ['downloaded', 'uploading', 'uploaded', 'included'])
    expect(() =>
      db.sqlite.prepare('UPDATE dumps SET our_status = ?, verification = NULL WHERE id = ?').run(status, id),
    ).toThrow(/dumps_held_is_verified/);
});
