/**
 * Goal: a plan followed by a run differs in nothing, and a plan changes nothing on disk.
 * Method: the command line against the sandbox, before, beside and after real runs; what the sandbox served is its own record.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { makePlan } from '../../src/cli/make-plan.ts';
import type { Config } from '../../src/config/index.ts';
import { lockDataDirectory } from '../../src/db/index.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

interface PlanJson {
  cycle: string;
  files: {
    wiki: string;
    source: string;
    run_date: string;
    dump_type: string | null;
    file: string | null;
    size_bytes: number | null;
    url: string | null;
    action: 'download' | 'held' | 'wait' | 'skip';
    reason: string;
  }[];
  wikis: { wiki: string; included: boolean; reason: string }[];
  notices: string[];
}

async function setup(change: (config: Config) => Config = (config) => config) {
  const sandbox = await withSandbox({ wikis: 4, sizeBytes: 1_500_000, runDates: ['20261101', '20261120'] });
  const options = sandboxConfig(sandbox, join(temporaryFolder(), 'not-there'));
  const config = change(options.config);
  const { path, env } = writeConfig({ ...options, config });
  const cli = async (...args: string[]) => {
    let out = '';
    let err = '';
    const io: CliIo = {
      ...{ out: { write: (text) => (out += text) }, err: { write: (text) => (err += text) } },
      ...{ env, cwd: '/', signal: new AbortController().signal },
      readTextFile: (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
    };
    const code = await runCli([...args, '--config', path], io);
    return { code, out, err };
  };
  const plan = async (...args: string[]) => {
    const { code, out, err } = await cli('plan', '--json', ...args);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return JSON.parse(out) as PlanJson;
  };
  const run = () => startWikiseed(['run', '--until-idle', '--config', path], { env });
  return {
    sandbox,
    options: { ...options, config },
    cli,
    plan,
    run,
    path,
    env,
    dataDir: config.wikiseed.dataDir,
  };
}

/** Every file below a folder with its size. */
function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => [path, statSync(join(folder, path))] as const)
    .filter(([, facts]) => facts.isFile())
    .map(([path, facts]) => `${path} ${facts.size} ${facts.mtimeMs}`)
    .sort();
}

test('what is planned before the first run is what the run does, byte by byte', async () => {
  const { sandbox, cli, plan, run, dataDir } = await setup();
  const before = await plan();
  expect(Object.keys(before)).toEqual(['cycle', 'files', 'wikis', 'notices']);
  expect(before.cycle).toBe('2026-11-20');
  expect(before.notices.join()).toContain('nothing was stored');
  expect(existsSync(dataDir)).toBe(false);
  expect(sandbox.counters().dumps.fileRequests).toBe(0);
  const wanted = before.files.filter(({ action }) => action === 'download');
  expect(wanted.length).toBeGreaterThan(20);
  for (const row of before.files) expect(row.reason, JSON.stringify(row)).not.toBe('');
  for (const row of wanted)
    expect(row.url).toBe(`${sandbox.dumpsBaseUrl}/${row.wiki}/${row.run_date}/${row.file}`);
  expect(before.wikis.some(({ included }) => !included)).toBe(true);
  // `run --dry-run` is the same plan.
  expect(JSON.parse((await cli('run', '--dry-run', '--json')).out)).toEqual(before);

  expect([0, 3]).toContain((await run().ended).code);
  const dumps = tree(join(dataDir, 'dumps')).map((line) => line.split(' ').slice(0, 2).join(' '));
  expect(dumps).toEqual(
    wanted.map((row) => `${row.wiki}/${row.run_date}/${row.file} ${row.size_bytes}`).sort(),
  );
  expect(sandbox.counters().dumps.fileRequests).toBe(wanted.length);

  const asked = sandbox.counters().dumps.requests;
  const onDisk = tree(dataDir);
  const after = await plan();
  expect(sandbox.counters().dumps.requests).toBe(asked);
  expect(tree(dataDir)).toEqual(onDisk);
  const word = (action: string) => (action === 'download' ? 'held' : action);
  const keys = (rows: PlanJson['files'], change = (action: string) => action) =>
    rows.map((row) => [row.wiki, row.source, row.file ?? row.dump_type, row.size_bytes, change(row.action)]);
  expect(keys(after.files)).toEqual(keys(before.files, word));
  expect(after.notices.join()).toMatch(/planned from the last looks at upstream, .* ago/);
  // All of it is there: a run does not look again, so nothing is asked.
  const again = await plan('--ask');
  expect(sandbox.counters().dumps.requests).toBe(asked);
  expect(again.notices.join()).toContain('not asked: a run does not look at this cycle again');
  expect(keys(again.files)).toEqual(keys(after.files));
  expect(tree(dataDir)).toEqual(onDisk);
});

test('an earlier cycle with history and content exports is planned when it is named', async () => {
  const { plan, cli, dataDir } = await setup();
  const earlier = await plan('--cycle', '2026-11-01');
  expect(earlier.cycle).toBe('2026-11-01');
  expect(
    earlier.files.some((row) => row.dump_type === 'pages-meta-history' && row.action === 'download'),
  ).toBe(true);
  expect(earlier.notices.join()).toContain('would not be opened by itself');
  for (const [args, words] of [
    [['--cycle', '2026-11-05'], /2026-11-05 is no cycle that can be planned/],
    [['--cycle', '2026-13-01'], /is not a cycle date/],
    [['--cycle', 'today'], /is not a cycle date/],
    [['--cycle', '2019-11-20'], /is no cycle that can be planned/],
  ] as const) {
    const { code, err } = await cli('plan', ...args);
    expect(code).toBe(2);
    expect(err).toMatch(words);
  }
  expect(existsSync(dataDir)).toBe(false);
});

test('it is planned beside a running daemon, which is not disturbed', async () => {
  const { sandbox, plan, path, env } = await setup();
  const stall = sandbox.faults.add({
    server: 'dumps',
    match: /pages-articles\.xml\.bz2$/,
    kind: 'stall',
    atByte: 10,
  });
  const daemon = startWikiseed(['run', '--until-idle', '--config', path], { env });
  await stall.whenFired();
  const before = sandbox.counters().dumps.requests;
  const meanwhile = await plan();
  expect(meanwhile.files.some((row) => row.reason === 'a download is under way')).toBe(true);
  // The daemon may ask for its next file; the plan asks for nothing.
  expect(sandbox.counters().dumps.requests - before).toBeLessThan(30);
  stall.release();
  stall.remove();
  expect([0, 3]).toContain((await daemon.ended).code);
  expect((await plan()).files.every((row) => row.action !== 'download')).toBe(true);
});

test('a database of an earlier version is read as it is, and left so', async () => {
  const { sandbox, plan, dataDir } = await setup();
  mkdirSync(join(dataDir, 'db'), { recursive: true });
  const database = new Database(join(dataDir, 'db', 'jobs.db'));
  database.exec(readFileSync(join(import.meta.dirname, '..', 'data', 'schema-1.sql'), 'utf8'));
  database.pragma('journal_mode = WAL');
  database.close();
  const before = tree(dataDir);
  const { cycle, files, notices } = await plan();
  expect(cycle).toBe('2026-11-20');
  expect(files.filter(({ action }) => action === 'held').length).toBeGreaterThan(10);
  expect(notices.join()).toMatch(
    /no cycle is open or due; 2026-11-20 is the newest one, and it is published/,
  );
  expect(tree(dataDir)).toEqual(before);
  expect(sandbox.counters().dumps.requests).toBe(0);
});

test('the screen is short, and tells single wikis when asked', async () => {
  const { cli } = await setup((config) => ({
    ...config,
    dumps: { ...config.dumps, regularTypes: ['pages-articles', 'abstract'] },
    discovery: { ...config.discovery, wikis: { ...config.discovery.wikis, exclude: ['aa*'] } },
  }));
  const short = await cli('plan');
  expect(short.code).toBe(0);
  expect(short.out).toMatch(/^Cycle 2026-11-20 \(due, without history\): \d+ files? to download \(/);
  expect(short.out).toMatch(/classic +pages-articles +download +\d+ +\d+/);
  expect(short.out).toMatch(/skip +abstract +\d+ +0 +not offered by this wiki/);
  expect(short.out).toMatch(
    /^\d+ dump types that are not configured: \d+ wikis, \d+ files\n--all lists every file$/m,
  );
  expect(short.out).not.toContain('its type (');
  expect(short.out).toMatch(/excluded by discovery\.wikis\.exclude/);
  expect(short.out).not.toContain('.xml.bz2');
  const all = await cli('plan', '--all');
  expect(all.out).toContain('.xml.bz2');
  expect(all.out).toMatch(/classic +abstract +- +skip +/);
  const none = await cli('plan', '--wiki', 'zz*');
  expect([none.code, none.out]).toEqual([2, '']);
  expect(none.err).toMatch(/no wiki matches zz\*\n +"wikiseed wikis" lists those we know/);
  const one = JSON.parse((await cli('plan', '--json', '--wiki', 'aa*')).out) as PlanJson;
  expect(one.files).toEqual([]);
  expect(one.wikis).toMatchObject([{ wiki: 'aawiki', included: false }]);
});

const CYCLE = '2026-11-20';
const REDIRECT = 'aawiki-20261120-redirect.sql.gz';

test('what failed upstream and is run again after the cycle was sealed is planned, and then fetched into a supplement', async () => {
  const { sandbox, options } = await setup();
  const { config } = options;
  const day = async (at: string) => {
    const { app } = await withApp(options, { clock: shiftedClock(at) });
    await app.whenIdle();
    return app;
  };
  const planOn = async (at: string, ask: boolean) => {
    const signal = new AbortController().signal;
    const plan = await makePlan({ config, signal, cycleDate: CYCLE, ask, clock: shiftedClock(at) });
    const rows = plan.files.filter((row) => row.wikiDbName === 'aawiki' && row.dumpType === 'redirect');
    return { ...plan, redirect: rows.map((row) => [row.filename, row.action, row.reason]) };
  };
  const run = sandbox.upstream.run('aawiki', '20261120');
  await run.setJob('redirecttable', 'failed');
  const first = await day('2026-11-23T12:00:00Z');
  expect(first.catalog.cycle(CYCLE)?.status).toBe('published');
  await first.stop();
  await run.setJob('redirecttable', 'done');

  const onDisk = tree(config.wikiseed.dataDir);
  const stored = await planOn('2026-11-25T12:00:00Z', false);
  expect(stored.redirect[0]?.slice(1)).toEqual(['skip', expect.stringContaining('failed upstream')]);
  const asked = await planOn('2026-11-25T12:00:00Z', true);
  expect(asked.redirect).toEqual([[REDIRECT, 'download', 'its type is configured']]);
  expect(asked.notices.join()).toMatch(/sealed 1 d 23 h ago: what comes now goes into a supplement/);
  expect(tree(config.wikiseed.dataDir)).toEqual(onDisk);

  const second = await day('2026-11-25T12:00:00Z');
  const fetched = second.catalog.dumpFiles(CYCLE).find(({ filename }) => filename === REDIRECT);
  expect(fetched?.ourStatus).toBe('included');
  expect(second.catalog.torrentsOfCycle(CYCLE).map(({ supplement }) => supplement)).toEqual([0, 1]);
  await second.stop();

  // Nothing of it can come any more: a run does not look at it, so neither does a plan.
  const before = sandbox.counters().dumps.requests;
  const over = await planOn('2027-01-10T12:00:00Z', true);
  expect(sandbox.counters().dumps.requests).toBe(before);
  expect(over.files.filter(({ action }) => action === 'download' || action === 'wait')).toEqual([]);
  expect(over.notices.join()).toMatch(
    /a run does not look at this cycle again.*takes no late files any more/,
  );
});

test('a daemon with three connections leaves none for a plan', async () => {
  const limit = (perHostConnections: number) => (config: Config) => ({
    ...config,
    download: { ...config.download, perHostConnections },
  });
  for (const [connections, code] of [
    [3, 2],
    [2, 0],
  ] as const) {
    const { sandbox, cli, dataDir } = await setup(limit(connections));
    mkdirSync(join(dataDir, 'db'), { recursive: true });
    const lock = lockDataDirectory(dataDir, { pid: process.pid, startedAt: '2026-11-23T00:00:00Z' });
    const told = await cli('plan', '--ask');
    lock.release();
    expect([connections, told.code]).toEqual([connections, code]);
    expect(sandbox.counters().dumps.requests > 0).toBe(code === 0);
    if (code === 0) continue;
    expect(told.err).toMatch(
      /running daemon may have all 3 connections.*\n +Stop the daemon first, or set download/,
    );
    expect((await cli('plan', '--ask')).code).toBe(0);
  }
});

test('a wiki that is dumped, but not named by the site matrix, is told by plans and by the list of wikis', async () => {
  const { sandbox, cli, plan, run } = await setup();
  const notice = /1 wiki is dumped, but the site matrix does not name it, so it is not taken: aawiki/;
  const early = await cli('wikis');
  expect([early.code, early.out]).toEqual([2, '']);
  expect(early.err).toMatch(/nothing is known yet: .*\n +"wikiseed run" begins/);
  await sandbox.upstream.siteMatrix.remove('aawiki');
  await sandbox.upstream.siteMatrix.flag('commonswiki', { private: true });
  const before = await plan();
  expect(before.notices.join('\n')).toMatch(notice);
  expect(before.notices.join('\n')).toMatch(/1 wiki is private, but dumped; it is not taken: commonswiki/);
  await run().ended;
  expect((await plan()).notices.join('\n')).toMatch(notice);
  expect((await cli('plan')).out).toMatch(notice);
  const wikis = await cli('wikis');
  expect(wikis.out).toMatch(
    /\nDumped by upstream, but not named by the site matrix, so not taken:\nwiki +source +last seen dumped\naawiki +classic +2026-/,
  );
  const rows = JSON.parse((await cli('wikis', '--json')).out) as object[];
  expect(rows.filter((row) => 'places' in row)).toMatchObject(
    [{ wikiDbName: 'aawiki', included: false, reason: /named by the site matrix/ }].map((row) => ({
      ...row,
      reason: expect.stringMatching(row.reason),
    })),
  );
});
