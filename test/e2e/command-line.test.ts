import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { prepareDemoFolder } from '../../src/cli/demo-folder.ts';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { isDataDirectoryInUse, lockDataDirectory } from '../../src/db/index.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/** Runs a command in this process. */
async function cli(args: string[], env: Record<string, string> = {}) {
  const cwd = temporaryFolder();
  let out = '';
  let err = '';
  const { readFileSync } = await import('node:fs');
  const io: CliIo = {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    env,
    cwd,
    signal: new AbortController().signal,
    readTextFile: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null),
  };
  const code = await runCli(args, io);
  return { code, out, err };
}

function configFile(text: string): string {
  const path = join(temporaryFolder(), 'config.yaml');
  writeFileSync(path, text);
  return path;
}

describe('configuration', () => {
  test('every mistake is listed with key and line, and the exit code is 2', async () => {
    const path = configFile(
      [
        'wikiseed:',
        '  contact: me@example.org',
        'downlod:',
        '  concurrency: 3',
        'download:',
        '  concurrency: many',
        'storage:',
        '  safety_margin: 5 bananas',
      ].join('\n'),
    );
    const { code, err } = await cli(['run', '--config', path]);
    expect(code).toBe(2);
    expect(err).toMatch(/config\.yaml:3:1: error: downlod: .*download/s);
    expect(err).toMatch(/config\.yaml:6:\d+: error: download\.concurrency: /);
    expect(err).toMatch(/config\.yaml:8:\d+: error: storage\.safety_margin: /);
    expect(err).toContain('3 problems in the configuration');
  });

  test('a list of problems is never cut, however long it is', async () => {
    const lines = Array.from({ length: 100 }, (_, at) => `section_${at}: {}`);
    const { err } = await cli(['run', '--config', configFile(lines.join('\n'))]);
    expect(err).toContain('section_99');
    expect(err).toContain('101 problems in the configuration');
  });

  test('without any file it says where it looked and what to do', async () => {
    const { code, err } = await cli(['run']);
    expect(code).toBe(2);
    expect(err).toMatch(/^wikiseed: No configuration file was found \(looked for \.\/config\.yaml and /);
    expect(err).toContain('wikiseed.contact');
    expect(err).not.toContain('error:');
  });

  test('a missing contact is refused with the reason', async () => {
    const { code, err } = await cli(['run', '--config', configFile('wikiseed: {data_dir: /tmp}')]);
    expect(code).toBe(2);
    expect(err).toMatch(/wikiseed\.contact/);
    expect(err).toMatch(/403/);
  });

  test('check and show agree with what is in force, and never print a secret', async () => {
    const path = configFile('wikiseed: {contact: me@example.org}\ndownload: {concurrency: 2}');
    expect(await cli(['config', 'check', '--config', path])).toMatchObject({ code: 0 });
    const shown = await cli(['config', 'show', '--config', path], {
      IA_ACCESS_KEY: 'AKEY',
      IA_SECRET_KEY: 'TOPSECRET',
    });
    expect(shown.code).toBe(0);
    expect(shown.out).toMatch(/concurrency: 2/);
    expect(shown.out).not.toMatch(/TOPSECRET|AKEY/);
  });

  test.each([
    [['runn']],
    [['run', '--nonsense']],
    [['jobs', 'x']],
    [['jobs', '--status', 'sleeping']],
    [['demo', '--wikis', '0']],
    [['demo', '--size', 'huge']],
    [['demo', '--size', '5']],
    [['cycles', 'yesterday']],
    [['cycles', 'show']],
    [['plan', '--cycle', 'yesterday']],
  ])('wikiseed %j is a usage error', async (args) => {
    const { code, err } = await cli(args);
    expect(code).toBe(2);
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe('the folder of a demo', () => {
  test('belongs to one demo of one size, and never to a real installation', async () => {
    const folder = temporaryFolder();
    const nothing = { wikis: null, sizeBytes: null };
    expect(await prepareDemoFolder(folder, { wikis: 3, sizeBytes: 2_000_000 })).toEqual({
      wikis: 3,
      sizeBytes: 2_000_000,
    });
    expect(await prepareDemoFolder(folder, nothing)).toEqual({ wikis: 3, sizeBytes: 2_000_000 });
    expect((await prepareDemoFolder(folder, { wikis: 3, sizeBytes: null })).wikis).toBe(3);
    const other = await cli(['demo', '--exit', '--wikis', '4', '--data-dir', folder]);
    expect(other.code).toBe(2);
    expect(other.err).toContain('holds a demo of 3 wikis and 2 MB');

    const real = temporaryFolder();
    mkdirSync(join(real, 'db'));
    writeFileSync(join(real, 'db', 'jobs.db'), '');
    // Node's own recursive mkdir would never return there.
    expect((await cli(['demo', '--exit', '--data-dir', '/proc/wikiseed'])).err).toMatch(
      /cannot keep anything in \/proc/,
    );
    const refused = await cli(['demo', '--exit', '--data-dir', real]);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('real installation');
    expect(existsSync(join(real, 'sandbox'))).toBe(false);
  });
});

describe('the house it runs in', () => {
  test('whether a daemon holds the data directory can be seen without disturbing it', () => {
    const dataDir = temporaryFolder();
    expect(isDataDirectoryInUse(dataDir)).toBe(false);
    const lock = lockDataDirectory(dataDir, { pid: 1, startedAt: '' });
    expect(isDataDirectoryInUse(dataDir)).toBe(true);
    lock.release();
    expect(isDataDirectoryInUse(dataDir)).toBe(false);
  });

  test('a second instance on the same data directory exits with 11 and names the process', async () => {
    const dataDir = temporaryFolder();
    const lock = lockDataDirectory(dataDir, { pid: 4242, startedAt: '2026-11-23T00:00:00Z' });
    onTestFinished(() => lock.release());
    const path = configFile(
      `wikiseed: {contact: me@example.org, data_dir: ${dataDir}}\nmonitoring: {port: 0}`,
    );
    const { ended } = startWikiseed(['run', '--until-idle', '--config', path]);
    const { code, stderr } = await ended;
    expect(code).toBe(11);
    expect(stderr).toMatch(/process 4242, started 2026-11-23T00:00:00Z/);
  });

  test.each([
    ['below a file', () => join(temporaryFolder(), 'a-file', 'data')],
    ['where the kernel lets nobody create folders', () => '/proc/wikiseed'],
  ])('a data directory %s is one clear sentence and what to do', async (_where, folder) => {
    const dataDir = folder();
    if (!dataDir.startsWith('/proc')) writeFileSync(dirname(dataDir), '');
    const path = configFile(
      `wikiseed: {contact: me@example.org, data_dir: ${dataDir}}\nmonitoring: {port: 0}\nlogging: {level: silent}`,
    );
    const { code, err } = await cli(['run', '--until-idle', '--config', path]);
    expect(code).toBe(1);
    expect(err).toMatch(/^wikiseed: the data directory .* cannot be created/);
    expect(err).toMatch(dataDir.startsWith('/proc') ? /mkdir -p/ : /is a file, not a folder/);
    expect(err).not.toMatch(/\n\s+at /);
  });

  test('a taken port is one clear sentence, and nothing has begun', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => blocker.once('listening', resolve));
    onTestFinished(() => void blocker.close());
    const { port } = blocker.address() as AddressInfo;
    const dataDir = temporaryFolder();
    const path = configFile(
      `wikiseed: {contact: me@example.org, data_dir: ${dataDir}}\nmonitoring: {port: ${port}}\nlogging: {level: silent}`,
    );
    const { code, err } = await cli(['run', '--until-idle', '--config', path]);
    expect(code).toBe(1);
    expect(err).toMatch(new RegExp(`${port}`));
    expect(err).toMatch(/monitoring\.port/);
    expect(err).not.toMatch(/EADDRINUSE/);
    expect(err).not.toMatch(/\n\s+at /);
  });

  test('a full disk halts downloads with a clear sentence and what to do', async () => {
    const sandbox = await withSandbox({ wikis: 1, sizeBytes: 200_000 });
    const options = sandboxConfig(sandbox);
    const { path, env } = writeConfig({
      ...options,
      config: { ...options.config, storage: { ...options.config.storage, safetyMarginBytes: 10 ** 15 } },
    });
    const { code, stderr } = await startWikiseed(['run', '--until-idle', '--config', path], { env }).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /No room in .*, downloads are stopped: less than the safety margin is free: .* are free/,
    );
    expect(stderr).toMatch(/Free some space/);
    expect(sandbox.counters().dumps.fileRequests).toBe(0);
  });

  test('SIGTERM ends the daemon with 130, in time, and a later start finishes the work', async () => {
    const sandbox = await withSandbox({ wikis: 2, sizeBytes: 500_000 });
    const { path, env } = writeConfig(sandboxConfig(sandbox));
    const stall = sandbox.faults.add({ server: 'dumps', match: /\.gz$/, kind: 'stall', atByte: 10 });
    const daemon = startWikiseed(['run', '--config', path], { env });
    await stall.whenFired();
    daemon.child.kill('SIGTERM');
    const { code, stdout } = await daemon.ended;
    expect(code).toBe(130);
    expect(stdout).not.toMatch(/"level":"error"/);
    expect(stdout).toMatch(/"durationMs":\d+,"msg":"stopped"/);
    expect(stdout).toContain('"msg":"effective configuration"');
    for (const secret of [env.IA_SECRET_KEY, env.R2_SECRET_ACCESS_KEY]) expect(stdout).not.toContain(secret);
    stall.release();
    stall.remove();
    expect((await startWikiseed(['run', '--until-idle', '--config', path], { env }).ended).code).toBe(0);
  });

  test('dry-run is the plan: what would be fetched, and nothing is written', async () => {
    const sandbox = await withSandbox({ wikis: 2, sizeBytes: 500_000 });
    const options = sandboxConfig(sandbox, join(temporaryFolder(), 'not-there'));
    const { path, env } = writeConfig(options);
    const { code, out } = await cli(['run', '--dry-run', '--json', '--config', path], env);
    expect(code).toBe(0);
    const plan = JSON.parse(out) as { cycle: string; files: { action: string }[] };
    expect(plan.cycle).toBe('2026-11-20');
    expect(plan.files.filter((file) => file.action === 'download').length).toBeGreaterThan(5);
    expect(existsSync(options.config.wikiseed.dataDir)).toBe(false);
    expect(sandbox.counters().dumps.fileRequests).toBe(0);
  });

  test('status, jobs, cycles, wikis and coverage read what a run left, as text and as JSON', async () => {
    const sandbox = await withSandbox({ wikis: 2, sizeBytes: 500_000 });
    const { path, env } = writeConfig(sandboxConfig(sandbox));
    expect((await cli(['status', '--config', path], env)).err).toMatch(
      /nothing is known yet: there is no readable database at .*\n.*"wikiseed run" begins/,
    );
    await startWikiseed(['run', '--until-idle', '--config', path], { env }).ended;
    expect((await cli(['status', '--config', path], env)).out).toMatch(/^WikiSeed is not running; .*2026/s);
    const status = JSON.parse((await cli(['status', '--json', '--config', path], env)).out) as object;
    expect(status).toMatchObject({ daemonRunning: false });
    const jobs = JSON.parse((await cli(['jobs', '--json', '--config', path], env)).out) as { total: number };
    expect(jobs.total).toBeGreaterThan(10);
    expect((await cli(['jobs', '1', '--config', path], env)).out).toMatch(/discover_wikis/);
    const cycles = JSON.parse((await cli(['cycles', '--json', '--config', path], env)).out) as {
      cycleDate: string;
    }[];
    expect((await cli(['cycles', '--config', path], env)).out).toMatch(/\d\n$/);
    const date = cycles[0]?.cycleDate ?? '';
    const shown = await cli(['cycles', 'show', date, '--config', path], env);
    expect(shown.out).toMatch(
      /^Cycle 2026-11-20: published, \d+ of \d+ files held\nsealed on .* supplement\n/,
    );
    expect(shown.out).toMatch(/classic dumps +2 +0 +\d +\d+\/\d+/);
    expect(shown.out).not.toContain('.xml.bz2');
    expect((await cli(['cycles', date, '--config', path], env)).out).toBe(shown.out);
    expect((await cli(['cycles', 'show', date, '--all', '--config', path], env)).out).toContain(
      'pages-articles.xml.bz2',
    );
    const detail = JSON.parse((await cli(['cycles', 'show', date, '--json', '--config', path], env)).out);
    expect(detail).toMatchObject({ cycleDate: date, sources: [{ source: 'classic' }], replaced: [] });
    expect(detail.fileList.length).toBe(detail.files.expected);
    expect((await cli(['cycles', 'show', '2026-11-01', '--config', path], env)).code).toBe(2);

    const wikis = await cli(['wikis', '--config', path], env);
    expect(wikis.out).toMatch(/aawiki +wikipedia +aa +closed +yes +closed, still dumped +\d{4}-/);
    expect(wikis.out).toMatch(/\d wikis: \d taken, 1 not, 0 vanished/);
    const excluded = JSON.parse((await cli(['wikis', '--excluded', '--json', '--config', path], env)).out);
    expect(excluded).toMatchObject([{ isPrivate: true, included: false }]);
    expect((await cli(['wikis', '--vanished', '--config', path], env)).out).toContain('No wiki matches.');

    const coverage = await cli(['coverage', '--config', path], env);
    expect(coverage.out).toMatch(/covered +wikipedia +aa +aawiki +2026-11-20 +\d+ d +this disk/);
    expect(coverage.out).toMatch(
      /2 of 2 wikis that are taken and that upstream dumps have a verified copy: 100 %\n$/,
    );
    const csv = await cli(['coverage', '--csv', '--config', path], env);
    expect(csv.out.split('\r\n')[0]).toBe(
      'wiki,project,language,state,cycle,age_days,source,dump_type,files,size_bytes,places,reason',
    );
    const covered = JSON.parse((await cli(['coverage', '--json', '--config', path], env)).out);
    expect(covered.totals).toEqual({ counted: 2, covered: 2, missing: 0, percent: 100 });
    const missing = (await cli(['coverage', '--missing', '--config', path], env)).out;
    expect(missing).toMatch(/^Nothing is missing\.\n/);
    expect(missing).not.toContain('No wiki matches.');
    const ofOne = (await cli(['coverage', '--project', 'wikipedia', '--config', path], env)).out;
    // Nothing of other projects, neither as rows nor in the sum.
    expect(ofOne).not.toMatch(/commons|\nproject +covered/);
    expect(ofOne).toMatch(/\n(\d+) of \1 wikis? of the project wikipedia that are taken .*: 100 %\n$/);
    expect((await cli(['coverage', '--project', 'nothing', '--config', path], env)).code).toBe(2);
    expect((await cli(['coverage', '--csv', '--json', '--config', path], env)).code).toBe(2);
  });
});
