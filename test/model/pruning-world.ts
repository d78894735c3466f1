import { type Catalog, createCatalog, type RunFacts, type SourceName } from '../../src/catalog/index.ts';
import { type Db, migrateDb, openMemoryDb } from '../../src/db/index.ts';
import { DumpFileId } from '../../src/lib/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import type { JobContext } from '../../src/queue/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { handleProveRemote } from '../../src/upload/jobs/prove-remote.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import type { RunShape } from './pruning-commands.ts';
import { SmallDisk } from './pruning-disk.ts';
import { bytesOf, type Ledger, type TrueFile, type TrueSet } from './pruning-ledger.ts';

export const DAY_MS = 24 * 60 * 60_000;
export const layout = createLayout('/data');
const BEGIN = Date.parse('2026-11-21T00:00:00Z');

/** A set with what upstream publishes of it. */
export interface WorldSet extends TrueSet {
  hash: RunShape['hash'];
}

/** Everything around the room that is tried: the real catalog over a real database, a small disk, and an archive. */
export interface World {
  db: Db;
  catalog: Catalog;
  clock: FakeClock;
  disk: SmallDisk;
  ledger: Ledger<WorldSet>;
  /** Items of the archive that are dark, or have tasks under way. */
  items: Map<string, 'dark' | 'tasks'>;
  /** Whoever seeds; `kept`: infohashes of torrents that it does not let go of. */
  program: { isAway: boolean; kept: Set<string> };
  tellWikis(): void;
  /** Looks at a run and tells the catalog. */
  look(of: Pick<TrueSet, 'wiki' | 'source' | 'runDate'>): void;
  addSet(set: Omit<WorldSet, 'files' | 'label'>, parts: number, sizeBytes: number): WorldSet;
  statusOf(file: TrueFile): string | null;
  isHeld(file: TrueFile): boolean;
  /** By the moves that the catalog knows, as a download does it; `isQuick`: the same row, in one statement. */
  fetch(set: WorldSet, file: TrueFile, isQuick?: boolean): void;
  upload(set: WorldSet, file: TrueFile): void;
  itemOf(set: TrueSet): string;
  /** Asks the archive about an item, as `prove_remote` does. */
  ask(set: TrueSet): Promise<void>;
}

const hashes = (file: TrueFile, version: number) => {
  const bytes = bytesOf(file, version);
  return { md5: `md5:${bytes}`, sha1: `sha1:${bytes}`, sha256: `sha256:${bytes}` };
};

/** One database for all histories: making one takes longer than a whole history. */
let base: { db: Db; catalog: Catalog; clock: FakeClock; forget: () => void } | undefined;

function createBase(): NonNullable<typeof base> {
  const db = openMemoryDb('/there/is/none');
  migrateDb(db, { dataDir: null, now: new Date(0) });
  rememberStatements(db);
  const tables = [
    'deletions',
    'torrent_stats',
    'torrent_files',
    'torrent_gaps',
    'torrents',
    'dump_replacements',
  ]
    .concat(['dump_piece_hashes', 'dumps', 'run_documents', 'dump_runs', 'cycles', 'wikis', 'jobs'])
    .map((name) => db.sqlite.prepare(`DELETE FROM ${name}`));
  const clock = new FakeClock(BEGIN);
  return {
    ...{ db, clock, catalog: createCatalog({ db, clock }) },
    forget: () =>
      db.transaction(() => {
        for (const table of tables) table.run();
        db.sqlite.exec('DELETE FROM sqlite_sequence');
      }),
  };
}

/** Preparing statements takes a fifth of the time; no text is used in two ways or twice at once. */
function rememberStatements({ sqlite }: Db): void {
  const prepare = sqlite.prepare.bind(sqlite);
  const known = new Map<string, unknown>();
  sqlite.prepare = ((text: string) => {
    const statement = known.get(text) ?? prepare(text);
    known.set(text, statement);
    return statement;
  }) as typeof sqlite.prepare;
}

/** A world with three wikis, of which two share their project and language, and nothing dumped yet. */
export function createWorld(): World {
  base ??= createBase();
  const { db, catalog, clock, forget } = base;
  forget();
  clock.setWall(BEGIN);
  const disk = new SmallDisk([layout.dumps, layout.torrents]);
  const wiki = (name: string, project: string) => ({
    ...{ name, project, language: 'aa' },
    ...{ isClosed: false, isPrivate: false, isListed: true },
  });
  const ledger: World['ledger'] = {
    wikis: new Map(
      [wiki('aawiki', 'wikipedia'), wiki('abwiki', 'wikipedia'), wiki('aawiktionary', 'wiktionary')].map(
        (one) => [one.name, one],
      ),
    ),
    ...{ sets: [], files: new Map(), disk, now: () => clock.now(), proofMaxAgeMs: 7 * DAY_MS },
  };
  const items: World['items'] = new Map();
  const idOf = db.sqlite
    .prepare<[string, string, string, string], number>(
      'SELECT id FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ? AND filename = ?',
    )
    .pluck();
  const status = db.sqlite.prepare<[number], string>('SELECT our_status FROM dumps WHERE id = ?').pluck();
  const quickly = db.sqlite.prepare<[Record<string, unknown>]>(
    `UPDATE dumps SET our_status = 'downloaded', md5 = @md5, sha1 = @sha1, sha256 = @sha256, size_bytes = @sizeBytes, local_path = @localPath,
            verification = @verification, fetched_from_url = @fetchedFromUrl, stored_mtime_ms = @storedMtimeMs, verified_at = @now,
            downloaded_at = @now WHERE id = @id AND our_status = 'pending'`,
  );
  const setOf = (file: { filename: string }): TrueSet | undefined =>
    ledger.sets.find((set) => set.files.some((one) => one.filename === file.filename && one === file));
  const prove = handleProveRemote({
    catalog,
    bus: { emit: () => {} },
    reader: {
      item: async (identifier) => ({
        ...{ exists: true, ownWikiDbName: null },
        isDark: items.get(identifier) === 'dark',
        hasTasks: items.get(identifier) === 'tasks',
        files: [...ledger.files.values()].flatMap((file) => {
          const set = setOf(file);
          if (set === undefined || file.archived === null || world.itemOf(set) !== identifier) return [];
          const { md5, sha1 } = hashes(file, file.archived);
          const name = `${set.wiki}/${set.runDate}/${file.filename}`;
          return [{ name, source: 'original', size: String(file.sizeBytes), md5, sha1 }];
        }),
      }),
    },
  });

  const world: World = {
    ...{ db, catalog, clock, disk, ledger, items },
    program: { isAway: false, kept: new Set() },
    tellWikis: () =>
      void catalog.recordWikis(
        [...ledger.wikis.values()]
          .filter(({ isListed }) => isListed)
          .map(({ name, project, language, isClosed, isPrivate }) => ({
            ...{
              wikiDbName: name,
              project,
              language,
              isClosed,
              isPrivate,
              isFishbowl: false,
              url: '',
              name: '',
            },
          })),
      ),
    look({ wiki, source, runDate }) {
      const sets = ledger.sets.filter(
        (set) => set.wiki === wiki && set.source === source && set.runDate === runDate,
      );
      const files = sets.flatMap((set) =>
        set.files.flatMap((file): RunFacts['files'] => {
          if (file.toldVersion === null) return [];
          const own = set.hash === null ? {} : { [set.hash]: hashes(file, file.toldVersion)[set.hash] };
          return [
            {
              ...{ dumpType: set.type, filename: file.filename, isHistory: false, sizeBytes: file.sizeBytes },
              ...{ hashes: own, wikimediaUrl: 'u', wikimediaStatus: 'done', wikimediaDate: null },
            },
          ];
        }),
      );
      const first = sets[0] as WorldSet;
      catalog.recordRun({
        ...{ wikiDbName: wiki, runDate, source: source as SourceName, cycleDate: first.cycle },
        status: sets.every(({ isFinished }) => isFinished) ? 'finished' : 'in_progress',
        notices: sets
          .filter(({ isLacking }) => isLacking)
          .map(({ type }) => ({ dumpType: type, reason: 'failed upstream', kind: 'failed' as const })),
        ...{ files, listedNames: new Set(files.map(({ filename }) => filename)), document: null },
      });
      for (const set of sets) {
        set.isFinished = sets.every(({ isFinished }) => isFinished);
        for (const file of [...set.files]) {
          const id = idOf.get(wiki, source, runDate, file.filename);
          if (id === undefined) {
            // It was never had and is not listed any more: nobody expects it.
            set.files.splice(set.files.indexOf(file), 1);
            ledger.files.delete(file.path);
            continue;
          }
          file.id = id;
          if (set.hash !== null && file.heldVersion !== null && file.heldVersion === file.toldVersion)
            file.isProved = world.isHeld(file) || file.isProved;
        }
      }
    },
    addSet(facts, parts, sizeBytes) {
      const { wiki, source, runDate, type } = facts;
      const { project, language } = ledger.wikis.get(wiki) as { project: string; language: string };
      const set: WorldSet = { ...facts, label: `${project} ${language}`, files: [] };
      for (let part = 1; part <= parts; part += 1) {
        const filename = `${wiki}-${runDate}-${type}${part}.xml.bz2`;
        const path = layout.dumpFile({ source: source as SourceName, wikiDbName: wiki, runDate, filename });
        const file: TrueFile = {
          ...{ id: 0, filename, path, sizeBytes, toldVersion: 1, heldVersion: null, isProved: false },
          ...{
            writtenMs: 0,
            isKnownBad: false,
            saidYes: null,
            archived: null,
            links: new Set(),
            isRemoved: false,
          },
        };
        set.files.push(file);
        ledger.files.set(path, file);
      }
      ledger.sets.push(set);
      return set;
    },
    statusOf: (file) => status.get(file.id) ?? null,
    isHeld: (file) =>
      ['downloaded', 'uploading', 'uploaded', 'included'].includes(status.get(file.id) ?? 'none'),
    fetch(set, file, isQuick = false) {
      const version = file.toldVersion;
      const was = isQuick ? 'pending' : world.statusOf(file);
      if (version === null || was === null || (was !== 'pending' && !world.isHeld(file))) return;
      if (was !== 'pending' && catalog.replacement(DumpFileId.parse(file.id))?.kind !== 'replaced') return;
      const { mtimeMs } = disk.write(file.path, bytesOf(file, version), file.sizeBytes);
      const id = DumpFileId.parse(file.id);
      const facts = {
        ...{ ...hashes(file, version), sizeBytes: file.sizeBytes, localPath: layout.relative(file.path) },
        verification: (
          { sha1: 'sha1', md5: 'md5', sha256: 'sha256-upstream', none: 'structure-only' } as const
        )[set.hash ?? 'none'],
        ...{ fetchedFromUrl: 'u', pieceHashes: null, storedMtimeMs: mtimeMs },
      };
      if (isQuick) {
        const { pieceHashes: _, ...columns } = facts;
        quickly.run({ ...columns, id: file.id, now: clock.now() });
      } else if (was === 'pending') {
        catalog.markDownloading(id);
        catalog.recordDownloaded(id, facts);
      } else catalog.recordReplaced(id, facts);
      Object.assign(file, { heldVersion: version, writtenMs: mtimeMs, isKnownBad: false });
      file.isProved = set.hash !== null;
    },
    upload(set, file) {
      if (!world.isHeld(file) || file.isKnownBad || file.heldVersion === null) return;
      if (disk.names.get(file.path)?.bytes !== bytesOf(file, file.heldVersion)) return;
      if (items.get(world.itemOf(set)) === 'dark') return;
      const id = DumpFileId.parse(file.id);
      catalog.markUploading(id);
      catalog.recordUploaded(id, { iaIdentifier: world.itemOf(set), iaUrl: 'u' });
      file.archived = file.heldVersion;
      file.saidYes = { version: file.heldVersion, at: clock.now() };
    },
    itemOf: ({ wiki, source, runDate }) => `wikiseed-${wiki}-${source}-${runDate}`,
    async ask(of) {
      const identifier = world.itemOf(of);
      const input = { identifier, wikiDbName: of.wiki, runDate: of.runDate };
      const output = await prove.run(input, {
        signal: new AbortController().signal,
        log: silentLog,
      } as JobContext);
      db.transaction(() => prove.record?.(input, output));
      const state = items.get(identifier);
      for (const set of ledger.sets)
        for (const file of world.itemOf(set) === identifier ? set.files : []) {
          if (file.saidYes === null || file.heldVersion === null) continue;
          if (state === 'dark') file.saidYes = null;
          else if (state === 'tasks') continue;
          else if (file.archived !== file.heldVersion) file.saidYes = null;
          else file.saidYes = { version: file.heldVersion, at: clock.now() };
        }
    },
  };
  world.tellWikis();
  return world;
}
