import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { demoConfig } from '../../src/cli/demo-config.ts';
import { environmentFor, writeDemoFiles } from '../../src/cli/demo-files.ts';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { loadConfig } from '../../src/config/index.ts';
import { withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/**
 * Goal: whoever tries the demo can try the commands on it, and none of them reaches the real Wikimedia.
 * Method: a whole demo that stays up, in this process; each command beside it with the configuration that it names.
 */
function ioFor(options: { env?: Record<string, string>; signal?: AbortSignal } = {}) {
  const said = { out: '', err: '' };
  const io: CliIo = {
    out: { write: (text) => (said.out += text) },
    err: { write: (text) => (said.err += text) },
    env: options.env ?? {},
    cwd: temporaryFolder(),
    signal: options.signal ?? new AbortController().signal,
    readTextFile: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null),
  };
  return { io, said };
}

test('the file of a demo reads as the configuration it runs with, keys and all', async () => {
  const sandbox = await withSandbox({ wikis: 1, sizeBytes: 100_000 });
  const own = demoConfig(sandbox, { dataDir: temporaryFolder(), port: 8123 });
  const path = writeDemoFiles(own);
  const { io } = ioFor();
  const load = (env: CliIo['env']) => loadConfig({ path, env, readTextFile: io.readTextFile });
  expect(load(environmentFor(io, path))).toMatchObject({ ok: true, ...own, warnings: [] });
  // Only what differs from a real installation is in it.
  expect(readFileSync(path, 'utf8')).not.toMatch(/wikimedia\.org|archive\.org|embargo/);
  const mine = { IA_ACCESS_KEY: 'mine' };
  expect(load(environmentFor(ioFor({ env: mine }).io, path))).toMatchObject({
    secrets: { iaAccessKey: 'mine', iaSecretKey: sandbox.iaKeys.secret },
  });
  // Named by the environment it is the same; any other configuration finds no keys there.
  const named = ioFor({ env: { WIKISEED_CONFIG: path } }).io;
  expect(environmentFor(named, undefined)).toMatchObject({ CREDENTIALS_DIRECTORY: expect.any(String) });
  expect(environmentFor(io, join(temporaryFolder(), 'config.yaml'))).toBe(io.env);
});

test('every command works beside a demo that stays up', async () => {
  const stop = new AbortController();
  const dataDir = join(temporaryFolder(), "a demo's folder");
  const demo = ioFor({ signal: stop.signal, env: { npm_lifecycle_event: 'demo' } });
  const args = ['demo', '--wikis', '3', '--size', '600kB', '--port', '0', '--data-dir', dataDir];
  const ended = runCli(args, demo.io);
  try {
    await expect.poll(() => demo.said.out + demo.said.err, { timeout: 120_000 }).toMatch(/stays up|did not/);
    expect(demo.said.err).not.toContain('did not succeed');
    const config = join(dataDir, 'demo.yaml');
    // As a shell takes it, quote and all.
    expect(demo.said.out).toContain(
      `npm run wikiseed -- status --config '${config.replaceAll("'", "'\\''")}'\n`,
    );
    const cli = async (...command: string[]): Promise<string> => {
      const { io, said } = ioFor();
      const code = await runCli([...command, '--config', config], io);
      expect({ command, code, err: said.err }).toEqual({ command, code: 0, err: '' });
      return said.out;
    };
    expect(await cli('config', 'check')).toMatch(/: ok\n$/);
    const status = await cli('status');
    expect(status).toMatch(/^All is well\./);
    // The name of a torrent is what tells it from others: it is never cut short for the infohash.
    expect(status).toMatch(/ {2}wikimedia-dumps-\d{4}-\d{2}-\d{2} /);
    const date = /wikimedia-dumps-(\S+)/.exec(status)?.[1] as string;
    expect(await cli('plan')).toContain(`Cycle ${date} (published`);
    expect(await cli('plan', '--ask')).toContain(`Cycle ${date} (published`);
    expect(await cli('wikis')).toContain('aawiki');
    expect(await cli('cycles', 'show', date)).toContain(`Cycle ${date}: published`);
    expect(await cli('coverage')).toMatch(/3 of 3 wikis .*: 100 %\n$/);
    expect(await cli('prune', '--dry-run')).toContain('nothing would be deleted');
    expect(await cli('torrents')).toContain('seeding');
    expect(await cli('torrents', 'verify', '--all')).toMatch(/all \d+ pieces are right/);
    expect(await cli('verify')).toContain('All of them are what is recorded.');
    expect(await cli('jobs')).toContain('completed');
  } finally {
    stop.abort();
  }
  expect(await ended).toBe(0);
});
