import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Torrent } from '../../src/catalog/index.ts';
import { type Output, writeManifests } from '../../src/publishing/building/write-manifests.ts';
import { createChanges } from '../../src/publishing/changes.ts';
import type { ManifestFile, ManifestTorrent } from '../../src/publishing/manifest.ts';
import { buildManifest, manifestJson, manifestText } from '../helpers/manifest-reference.ts';
import { CYCLE, hash, publishingBundle } from '../helpers/publishing-bundle.ts';

/**
 * Goal: manifests that are written in pieces, in a thread, are the bytes they always were, of one state of the catalog; whatever is
 * learnt meanwhile leads to another publication; and nothing half-written is ever in its place.
 * Method: the real thread on a real database, compared with the implementation that wrote all at once.
 */

type Bundle = Awaited<ReturnType<typeof publishingBundle>>;
const ADDRESSES = { publicBaseUrl: 'https://seed.example.org/', r2PublicBaseUrl: null };
const VERSION = { version: '0.0.0' };

function expected({ catalog }: Bundle, torrents: readonly Torrent[] = catalog.torrents()): string {
  return manifestJson(buildManifest(catalog, torrents, ADDRESSES));
}

/** So many files more in a cycle. @returns what a torrent needs to carry them */
function addFiles({ db }: Bundle, cycleDate: string, count: number, pathOf = (n: number) => `x/${n}`) {
  const insert = db.sqlite.prepare(
    `INSERT INTO dumps (project, language, wiki_db_name, run_date, cycle_date, dump_type, filename, size_bytes, md5, sha1, sha256,
       verification, wikimedia_url, local_path, our_status, discovered_at, uploaded_at, ia_verified_at, ia_url)
     VALUES (@project, 'aa', 'aawiki', '20261101', @cycleDate, 'page', @name, @n, @md5, @sha1, NULL,
       'sha1', @url, 'x', 'included', 1, @uploadedAt, @iaVerifiedAt, @iaUrl)`,
  );
  return db.transaction(() =>
    Array.from({ length: count }, (_, n) => {
      const name = `${cycleDate}-${n}.gz`;
      const { lastInsertRowid } = insert.run({
        ...{ cycleDate, name, n, project: n % 3 === 0 ? 'wikibooks' : 'wikipedia' },
        ...{
          md5: n % 5 === 0 ? null : hash('md5', name),
          sha1: hash('sha1', name),
          url: `https://x/"${name}"`,
        },
        ...{ uploadedAt: n % 2 === 0 ? 1_800_000_000_000 + n : null, iaVerifiedAt: n % 4 === 0 ? 5 : null },
        iaUrl: n % 2 === 0 ? `https://archive.org/download/${name}` : null,
      });
      return { dumpId: Number(lastInsertRowid) as never, pathInTorrent: pathOf(n), sizeBytes: n };
    }),
  );
}

const proved = <T extends object>(files: T[]) =>
  files.map((file) => ({ ...file, verification: 'sha1' as const }));

test('the bytes are those of a manifest that is made at once', async () => {
  const bundle = await publishingBundle({ r2: null });
  const { addTorrent, catalog, db, local, publish } = bundle;
  const other = '2026-12-20';
  catalog.openCycle({ cycleDate: other, includesHistory: false, deadlineAt: 1e15 });
  addTorrent('wikimedia-dumps-2026-11-20');
  addTorrent('wikimedia-dumps-2026-11-20-supplement-1-part-2', 1, { part: 2 });
  // Around the size of a page, and in an order that is not that of UTF-8.
  const odd = ['\u{1F600}', '\uFFEE', 'a"b\\\n', 'é', ' '];
  for (const count of [0, 1, 399, 400, 401, 850])
    addTorrent(`language-${count}`, 0, {
      ...{ cycleDate: other, grouping: 'language', scope: 'aa', infoName: 'same' },
      files: proved(
        addFiles(bundle, `${other}-${count}`, count, (n) => `${odd[n % odd.length]}/${count - n}`),
      ),
    });
  const files = addFiles(bundle, other, 30);
  addTorrent('whole', 0, { cycleDate: other, files: proved(files) });
  addTorrent('run', 0, {
    ...{ cycleDate: other, grouping: 'wiki_run', scope: 'aawiki', infoName: 'aawiki' },
    ...{ source: 'classic', runDate: '20261220', files: proved(files.slice(0, 10)) },
  });
  addTorrent('unpacked', 0, {
    ...{ cycleDate: other, isUncompressed: true },
    files: proved(files.slice(5, 9).map((file) => ({ ...file, md5: 'm', sha1: 's', sha256: 'h' }))),
  });
  addTorrent('project', 0, { grouping: 'project', scope: 'wikipedia' });
  db.sqlite.exec(`UPDATE torrents SET retired_at = 1900000000000 WHERE name IN ('run', 'whole')`);
  expect((await publish()).isCurrent).toBe(true);

  const torrents = catalog.torrents();
  expect(torrents).toHaveLength(12);
  expect(local('manifest.json')).toBe(expected(bundle));
  for (const cycle of [CYCLE, other]) {
    const own = torrents.filter(({ cycleDate }) => cycleDate === cycle);
    expect(local(`manifests/${cycle}.json`)).toBe(expected(bundle, own));
  }
  const all = buildManifest(catalog, torrents, ADDRESSES);
  expect(local('manifest.txt')).toBe(manifestText(all, VERSION));
});

/** A torrent with enough files that a thread is still at work when it told of the first ones. */
function addLarge(bundle: Bundle): void {
  bundle.addTorrent('large', 0, { files: proved(addFiles(bundle, CYCLE, 40_000)) });
}

test('tells one state of the catalog, and of what is learnt meanwhile next time', async () => {
  const bundle = await publishingBundle({ r2: null });
  addLarge(bundle);
  const before = expected(bundle);
  let told = 0;
  const learn = (): void => {
    told += 1;
    if (told === 2)
      bundle.db.sqlite.exec(`UPDATE dumps SET ia_url = 'https://news' WHERE ia_verified_at IS NOT NULL`);
  };
  const { isCurrent } = await bundle.publish(() => {}, {
    signal: new AbortController().signal,
    progress: learn,
  });
  expect(told).toBeGreaterThan(2);
  expect(isCurrent).toBe(false);
  expect(bundle.local('manifest.json')).toBe(before);
  const next = await bundle.publish();
  expect(next).toMatchObject({ isCurrent: true, writtenLocal: [`manifests/${CYCLE}.json`, 'manifest.json'] });
  expect(bundle.local('manifest.json')).toBe(expected(bundle));
});

test('a thread that dies leaves what was published, and the next one clears up', async () => {
  const bundle = await publishingBundle({ r2: null });
  bundle.addTorrent('a');
  await bundle.publish();
  const published = (): string[] =>
    ['manifest.json', 'manifest.txt', `manifests/${CYCLE}.json`].map((key) => bundle.local(key));
  const before = published();
  addLarge(bundle);
  const stop = new AbortController();
  let told = 0;
  const progress = (): void => {
    told += 1;
    // Once for each .torrent file, and then for each page of files.
    if (told === 4) stop.abort();
  };
  await expect(bundle.publish(() => {}, { signal: stop.signal, progress })).rejects.toMatchObject({
    name: 'Interrupted',
  });
  const unfinished = join(bundle.layout.publish, '.unfinished');
  const torn = readFileSync(join(unfinished, 'manifest.json'), 'utf8');
  expect(() => JSON.parse(torn)).toThrow();
  expect(published()).toEqual(before);

  await bundle.publish();
  expect(bundle.local('manifest.json')).toBe(expected(bundle));
  expect(existsSync(unfinished)).toBe(false);
});

test('a torrent whose database cannot be read is an error to try again, and nothing is published', async () => {
  const bundle = await publishingBundle({ r2: null });
  bundle.addTorrent('a');
  bundle.db.sqlite.exec('ALTER TABLE dumps RENAME COLUMN ia_url TO ia_address');
  await expect(bundle.publish()).rejects.toMatchObject({
    name: 'RetryableError',
    code: 'manifest_not_built',
  });
  expect(existsSync(join(bundle.layout.publish, 'manifest.json'))).toBe(false);
});

test('whatever changes the manifest is noticed, column by column', async () => {
  const bundle = await publishingBundle({ r2: null });
  const { addTorrent, db, catalog, files } = bundle;
  addTorrent('a', 0, { infoName: 'b', scope: 'c' });
  addTorrent('unpacked', 0, {
    isUncompressed: true,
    files: [
      {
        dumpId: files[0]!.id,
        ...{ pathInTorrent: 'p', sizeBytes: 1, verification: 'sha1' },
        ...{ md5: 'm', sha1: 's', sha256: 'h' },
      },
    ],
  });
  catalog.markUploading(files[0]!.id);
  catalog.recordUploaded(files[0]!.id, { iaIdentifier: 'x', iaUrl: 'https://archive.org/download/x/y' });
  const changes = createChanges({ db });
  db.sqlite.pragma('ignore_check_constraints = ON');
  const noticed: string[] = [];
  for (const table of ['torrents', 'torrent_files', 'dumps']) {
    db.sqlite.exec(`CREATE TEMP TABLE known_${table} AS SELECT * FROM ${table}`);
    const columns = db.sqlite.pragma(`table_info(${table})`) as { name: string; type: string }[];
    for (const { name, type } of columns.filter(({ name }) => name !== 'id' && name !== 'torrent_id')) {
      const before = { text: expected(bundle), count: changes.count() };
      const isText = type.toLowerCase() === 'text';
      const text = ['trackers', 'webseeds'].includes(name) ? `'["x"]'` : `coalesce(${name}, '') || 'x'`;
      const value = isText ? text : `iif(coalesce(${name}, 0) > 1, NULL, 1900000000000)`;
      // Where a column may not be empty, or must point to something.
      for (const sql of [value, isText ? `'2026-12-20'` : `${name} + 1`])
        try {
          db.sqlite.exec(`UPDATE ${table} SET ${name} = ${sql}`);
          break;
        } catch {}
      if (expected(bundle) !== before.text) {
        noticed.push(`${table}.${name}`);
        expect(changes.count(), `${table}.${name}`).toBeGreaterThan(before.count);
      }
      db.sqlite.exec(
        `UPDATE ${table} SET ${name} = (SELECT k.${name} FROM known_${table} k WHERE k.id = ${table}.id)`,
      );
      expect(expected(bundle)).toBe(before.text);
    }
  }
  expect(noticed).toEqual(
    expect.arrayContaining([
      'torrents.magnet_link',
      'torrents.retired_at',
      'torrent_files.sha256',
      'dumps.ia_url',
    ]),
  );
  expect(noticed.length).toBeGreaterThan(15);
});

test('what no reader sees does not make it outdated', async () => {
  const bundle = await publishingBundle({ r2: null });
  const { addTorrent, catalog, db, files } = bundle;
  addTorrent('a');
  catalog.markUploading(files[0]!.id);
  catalog.recordUploaded(files[0]!.id, { iaIdentifier: 'x', iaUrl: 'https://archive.org/download/x/y' });
  addFiles(bundle, CYCLE, 3);
  const { isCurrent } = await bundle.publish(() => {
    // Seen again at the archive; and a file that is in no torrent.
    db.sqlite.exec('UPDATE dumps SET ia_verified_at = ia_verified_at + 1 WHERE ia_verified_at IS NOT NULL');
    db.sqlite.exec(`UPDATE dumps SET ia_url = 'y' WHERE run_date = '20261101'`);
  });
  expect(isCurrent).toBe(true);
  // Taken back with everything else: nothing was learnt.
  const rolledBack = await bundle.publish(() => {
    const write = (): void => {
      db.transaction(() => {
        addTorrent('b');
        throw new Error('no');
      });
    };
    expect(write).toThrow('no');
  });
  expect(rolledBack.isCurrent).toBe(true);
});

test('a torrent counts once it is recorded, not while its files are being written down', async () => {
  const bundle = await publishingBundle({ r2: null });
  const { catalog, db } = bundle;
  const { id } = bundle.addTorrent('a');
  db.sqlite
    .prepare(`INSERT INTO system_state (key, value, updated_at) VALUES (?, 'a', 1)`)
    .run(`torrent:recording:${id}`);
  await bundle.publish();
  expect(JSON.parse(bundle.local('manifest.json')).torrents).toEqual([]);
  const written = await bundle.publish(() => void db.sqlite.exec('UPDATE torrent_files SET size_bytes = 9'));
  expect(written.isCurrent).toBe(true);
  const recorded = await bundle.publish(
    () => void db.sqlite.exec(`DELETE FROM system_state WHERE key LIKE 'torrent:%'`),
  );
  expect(recorded.isCurrent).toBe(false);
  await bundle.publish();
  expect(bundle.local('manifest.json')).toBe(expected(bundle, catalog.torrents()));
});

test('no piece of the text is long, however many files there are', () => {
  const file = { filename: 'x'.repeat(500), size_bytes: 1, project: 'wikipedia' } as ManifestFile;
  const entry = {
    name: 'a',
    cycle_date: CYCLE,
    grouping: 'cycle',
    files: [] as ManifestFile[],
  } as unknown as ManifestTorrent;
  const sizes = new Map<string, { longest: number; whole: number }>();
  const open = (key: string): Output => {
    const size = { longest: 0, whole: 0 };
    sizes.set(key, size);
    return {
      write({ length }) {
        size.longest = Math.max(size.longest, length);
        size.whole += length;
      },
      finish: () => {},
    };
  };
  const marks = Array.from({ length: 60_000 }, (_, id) => ({ id, dumpId: id, path: '' }));
  const snapshot = { torrents: () => [{ id: 1, entry, newestMs: 5 }], marks: () => marks, file: () => file };
  writeManifests({ snapshot, infoHashes: new Set(), ...VERSION, open, told: () => {} });
  for (const key of ['manifest.json', `manifests/${CYCLE}.json`]) {
    expect(sizes.get(key)?.whole).toBeGreaterThan(30e6);
    expect(sizes.get(key)?.longest).toBeLessThan(1e6);
  }
});

test('a manifest is sent as a stream; one that is cut meanwhile ends the attempt at once', async () => {
  const bundle = await publishingBundle();
  const { addTorrent, publish, realStore, local } = bundle;
  addTorrent('a');
  await publish();
  expect(Buffer.from((await realStore!.get('manifest.json'))!).toString()).toBe(local('manifest.json'));
  const facts = { contentType: 'text/plain', cacheControl: 'no-store', sha256: 'x' };
  const bytes = Buffer.from('some bytes and more');
  let isEnded = false;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      yield bytes.subarray(0, 5);
      yield bytes.subarray(5);
    } finally {
      isEnded = true;
    }
  }
  await realStore!.put('k', { sizeBytes: bytes.length, md5: hash('md5', bytes.toString()), chunks }, facts);
  expect(Buffer.from((await realStore!.get('k'))!)).toEqual(bytes);
  expect(isEnded).toBe(true);
  await expect(
    realStore!.put('bad', { sizeBytes: bytes.length, md5: hash('md5', 'other'), chunks }, facts),
  ).rejects.toMatchObject({
    code: 'bad_digest',
  });
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 5);
    throw new Error('the disk failed');
  }
  await expect(
    realStore!.put('cut', { sizeBytes: bytes.length, md5: hash('md5', ''), chunks: broken }, facts),
  ).rejects.toThrow('the disk failed');
  expect(await realStore!.head('cut')).toBeNull();
});
