// Goal: an operator changes the queue from the command line, beside a running daemon and without one, and sees it in `status`.
// Method: a daemon in a process of its own on the sandbox, held by a stalled file; commands as processes or in this one.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { isDataDirectoryInUse, lockDataDirectory, openDb, readLockHolder } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/** A configured data directory with a database, on a sandbox that one file of is held back. */
async function setup() {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 500_000 });
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const { path, env } = writeConfig(options);
  /** Runs a command in this process. */
  const cli = async (...args: string[]) => {
    let out = '';
    let err = '';
    const io: CliIo = {
      out: { write: (text) => (out += text) },
      err: { write: (text) => (err += text) },
      env,
      cwd: dataDir,
      signal: new AbortController().signal,
      readTextFile: (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
    };
    const code = await runCli([...args, '--config', path], io);
    return { code, out, err };
  };
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { code, out, err } = await cli(...args, '--json');
    expect([code, err]).toEqual([0, '']);
    return JSON.parse(out) as Record<string, unknown>;
  };
  const daemon = async () => {
    const stall = sandbox.faults.add({ server: 'dumps', match: /\.gz$/, kind: 'stall', atByte: 10 });
    const running = startWikiseed(['run', '--config', path], { env });
    await stall.whenFired();
    return { ...running, release: () => [stall.release(), stall.remove()] };
  };
  /** A database as a run leaves it, with nothing in it. */
  const emptyDatabase = async (): Promise<void> => {
    const app = await createApp({ ...options, log: silentLog });
    await app.stop();
    expect(isDataDirectoryInUse(dataDir)).toBe(false);
  };
  const insertJob = (row: Record<string, unknown> = {}): number => {
    const db = openDb(join(dataDir, 'db', 'jobs.db'));
    const all = {
      job_type: 'start_seeding',
      status: 'failed',
      params: '{"torrentId":1}',
      unique_key: `k${Math.floor(performance.now() * 1000)}`,
      attempt: 1,
      max_attempts: 5,
      next_retry_at: 0,
      created_at: 0,
      completed_at: 1,
      last_error: 'bad \u001b[2J news',
      ...row,
    };
    const sql = `INSERT INTO jobs (${Object.keys(all)}) VALUES (${Object.keys(all).map(() => '?')})`;
    const id = Number(db.sqlite.prepare(sql).run(...Object.values(all)).lastInsertRowid);
    db.close();
    return id;
  };
  const statusOf = async (id: number): Promise<unknown> => (await json('jobs', String(id))).status;
  return { cli, json, daemon, emptyDatabase, insertJob, statusOf, dataDir, options, env, path };
}

describe('beside a running daemon', () => {
  test('pause, limit, cancel, retry and resume reach the daemon at once, without any configuration', async () => {
    const { cli, json, daemon, statusOf, dataDir, env, path } = await setup();
    const { child, ended, release } = await daemon();
    const file = join(dataDir, 'db', 'process.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { token } = JSON.parse(readFileSync(file, 'utf8')) as { token: string };
    expect(token).toMatch(/^[0-9a-f]{64}$/);

    // As a process of its own, as an operator does it.
    const paused = await startWikiseed(
      ['pause', 'upload to the Internet Archive', '--reason', 'quota \u001b[2J', '--config', path],
      { env },
    ).ended;
    expect([paused.code, paused.stderr]).toEqual([0, '']);
    expect(paused.stdout).toBe(
      'Job type upload to the Internet Archive is paused. What runs goes on, nothing new begins.\nResume with: wikiseed resume upload_ia\n',
    );
    expect(await json('jobs', 'limit', 'dumps', '1')).toMatchObject({
      scope: { kind: 'target', name: 'dumps' },
      jobs: 1,
      isDaemonRunning: true,
    });
    const status = await json('status');
    expect(status).toMatchObject({
      daemonRunning: true,
      pauses: [{ scope: { kind: 'type', name: 'upload_ia' }, reason: 'quota \u001b[2J' }],
      limits: [{ scope: { kind: 'target', name: 'dumps' }, jobs: 1 }],
    });
    expect((await cli('status')).out).toContain('quota ?[2J');
    expect((await cli('jobs', 'limit', 'dumps', 'default')).out).toBe('Target dumps: as configured.\n');
    expect((await cli('bandwidth', '20MB/s')).out).toBe('Downloads together: at most 20 MB/s.\n');
    expect(await json('bandwidth', 'unlimited', '--per-host')).toMatchObject({
      name: 'download_per_host',
      rate: { bytesPerSecond: null },
      isDaemonRunning: true,
    });
    expect((await cli('bandwidth', 'default')).out).toBe('Downloads together: as configured.\n');

    await json('pause', 'download_dump');
    const running = (status.running as { id: number }[])[0]?.id ?? 0;
    expect((await cli('jobs', 'cancel', String(running))).out).toContain('was told to stop');
    await expect.poll(() => statusOf(running)).toBe('cancelled');
    expect((await cli('jobs', 'retry', String(running))).out).toMatch(/was cancelled and is due now/);
    expect(await statusOf(running)).toBe('pending');
    const both = await cli('jobs', 'cancel', String(running), '999999');
    expect([both.code, both.out]).toEqual([1, expect.stringContaining('is cancelled.')]);
    expect(both.err).toBe('wikiseed: there is no job 999999\n');

    expect((await cli('resume', 'all')).out).toBe(
      'Resumed: job type upload to the Internet Archive, job type download dump.\n',
    );
    expect((await cli('resume', 'dumps')).out).toBe('Nothing of that was paused or halted.\n');
    const unknown = await cli('pause', 'downlod_dump');
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('Did you mean download_dump?')]);
    release();
    child.kill('SIGTERM');
    const { stdout, stderr } = await ended;
    expect(stdout + stderr).not.toContain(token);
    expect(stdout).toContain('paused by an operator');
    expect(existsSync(file)).toBe(false);
  });

  test('another user needs WIKISEED_ADMIN_TOKEN, and is told so', async () => {
    const { cli, emptyDatabase, dataDir, options } = await setup();
    await emptyDatabase();
    const lock = lockDataDirectory(dataDir, { pid: 4242, startedAt: '2026-11-23T00:00:00Z' });
    onTestFinished(() => lock.release());
    // The lock of a restore or a rebuild: somebody is there and takes no commands.
    const starting = await cli('pause', 'all');
    expect(starting.code).toBe(11);
    expect(starting.err).toMatch(/process 4242, .* takes no commands/);

    const seen: (string | undefined)[] = [];
    const server = createServer((request, answer) => {
      seen.push(request.headers.authorization);
      answer.writeHead(401).end(JSON.stringify({ error: 'a valid token is needed', hint: 'Send one.' }));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    onTestFinished(() => void server.close());
    // An address that means all of this machine is reached on loopback.
    lock.announce({ url: `http://0.0.0.0:${(server.address() as AddressInfo).port}/`, token: 'abc' });
    expect(readLockHolder(dataDir)).toMatchObject({ pid: 4242, token: 'abc' });
    const refused = await cli('pause', 'all');
    expect([refused.code, refused.err]).toEqual([1, 'wikiseed: a valid token is needed\n  Send one.\n']);
    expect(seen).toEqual(['Bearer abc']);

    // A file that cannot be read, also by root: then address and token come from the configuration.
    const file = join(dataDir, 'db', 'process.json');
    rmSync(file);
    mkdirSync(file);
    expect((await cli('pause', 'all')).err).toMatch(/belongs to another user.*\n.*WIKISEED_ADMIN_TOKEN/);
    const port = (server.address() as AddressInfo).port;
    const { config, secrets } = options;
    const named = writeConfig({ config: { ...config, monitoring: { ...config.monitoring, port } }, secrets });
    const byHand = { ...named.env, WIKISEED_ADMIN_TOKEN: 'set-by-hand' };
    const asked = await startWikiseed(['resume', 'all', '--config', named.path], { env: byHand }).ended;
    expect([asked.code, asked.stderr]).toEqual([1, 'wikiseed: a valid token is needed\n  Send one.\n']);
    expect(seen).toEqual(['Bearer abc', 'Bearer set-by-hand']);
    rmSync(file, { recursive: true });

    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    lock.announce({ url: `http://127.0.0.1:${port}/`, token: 'abc' });
    expect((await cli('resume', 'all')).err).toMatch(
      /does not answer at http:\/\/127\.0\.0\.1:\d+: .*\n {2}It may be stopping/,
    );
  });
});

describe('without a daemon', () => {
  test('changes are made in the database, take effect at the next start, and the lock is free again', async () => {
    const { cli, json, emptyDatabase, insertJob, statusOf, dataDir, options } = await setup();
    await emptyDatabase();
    const first = await cli('pause', 'disk', '--reason', 'new disk');
    expect([first.code, first.err]).toEqual([0, '']);
    expect(first.out).toBe(
      'Target disk is paused.\nWikiSeed is not running: this takes effect at the next start.\nResume with: wikiseed resume disk\n',
    );
    expect(await json('jobs', 'limit', 'find dumps', '2')).toMatchObject({ isDaemonRunning: false });
    const failed = insertJob();
    expect((await cli('jobs', 'show', String(failed))).out).toMatch(
      /bad \?\[2J news[\s\S]*To try it again now: wikiseed jobs retry/,
    );
    expect((await cli('jobs', 'retry', String(failed))).out).toMatch(
      /was failed and is due now\.\nWikiSeed is not running/,
    );
    expect(await statusOf(failed)).toBe('pending');
    // A process that was killed leaves its job in progress; it can be cancelled all the same.
    const orphan = insertJob({
      status: 'in_progress',
      completed_at: null,
      lease_owner: 'dead',
      lease_expires_at: Date.now() + 60_000,
    });
    expect((await cli('jobs', 'cancel', String(orphan))).out).toContain(
      `Job ${orphan} (start seeding) is cancelled.`,
    );
    expect(await statusOf(orphan)).toBe('cancelled');
    insertJob();
    insertJob({ status: 'quarantined' });
    insertJob({ job_type: 'create_torrent' });
    expect((await cli('jobs', 'retry', '--failed', '--type', 'start seeding')).out).toMatch(
      /^2 failed jobs of type start seeding will be tried again\./,
    );
    expect(await json('jobs', 'retry', '--failed')).toEqual({
      retried: 1,
      skipped: 0,
      isAll: true,
      isDaemonRunning: false,
    });
    const screen = (await cli('status')).out;
    expect(screen).toMatch(/^WikiSeed is not running/);
    expect(screen).toContain('Target disk is paused (new disk): "wikiseed resume disk" lets it go on.');
    expect(isDataDirectoryInUse(dataDir)).toBe(false);
    expect(existsSync(join(dataDir, 'db', 'process.json'))).toBe(false);
    const app = await createApp({ ...options, log: silentLog });
    expect(app.queue.pauses()).toMatchObject([
      { scope: { kind: 'target', name: 'disk' }, reason: 'new disk' },
    ]);
    expect(app.queue.limits()).toMatchObject([{ scope: { kind: 'type', name: 'find_dumps' }, jobs: 2 }]);
    await app.stop();
    expect((await cli('resume', '--target', 'disk')).out).toMatch(/^Resumed: target disk\./);
    expect((await json('status')).pauses).toEqual([]);
  });

  test('a folder without a database is not made into an installation', async () => {
    const { cli, dataDir } = await setup();
    const { code, err } = await cli('pause', 'all');
    expect([code, err]).toEqual([2, expect.stringContaining('no readable database')]);
    expect(existsSync(join(dataDir, 'db'))).toBe(false);
  });

  test('the lock file of a process that was killed does not keep its mode', () => {
    const dataDir = temporaryFolder();
    lockDataDirectory(dataDir, { pid: 1, startedAt: '' }).release();
    const file = join(dataDir, 'db', 'process.json');
    writeFileSync(file, 'rubbish', { mode: 0o644 });
    expect(readLockHolder(dataDir)).toBe(null);
    const lock = lockDataDirectory(dataDir, { pid: 1, startedAt: '' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    lock.announce({ url: 'http://127.0.0.1:1/', token: 'x' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    lock.release();
    lock.announce({ url: 'http://127.0.0.1:1/', token: 'x' });
    expect(existsSync(file)).toBe(false);
  });

  test.each([
    [['pause'], /pause what\?\n {2}Write "wikiseed pause all"/],
    [['pause', 'all', '--type', 'upload_ia'], /one name at a time/],
    [['resume'], /resume what\?/],
    [['jobs', 'retry'], /retry which jobs\?/],
    [['jobs', 'retry', '5', '--failed'], /Give one of them/],
    [['jobs', 'retry', '5', '--type', 'upload_ia'], /--type belongs to --failed/],
    [['jobs', 'cancel', 'five'], /five is not a job id/],
    [['jobs', 'limit', 'dumps', 'many'], /many is no limit/],
    [['jobs', 'limit', 'dumps', '1001'], /1001 is no limit/],
    [['jobs', 'limit', 'dumps'], /missing required argument/],
    [['bandwidth', '20'], /"20" is not a rate/],
    [['bandwidth', '0B/s'], /more than 0/],
    [['jobs', 'show'], /missing required argument/],
  ])('wikiseed %j is a usage error that says what to write', async (args, expected) => {
    let err = '';
    const io: CliIo = {
      out: { write: () => {} },
      err: { write: (text) => (err += text) },
      env: {},
      cwd: '/',
      signal: new AbortController().signal,
      readTextFile: () => null,
    };
    expect(await runCli(args, io)).toBe(2);
    expect(err).toMatch(expected);
  });
});
