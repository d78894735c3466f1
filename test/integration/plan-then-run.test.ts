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
import type { Config } from '../../src/config/index.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
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
  return { sandbox, cli, plan, run, path, env, dataDir: config.wikiseed.dataDir };
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
  // Asking again says the same, and stores nothing either.
  const again = await plan('--ask');
  expect(sandbox.counters().dumps.requests).toBeGreaterThan(asked);
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
  expect(short.out).toMatch(/and \d+ more reasons; --all lists every file/);
  expect(short.out).toMatch(/excluded by discovery\.wikis\.exclude/);
  expect(short.out).not.toContain('.xml.bz2');
  const all = await cli('plan', '--all');
  expect(all.out).toContain('.xml.bz2');
  expect(all.out).toMatch(/classic +abstract +- +skip +/);
  const none = await cli('plan', '--wiki', 'zz*');
  expect(none.out).toContain('nothing to download');
  const one = JSON.parse((await cli('plan', '--json', '--wiki', 'aa*')).out) as PlanJson;
  expect(one.files).toEqual([]);
  expect(one.wikis).toMatchObject([{ wiki: 'aawiki', included: false }]);
});
