import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { backupCommand } from '../../src/cli/backup-command.ts';
import { backupsCommand } from '../../src/cli/backups-command.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { restoreCommand } from '../../src/cli/restore-command.ts';
import { lockDataDirectory } from '../../src/db/index.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/** Goal: the commands beside a running daemon and without one, as people and scripts read them. */
function setup() {
  const dataDir = temporaryFolder();
  const config = join(temporaryFolder(), 'config.yaml');
  writeFileSync(config, `wikiseed:\n  contact: someone@example.org\n  data_dir: ${dataDir}\n`);
  const printed: string[] = [];
  const stream = { write: (text: string) => void printed.push(text) };
  const io: CliIo = {
    out: stream,
    err: { write: () => {} },
    env: {},
    cwd: dataDir,
    readTextFile: (path) => readFileSync(path, 'utf8'),
    signal: new AbortController().signal,
  };
  const text = (): string => printed.splice(0).join('');
  return { dataDir, config, io, text };
}

test('backup, backups and restore, for people and for scripts', async () => {
  const { dataDir, config, io, text } = setup();
  expect(await backupsCommand(io, { config })).toBe(0);
  expect(text()).toMatch(/No backups/);
  await expect(backupCommand(io, { config })).rejects.toMatchObject({ code: 'usage' });

  const db = withDb(dataDir);
  const daemon = lockDataDirectory(dataDir, { pid: process.pid, startedAt: 'now' });
  expect(await backupCommand(io, { config })).toBe(0);
  expect(text()).toMatch(/\/backups\/jobs-.*\.db\.gz\n.* of database in .*, verified, in /);
  expect(await backupCommand(io, { config, json: true })).toBe(0);
  const newest = JSON.parse(text()) as { name: string; path: string };
  expect(newest).toMatchObject({
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    schema: expect.any(Number),
  });

  expect(await backupsCommand(io, { config, verify: true })).toBe(0);
  expect(text()).toMatch(/manual .* good +.*last good one[\s\S]*2 copies in .*\/backups\n$/);
  await expect(restoreCommand(io, undefined, { config })).rejects.toMatchObject({ code: 'already_running' });
  expect(await restoreCommand(io, undefined, { config, dryRun: true })).toBe(0);
  expect(text()).toMatch(/Would restore jobs-.* Nothing was changed/);
  daemon.release();
  db.close();

  writeFileSync(newest.path, 'x');
  expect(await backupsCommand(io, { config, verify: true, json: true })).toBe(1);
  const { backups } = JSON.parse(text()) as { backups: { name: string; isGood: boolean; fate: string }[] };
  expect(backups.map(({ isGood }) => isGood)).toEqual([false, true]);
  expect(await restoreCommand(io, undefined, { config })).toBe(0);
  expect(text()).toMatch(
    /^Passed over jobs-.*: .*\nRestored jobs-.*\nWhat was there before is kept in .*replaced-.*\nNext: start "wikiseed run"/,
  );
});
