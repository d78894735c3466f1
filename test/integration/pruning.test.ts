import {
  existsSync,
  linkSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DumpFileId } from '../../src/lib/index.ts';
import { readFacts } from '../../src/pruning/read-facts.ts';
import { NOW, namesBelow, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: only what the plan names goes, its bytes really go, its torrents are retired, and nothing goes without facts.
 * Method: a real data directory with hard links, a real database, the real planning thread.
 */

const TYPES = [{ dumpType: 'pages-articles' }, { dumpType: 'pagelinks' }];

test('the oldest run goes, bytes, names and torrent; its record stays', async () => {
  const world = withPruning();
  const old = world.run('20260901', TYPES);
  const middle = world.run('20260920', TYPES);
  const newest = world.run('20261001', TYPES);
  const torrent = world.torrent('2026-09-01', old);
  world.torrent('2026-09-20', middle);
  world.need(1500);
  const report = await world.prune();
  expect(report).toMatchObject({ neededBytes: 1500, removedBytes: 2000, removedFiles: 2, refusedSets: 0 });
  for (const id of old) {
    expect(world.isThere(id)).toBe(false);
    expect(world.statusOf(id)).toBe('deleted');
  }
  for (const id of [...middle, ...newest]) {
    expect(world.isThere(id)).toBe(true);
    expect(world.statusOf(id)).toBe('included');
  }
  expect(world.catalog.torrent(torrent as never)?.retiredAt).toBe(NOW);
  expect(world.stopped).toHaveLength(1);
  // Its texts, which nobody else has, and nothing else.
  expect(readdirSync(join(world.layout.torrents, 'wikimedia-dumps-2026-09-01'))).toEqual(['README.txt']);
  expect(existsSync(join(world.layout.torrents, 'wikimedia-dumps-2026-09-01.torrent'))).toBe(true);
  expect(namesBelow(join(world.layout.torrents, 'wikimedia-dumps-2026-09-20'))).toHaveLength(3);
  const tombstones = world.catalog.deletions({ limit: 10 });
  expect(tombstones.map(({ removedAt, reason }) => [removedAt, reason])).toEqual([
    [NOW, 'surplus: the newer runs 20261001 and 20260920 are held whole'],
    [NOW, 'surplus: the newer runs 20261001 and 20260920 are held whole'],
  ]);
  expect(JSON.parse(tombstones[0]?.evidence ?? '')).toMatchObject({
    rule: 'surplus',
    newer: { runDate: '20261001', files: 1 },
    copies: [{ wikiDbName: 'aawiki', runDate: '20261001', where: 'disk' }],
  });
});

test('files of a retired torrent that stay keep their bytes under dumps/', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{}, { dumpType: 'pagelinks' }]);
  world.run('20260920', [{}]);
  world.run('20261001', [{}]);
  world.torrent('2026-09-01', old);
  world.need(500);
  await world.prune();
  expect(world.isThere(old[0] as number)).toBe(false);
  expect(statSync(world.pathOf(old[1] as number)).nlink).toBe(1);
  expect(world.statusOf(old[1] as number)).toBe('included');
});

test('a file that is kept and lost its name under dumps/ gets it back from the folder of the retired torrent', async () => {
  const world = withPruning();
  const [text, links] = world.run('20260901', [{}, { dumpType: 'pagelinks' }]) as [number, number];
  world.run('20260920');
  world.run('20261001');
  world.torrent('2026-09-01', [text, links]);
  rmSync(world.pathOf(links));
  world.need(500);
  await world.prune();
  expect(world.isThere(text)).toBe(false);
  expect(world.isThere(links)).toBe(true);
});

test('without need nothing goes, and it says so', async () => {
  const world = withPruning();
  const old = world.run('20260901');
  world.run('20260920');
  world.run('20261001');
  const report = await world.prune();
  expect(report).toMatchObject({
    neededBytes: 0,
    removedFiles: 0,
    summary: 'no room is needed: nothing was deleted',
  });
  expect(world.isThere(old[0] as number)).toBe(true);
});

test('a deletion that is ended later is told, and its bytes count until then', async () => {
  const world = withPruning();
  const [old] = world.run('20260901') as [number];
  world.run('20261001');
  const told: number[] = [];
  world.bus.on('dumpFile:deleted', ({ dumpId, sizeBytes }) => void told.push(dumpId, sizeBytes));
  const onDisk = () => world.catalog.heldSlice(0, 100).heldBytes;
  const [before, { size }] = [onDisk(), statSync(world.pathOf(old))];
  world.catalog.beginDeletions([{ dumpId: DumpFileId.parse(old), reason: 'older', evidence: {} }]);
  expect(world.statusOf(old)).toBe('deleted');
  expect(onDisk()).toBe(before);
  expect(await world.room.start()).toEqual({ removed: 1, takenBack: 0 });
  expect(told).toEqual([old, size]);
  expect(onDisk()).toBe(before - size);
  // The names went and nobody could say so.
  const [next] = world.run('20260902') as [number];
  world.catalog.beginDeletions([{ dumpId: DumpFileId.parse(next), reason: 'older', evidence: {} }]);
  rmSync(world.pathOf(next));
  expect(await world.room.start()).toEqual({ removed: 1, takenBack: 0 });
  expect(told).toEqual([old, size, next, size]);
  expect(onDisk()).toBe(before - size);
  // One that is taken back was never gone.
  const [newest] = world.run('20261101') as [number];
  const now = onDisk();
  world.db.sqlite.exec(`UPDATE dumps SET damaged_at = 1 WHERE run_date = '20261001'`);
  world.catalog.beginDeletions([{ dumpId: DumpFileId.parse(newest), reason: 'older', evidence: {} }]);
  expect(await world.room.start()).toEqual({ removed: 0, takenBack: 1 });
  expect([told.length, onDisk()]).toEqual([4, now]);
});

test('a name outside our folders keeps the bytes, so nothing is deleted', async () => {
  const world = withPruning();
  const [id] = world.run('20260901') as [number];
  world.run('20260920');
  world.run('20261001');
  const elsewhere = join(world.layout.dataDir, 'my-own-name');
  linkSync(world.pathOf(id), elsewhere);
  world.need(500);
  world.db.sqlite.exec(
    `UPDATE cycles SET status = 'seeding', published_at = NULL WHERE cycle_date = '2026-09-20'`,
  );
  expect(await world.prune()).toMatchObject({ removedFiles: 0 });
  expect(world.statusOf(id)).toBe('included');
  expect(world.alerts.map(({ key }) => key)).toEqual(['prune_not_enough']);
  expect(world.alerts[0]?.message).toContain('linked elsewhere 1 kB');
  rmSync(elsewhere);
  expect(await world.prune()).toMatchObject({ removedFiles: 1 });
});

describe('refuses when what should stay', () => {
  test.each([
    ['is gone from the disk', (path: string) => rmSync(path)],
    ['has another size', (path: string) => writeFileSync(path, 'short')],
    ['was changed since it was proved', (path: string) => utimesSync(path, 1, 1)],
  ])('%s', async (_what, harm) => {
    const world = withPruning();
    const old = world.run('20260901');
    const [newest] = world.run('20261001') as [number];
    world.need(500);
    harm(world.pathOf(newest));
    expect(await world.prune()).toMatchObject({ removedFiles: 0, refusedSets: 1 });
    expect(world.isThere(old[0] as number)).toBe(true);
    expect(world.statusOf(old[0] as number)).toBe('included');
    expect(world.catalog.deletions({ limit: 1 })).toEqual([]);
  });
});

describe('refuses without facts', () => {
  test('the size of the disk is unknown', async () => {
    const world = withPruning();
    world.run('20260901');
    world.run('20261001');
    world.need(500);
    world.usage.countedBytes = null;
    await expect(world.prune()).rejects.toMatchObject({ code: 'prune_no_facts' });
  });

  test('the disk is not mounted', async () => {
    const world = withPruning();
    const [id] = world.run('20260901') as [number];
    world.run('20261001');
    world.need(500);
    rmSync(world.layout.dumps, { recursive: true });
    await expect(world.prune()).rejects.toMatchObject({ code: 'prune_no_facts' });
    expect(world.statusOf(id)).toBe('included');
  });

  test('the planning thread cannot read the database', async () => {
    const world = withPruning();
    world.run('20260901');
    world.run('20261001');
    world.need(500);
    world.db.sqlite.exec('ALTER TABLE torrent_stats RENAME TO torrent_stats_away');
    await expect(world.prune()).rejects.toMatchObject({ code: 'prune_plan_failed' });
  });
});

test('something that changed after the plan was made is seen just before the deletion', async () => {
  let between = (): void => {};
  const world = withPruning({
    disk: (disk) => ({
      ...disk,
      async stat(path) {
        between();
        return disk.stat(path);
      },
    }),
  });
  const [old] = world.run('20260901') as [number];
  const [newest] = world.run('20261001') as [number];
  world.need(500);
  let looks = 0;
  between = () => {
    looks += 1;
    // After the plan: the run that should stay turns out damaged.
    if (looks === 2) world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1 WHERE id = ?').run(newest);
  };
  expect(await world.prune()).toMatchObject({ removedFiles: 0, refusedSets: 1 });
  expect(looks).toBeGreaterThan(1);
  expect(world.isThere(old)).toBe(true);
});

test('damage that is found at any look at the disk keeps the other copy, down to the last look before its names go', async () => {
  for (let damagedAtLook = 2; ; damagedAtLook += 1) {
    let looks = 0;
    let isPruning = true;
    let wasThere: boolean | null = null;
    const world = withPruning({
      disk: (disk) => ({
        ...disk,
        async stat(path) {
          looks += 1;
          if (isPruning && looks === damagedAtLook) {
            world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1 WHERE id = ?').run(newest);
            wasThere = world.isThere(old);
          }
          return disk.stat(path);
        },
      }),
    });
    const ids = world.run('20260901');
    const [old] = ids as [number];
    const [newest] = world.run('20261001') as [number];
    world.torrent('2026-09-01', ids);
    world.need(500);
    await world.prune();
    isPruning = false;
    // The damage came when everything was over.
    if (wasThere === null || !wasThere) {
      expect(damagedAtLook).toBeGreaterThan(6);
      expect(world.isThere(old)).toBe(false);
      return;
    }
    expect(world.isThere(old)).toBe(true);
    expect(world.statusOf(old)).toBe('included');
  }
});

test('files with an unfinished job, and of cycles whose torrent is being made, stay', async () => {
  const world = withPruning();
  const [old] = world.run('20260901') as [number];
  world.run('20261001');
  world.need(500);
  const job = world.db.sqlite.prepare(
    `INSERT INTO jobs (job_type, dump_id, cycle_date, params, unique_key, max_attempts, next_retry_at, created_at)
     VALUES (?, ?, ?, '{}', ?, 5, 0, 0)`,
  );
  job.run('download_dump', old, null, 'a');
  expect(await world.prune()).toMatchObject({ removedFiles: 0 });
  world.db.sqlite.exec('DELETE FROM jobs');
  job.run('create_torrent', null, '2026-09-01', 'b');
  expect(await world.prune()).toMatchObject({ removedFiles: 0 });
  world.db.sqlite.exec('DELETE FROM jobs');
  // Asking the archive again hinders nothing.
  job.run('prove_remote', old, null, 'c');
  expect(await world.prune()).toMatchObject({ removedFiles: 1 });
});

test('old proofs are told, and nothing waits for answers that nobody asks for', async () => {
  const world = withPruning({ uploadsEnabled: true });
  const [old] = world.run('20260901', [{ archivedAt: NOW - 30 * 86_400_000 }]) as [number];
  world.run('20261001', [{ archivedAt: NOW }]);
  world.torrent('2026-09-01', [old], { seeders: 9 });
  // Sparse: as large as recorded, on no room.
  world.db.sqlite.prepare('UPDATE dumps SET size_bytes = ?, stored_mtime_ms = NULL').run(1_000_000_000);
  for (const { id } of world.db.sqlite.prepare('SELECT id FROM dumps').all() as { id: number }[])
    truncateSync(world.pathOf(id), 1_000_000_000);
  world.need(500);
  expect(await world.prune()).toMatchObject({
    ...{ removedFiles: 1, waitingSets: 0 },
    items: [{ identifier: 'wikiseed-aawiki-20260901', wikiDbName: 'aawiki', runDate: '20260901' }],
  });
});

test('only the newest look at a torrent says how many others seed its files, and only for a while', () => {
  const world = withPruning();
  const [file] = world.run('20260901') as [number];
  const torrentId = world.torrent('2026-09-01', [file]);
  const HOUR = 3_600_000;
  const insert = world.db.sqlite.prepare(
    'INSERT INTO torrent_stats (torrent_id, seeders, source, recorded_at) VALUES (?, ?, ?, ?)',
  );
  const others = (agoMs = 0): number | null =>
    readFacts(world.db.sqlite, { now: NOW + agoMs, statsMaxAgeMs: 12 * HOUR, look: () => null }).otherSeeders(
      {
        id: file,
      },
    );
  expect(others()).toBe(null);
  insert.run(torrentId, 9, 'udp://a', NOW - 13 * HOUR);
  expect(others()).toBe(null);
  insert.run(torrentId, 5, 'udp://a', NOW - 6 * HOUR);
  // As it is written: we are not among them, whether we seed it or not.
  expect(others()).toBe(5);
  world.db.sqlite.prepare('UPDATE torrents SET seeding_since = 1').run();
  expect(others()).toBe(5);
  expect(others(6 * HOUR)).toBe(5);
  expect(others(7 * HOUR)).toBe(null);
  // Unknown is not enough, and what another place said before does not stand in for it.
  insert.run(torrentId, null, 'nobody', NOW - HOUR);
  expect(others()).toBe(null);
  insert.run(torrentId, 0, 'udp://b', NOW - 1);
  expect(others()).toBe(0);
  world.db.sqlite.prepare('UPDATE torrents SET retired_at = 1').run();
  expect(others()).toBe(null);
});
