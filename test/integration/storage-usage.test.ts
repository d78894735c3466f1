import { linkSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import type { Db } from '../../src/db/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../../src/ports/index.ts';
import { createLayout, createStorageUsage } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { storageBundle } from '../helpers/storage-bundle.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const file = (root: string, path: string, sizeBytes: number): string => {
  const absolute = join(root, path);
  mkdirSync(dirname(absolute), { recursive: true });
  writeFileSync(absolute, Buffer.alloc(sizeBytes, 1));
  return absolute;
};

/** Rows alone; their files are not read. */
function holdFiles(db: Db, files: readonly { sizeBytes: number; isHeld: boolean }[]): void {
  const insert = db.sqlite.prepare(
    `INSERT INTO dumps (wiki_db_name, project, language, source, run_date, cycle_date, dump_type, filename, size_bytes,
       wikimedia_url, wikimedia_status, our_status, verification, sha1, local_path, discovered_at)
     VALUES ('aawiki', 'wikipedia', 'aa', 'classic', '20261120', '2026-11-20', 'page', ?, ?, '', 'done', ?, 'sha1', 'a', 'x', 1)`,
  );
  db.sqlite.pragma('foreign_keys = OFF');
  db.transaction(() => {
    for (const [n, { sizeBytes, isHeld }] of files.entries())
      insert.run(`f${n}`, sizeBytes, isHeld ? 'included' : 'failed');
  });
  db.sqlite.pragma('foreign_keys = ON');
}

function setup(
  options: { dataDir?: string; clock?: FakeClock; files?: Parameters<typeof holdFiles>[1] } = {},
) {
  // The database lies elsewhere, so that its size is no part of the sums.
  const db = withDb();
  const dataDir = options.dataDir ?? temporaryFolder();
  const catalog = createCatalog({ db, clock: new FakeClock() });
  holdFiles(db, options.files ?? []);
  const usage = createStorageUsage({
    disk: createNodeDisk(),
    layout: createLayout(dataDir),
    clock: options.clock ?? createSystemClock(),
    log: silentLog,
    heldSlice: (afterId, count) => catalog.heldSlice(afterId, count),
    otherBytesBefore: null,
  });
  return { usage, dataDir, db, catalog };
}

test('held files by the catalog, part files by what they occupy, all else by its size, hard links once', async () => {
  const { usage, dataDir } = setup({
    files: [
      { sizeBytes: 5000, isHeld: true },
      { sizeBytes: 70, isHeld: false },
      { sizeBytes: 300, isHeld: true },
    ],
  });
  const dump = file(dataDir, 'dumps/aawiki/20261120/f0', 5000);
  for (const torrent of ['one', 'two']) {
    file(dataDir, `torrents/${torrent}/README.txt`, 100);
    linkSync(dump, join(dataDir, `torrents/${torrent}/f0`));
  }
  file(dataDir, 'torrents/one.torrent', 40);
  file(dataDir, 'records/aawiki.json', 7);
  file(dataDir, 'backups/b.gz', 1000);
  // Two names, neither of them below a run: one body.
  linkSync(file(dataDir, 'torrents/one/own', 11), join(dataDir, 'torrents/two/own'));
  file(dataDir, 'dumps/.damaged/x', 13);
  file(dataDir, 'dumps/.partial/aawiki/20261201/y.part', 8192);
  truncateSync(join(dataDir, 'dumps/.partial/aawiki/20261201/y.part'), 50_000_000);
  expect(usage.ownBytes()).toBeNull();
  await usage.measureAll();
  expect(usage.parts()).toEqual({
    heldBytes: 5300,
    partialBytes: 8192,
    otherBytes: 200 + 40 + 7 + 1000 + 11 + 13,
  });
  usage.noteHeld({ dumpId: 1, deltaBytes: -5000 });
  usage.noteHeld({ dumpId: 9, deltaBytes: 1 });
  expect(usage.ownBytes()).toBe(301 + 8192 + 1271);
});

test('what changes while rows are added up counts once', async () => {
  const clock = new FakeClock();
  const { usage, db } = setup({
    clock,
    files: Array.from({ length: 12_000 }, () => ({ sizeBytes: 10, isHeld: true })),
  });
  const measured = usage.measureAll();
  let isDone = false;
  void measured.then(() => {
    isDone = true;
  });
  // The first five thousand rows are passed when the others wait for their turn.
  while (clock.waiting === 0) await new Promise(setImmediate);
  expect(clock.waiting).toBe(1);
  db.sqlite.exec("UPDATE dumps SET our_status = 'deleted', local_path = NULL WHERE id IN (3, 11000)");
  usage.noteHeld({ dumpId: 3, deltaBytes: -10 });
  usage.noteHeld({ dumpId: 11_000, deltaBytes: -10 });
  while (!isDone) await clock.advance(100);
  expect(usage.parts().heldBytes).toBe(119_980);
});

test('adding up 100,000 rows and walking beside it never holds the event loop for long', async () => {
  const { usage } = setup({
    files: Array.from({ length: 100_000 }, () => ({ sizeBytes: 1000, isHeld: true })),
  });
  let longestMs = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last - 1);
    last = now;
  }, 1);
  last = performance.now();
  await usage.measureAll();
  clearInterval(timer);
  expect(usage.parts().heldBytes).toBe(100_000_000);
  console.log(`longest turn ${longestMs.toFixed(1)} ms`);
  expect(longestMs).toBeLessThan(50);
}, 60_000);

test('below storage.max_size our own bytes count, and nothing begins before they are known', async () => {
  const MB = 1e6;
  const t = await storageBundle({
    limits: { maxSizeBytes: 100 * MB, safetyMarginBytes: 1 * MB },
    prepare: ({ db, dataDir }) => {
      holdFiles(db, [{ sizeBytes: 60 * MB, isHeld: true }]);
      file(dataDir, 'backups/b.gz', 5 * MB);
    },
  });
  expect(t.seen('storage:modeChanged')).toMatchObject([{ mode: 'paused', countedBytes: null }]);
  const known = async () => {
    for (;;) {
      await t.clock.advance(1000);
      const usage = await t.storage.usage();
      if (usage.countedBytes !== null && usage.mode !== 'paused') return usage;
    }
  };
  const usage = await known();
  expect(usage).toMatchObject({ mode: 'normal', totalBytes: 100 * MB, fileSystemBytes: 1000 * MB });
  // The database of the test lies there as well.
  expect(usage.countedBytes).toBeGreaterThan(65 * MB);
  expect(usage.countedBytes).toBeLessThan(70 * MB);
  t.store('large', 40 * MB);
  await t.clock.advance(1000);
  expect(t.queue.halts()[0]?.message).toMatch(/40 MB exceed storage.max_size of 100 MB/);
  // Pruning gave room.
  t.bus.emit('dumpFile:deleted', { dumpId: 1, sizeBytes: 30 * MB });
  while (t.running.size === 0) await t.clock.advance(1000);
  expect([...t.running.keys()]).toEqual(['large']);
});

test('what is told to have gone is not counted any more, before the next walk', async () => {
  const { usage, dataDir } = setup();
  file(dataDir, 'torrents/a/uncompressed/x', 3000);
  usage.noteOthers(-500);
  expect(usage.parts().otherBytes).toBeNull();
  await usage.measureAll();
  expect(usage.parts().otherBytes).toBe(3000);
  usage.noteOthers(-1000);
  expect(usage.parts().otherBytes).toBe(2000);
  usage.noteOthers(-5000);
  expect(usage.parts().otherBytes).toBe(0);
});
