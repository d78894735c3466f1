import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDb } from '../../src/db/index.ts';
import { createRecordKeeper, rebuildDatabase } from '../../src/maintenance/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { type World, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: what was deleted to make room stays deleted when the database is made again, also when its records are older than the
 * deletion.
 * Method: real records beside real files; the database is lost, and for the second test all records but those of deletions are
 * put back to what they said before.
 */

async function pruned(between: (world: World) => void = () => {}): Promise<{ world: World; old: number[] }> {
  const world = withPruning();
  const old = world.run('20260901', [{}, { dumpType: 'pagelinks' }]);
  const newer = world.run('20261001', [{}, { dumpType: 'pagelinks' }]);
  world.db.sqlite.exec(
    `UPDATE dumps SET md5 = printf('%032x', id), sha1 = printf('%040x', id), sha256 = printf('%064x', id)`,
  );
  world.torrent('2026-09-01', old);
  world.torrent('2026-10-01', newer);
  const { db, disk, layout, clock } = world;
  const keeper = createRecordKeeper({ db, disk, layout, clock, log: silentLog });
  keeper.start();
  await keeper.flush();
  between(world);
  world.need(2000);
  expect(await world.prune()).toMatchObject({ removedFiles: 2 });
  await keeper.flush();
  await keeper.stop();
  return { world, old };
}

async function rebuild({ layout, disk, clock, db }: World): Promise<void> {
  db.close();
  rmSync(join(layout.dataDir, 'db'), { recursive: true });
  await rebuildDatabase({
    ...{ disk, layout, clock, signal: new AbortController().signal, pid: process.pid },
    ...{ verify: false, ignoreBackups: false },
  });
}

function stateOf({ layout }: World): unknown {
  const db = openDb(layout.database, 'readonly');
  const state = {
    files: db.sqlite
      .prepare(
        'SELECT run_date AS run, our_status AS status, local_path IS NULL AS isGone FROM dumps ORDER BY run_date, filename',
      )
      .all(),
    torrents: db.sqlite
      .prepare('SELECT name, retired_at IS NOT NULL AS isRetired FROM torrents ORDER BY name')
      .all(),
    tombstones: db.sqlite
      .prepare('SELECT count(*) FROM deletions WHERE removed_at IS NOT NULL AND dump_id IS NOT NULL')
      .pluck()
      .get(),
  };
  db.close();
  return state;
}

const EXPECTED = {
  files: [
    { run: '20260901', status: 'deleted', isGone: 1 },
    { run: '20260901', status: 'deleted', isGone: 1 },
    { run: '20261001', status: 'included', isGone: 0 },
    { run: '20261001', status: 'included', isGone: 0 },
  ],
  torrents: [
    { name: 'wikimedia-dumps-2026-09-01', isRetired: 1 },
    { name: 'wikimedia-dumps-2026-10-01', isRetired: 0 },
  ],
  tombstones: 2,
};

test('deleted files and retired torrents are in the records', async () => {
  const { world } = await pruned();
  await rebuild(world);
  expect(stateOf(world)).toEqual(EXPECTED);
});

test('records that are older than the deletion do not bring the file back', async () => {
  const { world } = await pruned(({ layout }) =>
    cpSync(layout.records, join(layout.dataDir, 'older'), { recursive: true }),
  );
  const { records, dataDir } = world.layout;
  for (const kind of ['files', 'torrents']) {
    rmSync(join(records, kind), { recursive: true });
    mkdirSync(join(records, kind), { recursive: true });
    cpSync(join(dataDir, 'older', kind), join(records, kind), { recursive: true });
  }
  rmSync(join(dataDir, 'older'), { recursive: true });
  await rebuild(world);
  expect(stateOf(world)).toEqual(EXPECTED);
});
