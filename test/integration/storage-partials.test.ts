import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import {
  cleanPartials,
  createLayout,
  dumpNameOf,
  PARTIAL_REST_MS,
  type PartialRun,
  runFolder,
  runOfFolder,
} from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { runOfEveryState } from '../helpers/partials-world.ts';
import { partPath, storageBundle } from '../helpers/storage-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const NOW = Date.parse('2026-11-21T00:00:00Z');
const OLD = NOW - PARTIAL_REST_MS - 1000;

/** A file below `dumps/.partial`, and its folders, of that time. */
function part(dataDir: string, path: string, atMs = OLD): string {
  const absolute = partPath(dataDir, path);
  mkdirSync(dirname(absolute), { recursive: true });
  writeFileSync(absolute, 'x'.repeat(5000));
  utimesSync(absolute, atMs / 1000, atMs / 1000);
  return absolute;
}

/** Writing a name makes its folder young; a real one is an hour old when it matters. */
function ageFolders(dataDir: string, atMs = OLD): void {
  const root = partPath(dataDir);
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' }))
    if (!path.split('/').at(-1)?.includes('.')) utimesSync(join(root, path), atMs / 1000, atMs / 1000);
}

const below = (dataDir: string): string[] =>
  readdirSync(partPath(dataDir), { recursive: true, encoding: 'utf8' }).sort();

async function clean(
  dataDir: string,
  live: Record<string, string[]> = {},
  disk: Disk = createNodeDisk(),
  signal?: AbortSignal,
) {
  return await cleanPartials({
    disk,
    layout: createLayout(dataDir),
    clock: new FakeClock(NOW),
    log: silentLog,
    liveNames: (run) => new Set(live[`${run.wikiDbName}/${runFolder(run)}`] ?? []),
    ...(signal === undefined ? {} : { signal }),
  });
}

test.each<[string, string | null]>([
  ['x.sql.gz.part', 'x.sql.gz'],
  ['x.sql.gz.part.state', 'x.sql.gz'],
  ['x.sql.gz.part.state.tmp', 'x.sql.gz'],
  ['x.part.part', 'x.part'],
  ['x.sql.gz', null],
  ['.part', null],
  ['-x.part', null],
  ['x.partial', null],
])('%s belongs to %s', (name, dumpName) => {
  expect(dumpNameOf(name)).toBe(dumpName);
});

test('folders are read as they are named', () => {
  const runs: PartialRun[] = [
    { wikiDbName: 'aawiki', source: 'classic', runDate: '20261120' },
    { wikiDbName: 'aawiki', source: 'content_current', runDate: '2026-11-01' },
    { wikiDbName: 'aawiki', source: 'content_history', runDate: '2026-11-01' },
  ];
  for (const run of runs) expect(runOfFolder('aawiki', runFolder(run))).toEqual(run);
  for (const [wiki, folder] of [
    ['aawiki', 'latest'],
    ['.x', '20261120'],
    ['aawiki', '2026-11-01-other'],
  ])
    expect(runOfFolder(wiki as string, folder as string)).toBeNull();
});

test('removes what nobody goes on with, and never what is live or young', async () => {
  const dataDir = temporaryFolder();
  const kept = [
    part(dataDir, 'aawiki/20261120/live.gz.part'),
    part(dataDir, 'aawiki/20261120/live.gz.part.state'),
    part(dataDir, 'aawiki/2026-11-01-history/live.gz.part'),
    part(dataDir, 'aawiki/20261120/young.gz.part', NOW - PARTIAL_REST_MS + 1000),
    // A clock that was set back must not make everything old.
    part(dataDir, 'aawiki/20261120/future.gz.part', NOW + 1000),
  ];
  const gone = [
    part(dataDir, 'aawiki/20261120/settled.gz.part'),
    part(dataDir, 'aawiki/20261120/settled.gz.part.state'),
    part(dataDir, 'aawiki/20261120/settled.gz.part.state.tmp'),
    part(dataDir, 'aawiki/20261120/unknown'),
    part(dataDir, 'aawiki/20261120/folder/strange'),
    // The same name in another run of the wiki, and in a source that shares its date.
    part(dataDir, 'aawiki/2026-11-01/live.gz.part'),
    part(dataDir, 'gonewiki/20250101/x.gz.part'),
    part(dataDir, 'gonewiki/lost/x.gz.part'),
    part(dataDir, 'stray'),
  ];
  mkdirSync(partPath(dataDir, 'emptywiki', '20260101'), { recursive: true });
  ageFolders(dataDir);
  const done = await clean(dataDir, {
    'aawiki/20261120': ['live.gz'],
    'aawiki/2026-11-01-history': ['live.gz'],
  });
  for (const path of kept) expect([path, existsSync(path)]).toEqual([path, true]);
  for (const path of gone) expect([path, existsSync(path)]).toEqual([path, false]);
  expect(done).toEqual({ removedFiles: 9, freedBytes: 9 * 5000, keptFiles: 3, youngFiles: 2 });
  // Folders stay young for an hour after something in them went.
  ageFolders(dataDir);
  await clean(dataDir, { 'aawiki/20261120': ['live.gz'], 'aawiki/2026-11-01-history': ['live.gz'] });
  expect(below(dataDir).filter((path) => !path.includes('.'))).toEqual([
    'aawiki',
    'aawiki/2026-11-01-history',
    'aawiki/20261120',
  ]);
});

test('a file that is asked for anew in the last moment is kept', async () => {
  const dataDir = temporaryFolder();
  const path = part(dataDir, 'aawiki/20261120/x.gz.part');
  const node = createNodeDisk();
  const live: Record<string, string[]> = {};
  const disk: Disk = {
    ...node,
    async stat(asked) {
      const facts = await node.stat(asked);
      if (asked === path) live['aawiki/20261120'] = ['x.gz'];
      return facts;
    },
  };
  expect(await clean(dataDir, live, disk)).toMatchObject({ removedFiles: 0, keptFiles: 1 });
  expect(existsSync(path)).toBe(true);
});

test('cut short anywhere, the next cleaning ends it, and a state never outlives its part by half', async () => {
  const names = ['a.gz.part', 'a.gz.part.state', 'b.gz.part', 'b.gz.part.state'];
  for (let cut = 0; cut <= names.length; cut += 1) {
    const dataDir = temporaryFolder();
    for (const name of names) part(dataDir, `aawiki/20261120/${name}`);
    const node = createNodeDisk();
    let left = cut;
    const dying: Disk = {
      ...node,
      async remove(path) {
        if (left === 0) throw new Error('killed');
        left -= 1;
        await node.remove(path);
      },
    };
    const first = clean(dataDir, {}, dying);
    if (cut < names.length) await expect(first).rejects.toThrow('killed');
    else await first;
    const now = below(dataDir).map((path) => path.split('/').at(-1) as string);
    // A part file whose state is gone might look like one that needs none.
    for (const name of now.filter((it) => it.endsWith('.part'))) expect(now).toContain(`${name}.state`);
    await clean(dataDir);
    expect(below(dataDir).filter((path) => path.includes('.'))).toEqual([]);
  }
});

test('stops when it is told to', async () => {
  const dataDir = temporaryFolder();
  const path = part(dataDir, 'aawiki/20261120/x.gz.part');
  await expect(clean(dataDir, {}, createNodeDisk(), AbortSignal.abort())).rejects.toMatchObject({
    code: 'interrupted',
  });
  expect(existsSync(path)).toBe(true);
  expect(await clean(temporaryFolder())).toMatchObject({ removedFiles: 0 });
});

test('the catalog says what is live: pending, downloading, being replaced, or at a job; cleaned at the start and daily', async () => {
  const paths: Record<string, string> = {};
  const t = await storageBundle({
    prepare: ({ catalog, db, dataDir }) => {
      const ids = runOfEveryState(catalog, db);
      for (const name of Object.keys(ids))
        paths[name] = part(dataDir, `aawiki/20261120/${name}.part`, Date.parse('2026-11-20T00:00:00Z'));
      db.sqlite
        .prepare(
          `INSERT INTO jobs (job_type, unique_key, params, status, dump_id, priority, attempt, max_attempts, next_retry_at, created_at, is_due)
           VALUES ('store', 'store:f', '{"name":"f","sizeBytes":1}', 'pending', ?, 100, 0, 5, 9e15, 0, 0)`,
        )
        .run(ids['failed-retried.gz']);
    },
  });
  const left = (): string[] =>
    Object.keys(paths)
      .filter((name) => existsSync(paths[name] as string))
      .sort();
  /** The files are real, so the turns they take are not those of the clock. The last name of all is removed last. */
  const cleaned = async (count: number) => {
    while (left().length > count) await new Promise(setImmediate);
  };
  await cleaned(4);
  expect(left()).toEqual(['downloading.gz', 'failed-retried.gz', 'pending.gz', 'replaced.gz']);

  t.db.sqlite.exec("UPDATE dumps SET our_status = 'failed' WHERE filename = 'pending.gz'");
  await t.clock.advance(23 * 3_600_000);
  expect(existsSync(paths['pending.gz'] as string)).toBe(true);
  await t.clock.advance(3_600_000);
  await cleaned(3);
  await t.storage.stop();
  expect(left()).toEqual(['downloading.gz', 'failed-retried.gz', 'replaced.gz']);
});
