import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Catalog, createCatalog } from '../../src/catalog/index.ts';
import { type Db, migrateDb, openDb } from '../../src/db/index.ts';
import { type Bus, createBus, type EventMap } from '../../src/events/index.ts';
import { RetryableError, UnavailableError } from '../../src/lib/index.ts';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { createPruning, type Planner, type PruningRoom } from '../../src/pruning/index.ts';
import { createLayout, type Layout, type PruneUsage } from '../../src/storage/index.ts';
import { FakeClock } from './fake-clock.ts';
import { temporaryFolder } from './with-db.ts';

/*
 * What the tests of pruning share: a data directory with real files, a database that knows them, and a room over both. Rows are
 * written by SQL, so that nothing of the catalog decides what a test begins with.
 */

export const NOW = Date.parse('2026-11-21T00:00:00Z');
const DAY_MS = 24 * 60 * 60_000;

export interface FileSpec {
  wiki?: string;
  project?: string;
  language?: string;
  source?: string;
  runDate: string;
  dumpType?: string;
  /** Default: one file for each type. */
  part?: number;
  sizeBytes?: number;
  status?: string;
  verification?: string | null;
  archivedAt?: number | null;
  refusedAt?: number | null;
  damagedAt?: number | null;
  /** Without bytes on disk. */
  isAbsent?: boolean;
}

export interface World {
  db: Db;
  catalog: Catalog;
  layout: Layout;
  disk: Disk;
  clock: FakeClock;
  bus: Bus;
  usage: PruneUsage;
  /** Infohashes whose seeding was ended. */
  stopped: string[];
  /** Whether what seeds cannot be reached, so that nobody knows what it still serves. */
  mayBeSeeded: boolean;
  /** Ids of torrents that it never lets go of, although it answers. */
  kept: Set<number>;
  /** Of the torrents that it was asked to let go of, one for each question. */
  asked: number[];
  alerts: EventMap['alert:raised'][];
  /** Keys of the alerts that are open now. */
  openAlerts: Set<string>;
  /** Types of the jobs that the room asked for by itself. */
  requested: string[];
  room: PruningRoom;
  /** A room over the same data directory, as after a restart. */
  restart(engine?: string): PruningRoom;
  wiki(
    name: string,
    facts?: { project?: string; language?: string; closed?: boolean; vanished?: boolean },
  ): void;
  cycle(date: string, facts?: { status?: string; sealedAt?: number }): void;
  /** A cycle of its own for each run, published long ago, with its wiki, run and files. @returns ids of `dumps` */
  run(
    runDate: string,
    files?: Partial<FileSpec>[],
    facts?: { wiki?: string; status?: string; notices?: object[] },
  ): number[];
  file(spec: FileSpec): number;
  /** A torrent of a cycle with hard links to its files. */
  torrent(
    cycleDate: string,
    ids: number[],
    facts?: { seeders?: number | null; recordedAt?: number; language?: string },
  ): number;
  /** A torrent of a wiki's run: the stored files themselves. */
  runTorrent(runDate: string, ids: number[], wiki?: string): number;
  /** A torrent of a cycle with unpacked bytes, so many for each file. @returns its id and its folder */
  unpackedTorrent(cycleDate: string, ids: number[], sizeBytes: number): { id: number; folder: string };
  need(neededBytes: number): void;
  pathOf(id: number): string;
  isThere(id: number): boolean;
  statusOf(id: number): string;
  prune(): ReturnType<PruningRoom['prune']>;
}

const cycleOf = (runDate: string): string =>
  runDate.includes('-') ? runDate : `${runDate.slice(0, 4)}-${runDate.slice(4, 6)}-${runDate.slice(6)}`;

/** A published cycle takes no late files any more once this long has passed. */
const LONG_AGO = NOW - 200 * DAY_MS;

export function withPruning(
  options: {
    disk?: (disk: Disk) => Disk;
    uploadsEnabled?: boolean;
    planner?: Planner;
    dataDir?: string;
    minSeedersBeforePrune?: number;
    pruneOldestFirst?: boolean;
    /** `seeding.engine` */
    engine?: string;
  } = {},
): World {
  const dataDir = options.dataDir ?? temporaryFolder();
  const layout = createLayout(dataDir);
  mkdirSync(layout.dumps, { recursive: true });
  mkdirSync(layout.torrents, { recursive: true });
  const db = openDb(layout.database);
  onTestFinished(() => db.close());
  migrateDb(db, { dataDir, now: new Date(0) });
  const clock = new FakeClock(NOW);
  const catalog = createCatalog({ db, clock });
  const bus = createBus({ log: silentLog });
  const real = createNodeDisk();
  const disk = options.disk?.(real) ?? real;
  const usage: PruneUsage = {
    mode: 'normal',
    countedBytes: 0,
    reservedBytes: 0,
    totalBytes: 100_000_000,
    fileSystemBytes: 100_000_000,
    freeBytes: 50_000_000,
    cleanupThresholdPercent: 85,
    pauseThresholdPercent: 90,
    safetyMarginBytes: 1000,
  };
  const stopped: string[] = [];
  const alerts: EventMap['alert:raised'][] = [];
  const openAlerts = new Set<string>();
  const requested: string[] = [];
  bus.on('alert:raised', (alert) => {
    alerts.push(alert);
    openAlerts.add(alert.key);
  });
  bus.on('alert:resolved', ({ key }) => openAlerts.delete(key));
  const insert = (table: string, row: Record<string, unknown>): number => {
    const names = Object.keys(row);
    const { lastInsertRowid } = db.sqlite
      .prepare(
        `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`,
      )
      .run(row);
    return Number(lastInsertRowid);
  };
  const has = (sql: string, ...given: string[]): boolean =>
    db.sqlite.prepare(sql).get(...given) !== undefined;
  const createRoom = (engine = options.engine): PruningRoom =>
    createPruning({
      ...{ db, catalog, disk, layout, clock, bus, log: silentLog },
      ...(engine === undefined ? {} : { engine }),
      enqueue: (requests) => void requested.push(...requests.map(({ type }) => type)),
      usage: async () => usage,
      stopSeeding: async (infoHash) => {
        const id = row<{ id: number }>('SELECT id FROM torrents WHERE info_hash = ?', infoHash).id;
        world.asked.push(id);
        const cause = new UnavailableError('engine_down', 'nobody listens there');
        if (world.mayBeSeeded)
          throw new RetryableError('seeding_not_ended', 'the program does not answer', { cause });
        if (world.kept.has(id)) throw new RetryableError('seeding_not_ended', 'the program still has it');
        stopped.push(infoHash);
      },
      config: {
        remoteProofMaxAgeMs: 7 * DAY_MS,
        minSeedersBeforePrune: options.minSeedersBeforePrune ?? 3,
        seedersMaxAgeMs: 7 * 86_400_000,
        pruneOldestFirst: options.pruneOldestFirst ?? true,
        uploadsEnabled: options.uploadsEnabled ?? false,
      },
      ...(options.planner === undefined ? {} : { planner: options.planner }),
    });
  const row = <T>(sql: string, id: number | string): T => db.sqlite.prepare(sql).get(id) as T;

  const world: World = {
    ...{ db, catalog, layout, disk, clock, bus, usage, stopped, alerts, openAlerts, requested },
    mayBeSeeded: false,
    kept: new Set(),
    asked: [],
    room: createRoom(),
    restart: createRoom,
    wiki(name, facts = {}) {
      insert('wikis', {
        wiki_db_name: name,
        project: facts.project ?? 'wikipedia',
        language: facts.language ?? 'aa',
        url: '',
        is_closed: facts.closed === true ? 1 : 0,
        vanished_at: facts.vanished === true ? NOW : null,
        ...{ discovered_at: 0, last_seen_at: 0 },
      });
    },
    cycle(date, facts = {}) {
      const status = facts.status ?? 'published';
      const isOpen = status === 'open';
      const at = facts.sealedAt ?? LONG_AGO;
      insert('cycles', {
        cycle_date: date,
        status,
        includes_history: 0,
        deadline_at: at,
        opened_at: at,
        sealed_at: isOpen ? null : at,
        published_at: status === 'published' ? at : null,
      });
    },
    run(runDate, files = [{}], facts = {}) {
      const wiki = facts.wiki ?? 'aawiki';
      if (!has('SELECT 1 FROM wikis WHERE wiki_db_name = ?', wiki)) world.wiki(wiki);
      if (!has('SELECT 1 FROM cycles WHERE cycle_date = ?', cycleOf(runDate))) world.cycle(cycleOf(runDate));
      const source = files[0]?.source ?? 'classic';
      const status = facts.status ?? 'finished';
      insert('dump_runs', {
        ...{
          wiki_db_name: wiki,
          source,
          run_date: runDate,
          cycle_date: cycleOf(runDate),
          status,
          checked_at: 0,
        },
        notices: JSON.stringify(facts.notices ?? []),
        finished_at: status === 'finished' ? 0 : null,
      });
      return files.map((file) => world.file({ wiki, source, runDate, ...file }));
    },
    file(spec) {
      const { wiki = 'aawiki', source = 'classic', runDate, dumpType = 'pages-articles', part = 1 } = spec;
      const sizeBytes = spec.sizeBytes ?? 1000;
      const filename = `${wiki}-${runDate}-${dumpType}${part}.xml.bz2`;
      const status = spec.status ?? 'included';
      const isHeld = ['downloaded', 'uploading', 'uploaded', 'included'].includes(status);
      const path = layout.dumpFile({ source: source as 'classic', wikiDbName: wiki, runDate, filename });
      let mtimeMs: number | null = null;
      if (isHeld && spec.isAbsent !== true) {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, Buffer.alloc(sizeBytes, createHash('sha1').update(filename).digest()));
        mtimeMs = statSync(path).mtimeMs;
      }
      const archivedAt = spec.archivedAt ?? null;
      return insert('dumps', {
        project: spec.project ?? 'wikipedia',
        language: spec.language ?? 'aa',
        ...{
          wiki_db_name: wiki,
          source,
          run_date: runDate,
          cycle_date: cycleOf(runDate),
          dump_type: dumpType,
        },
        ...{ filename, size_bytes: sizeBytes, wikimedia_url: `https://dumps.wikimedia.org/x/${filename}` },
        ...(isHeld ? { md5: 'm', sha1: 's', sha256: 'h', local_path: layout.relative(path) } : {}),
        verification: spec.verification === undefined ? (isHeld ? 'sha1' : null) : spec.verification,
        our_status: status,
        ...{ discovered_at: 0, downloaded_at: 0, stored_mtime_ms: mtimeMs },
        ...{
          ia_verified_at: archivedAt,
          ia_identifier: archivedAt === null ? null : `wikiseed-${wiki}-${runDate}`,
        },
        ...{ ia_refused_at: spec.refusedAt ?? null, damaged_at: spec.damagedAt ?? null },
      });
    },
    torrent(cycleDate, ids, facts = {}) {
      const { language = null } = facts;
      const name = `wikimedia-dumps-${language === null ? '' : `language-${language}-`}${cycleDate}`;
      const id = insert('torrents', {
        ...{ name, grouping: language === null ? 'cycle' : 'language', scope: language },
        ...{ cycle_date: cycleDate, magnet_link: 'magnet:?', total_size_bytes: 1 },
        info_hash: createHash('sha1').update(name).digest('hex'),
        ...{ file_count: ids.length, piece_length: 16384, piece_count: 1, created_at: 0, seeding_since: 1 },
        ...{ torrent_file_path: `torrents/${name}.torrent`, content_path: 'torrents' },
      });
      writeFileSync(join(layout.torrents, `${name}.torrent`), 'd4:infode');
      mkdirSync(join(layout.torrents, name), { recursive: true });
      writeFileSync(join(layout.torrents, name, 'README.txt'), 'read me');
      for (const dumpId of ids) {
        const path = world.pathOf(dumpId);
        const inTree = `compressed/${path.split('/').slice(-3).join('/')}`;
        const link = join(layout.torrents, name, inTree);
        mkdirSync(dirname(link), { recursive: true });
        linkSync(path, link);
        insert('torrent_files', {
          torrent_id: id,
          dump_id: dumpId,
          path_in_torrent: inTree,
          size_bytes: 1000,
        });
      }
      if (facts.seeders !== undefined)
        insert('torrent_stats', {
          ...{ torrent_id: id, seeders: facts.seeders, source: 'tracker' },
          recorded_at: facts.recordedAt ?? NOW - 1000,
        });
      return id;
    },
    runTorrent(runDate, ids, wiki = 'aawiki') {
      const name = `${wiki}-${runDate}`;
      const id = insert('torrents', {
        ...{ name, info_name: wiki, grouping: 'wiki_run', scope: wiki, source: 'classic', run_date: runDate },
        ...{ cycle_date: cycleOf(runDate), magnet_link: 'magnet:?', total_size_bytes: 1 },
        info_hash: createHash('sha1').update(name).digest('hex'),
        ...{ file_count: ids.length, piece_length: 16384, piece_count: 1, created_at: 0, seeding_since: 1 },
        ...{ torrent_file_path: `torrents/${name}.torrent`, content_path: 'dumps' },
      });
      for (const dumpId of ids)
        insert('torrent_files', {
          ...{ torrent_id: id, dump_id: dumpId, size_bytes: 1000 },
          path_in_torrent: world.pathOf(dumpId).split('/').slice(-2).join('/'),
        });
      return id;
    },
    unpackedTorrent(cycleDate, ids, sizeBytes) {
      const name = `wikimedia-dumps-uncompressed-${cycleDate}`;
      const folder = join(layout.torrents, name);
      const id = insert('torrents', {
        ...{ name, grouping: 'cycle', is_uncompressed: 1, cycle_date: cycleDate, magnet_link: 'magnet:?' },
        info_hash: createHash('sha1').update(name).digest('hex'),
        ...{
          total_size_bytes: 1,
          file_count: ids.length,
          piece_length: 16384,
          piece_count: 1,
          created_at: 0,
        },
        ...{ seeding_since: 1, torrent_file_path: `torrents/${name}.torrent`, content_path: 'torrents' },
      });
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'README.txt'), 'read me');
      for (const dumpId of ids) {
        const path = `uncompressed/aa/wikipedia/${(world.pathOf(dumpId).split('/').at(-1) ?? '').replace('.bz2', '')}`;
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), Buffer.alloc(sizeBytes, 'u'));
        const hashes = { md5: 'um', sha1: 'us', sha256: 'uh' };
        insert('torrent_files', {
          ...{ torrent_id: id, dump_id: dumpId, path_in_torrent: path, size_bytes: sizeBytes, ...hashes },
        });
      }
      return { id, folder };
    },
    need(neededBytes) {
      Object.assign(usage, { mode: 'cleaning', countedBytes: 84_000_000 + neededBytes });
    },
    pathOf: (id) => {
      const { path } = row<{ path: string | null }>('SELECT local_path AS path FROM dumps WHERE id = ?', id);
      if (path !== null) return layout.absolute(path);
      const { wiki, run, name } = row<{ wiki: string; run: string; name: string }>(
        'SELECT wiki_db_name AS wiki, run_date AS run, filename AS name FROM dumps WHERE id = ?',
        id,
      );
      return join(layout.dumps, wiki, run, name);
    },
    isThere: (id) => existsSync(world.pathOf(id)),
    statusOf: (id) => row<{ s: string }>('SELECT our_status AS s FROM dumps WHERE id = ?', id).s,
    prune: () => world.room.prune(new AbortController().signal),
  };
  return world;
}

/** Every name of a file of that size below a folder. */
export function namesBelow(folder: string): string[] {
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
        statSync(join(folder, name)).isFile(),
      )
    : [];
}
