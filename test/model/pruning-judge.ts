import type Database from 'better-sqlite3';
import type { Inode } from './pruning-disk.ts';
import { copyOf, covered, isOnDisk, type Ledger, type TrueFile } from './pruning-ledger.ts';

/** Says what is wrong; it knows the tables by their names alone, and no code of the product. */
export interface Judge {
  /** Our own process begins to do something. */
  begin(): void;
  /** It means to delete these files of that wiki and these of others, and has looked at the tables alone. @throws */
  planned(sets: readonly { wikiDbName: string; ids: readonly number[] }[]): void;
  /** It is about to take a name away. @throws */
  removing(path: string, inode: Inode): void;
  /** Somebody told something in the meantime: what ended by that, ended without us. */
  told(): void;
  /** It did so. @throws */
  removed(path: string): void;
  /** It was to make so much room, and is over or dead: whether it decided on more than was missing beside what waited already. @throws */
  pruned(neededBytes: number): void;
  /** It is over, or it died. `mayWait`: what a torrent carries may be seeded still, so it stays. @throws */
  end(how: 'whole' | 'broken off', mayWait: (infoHash: string) => boolean): void;
}

interface Row {
  id: number;
  status: string;
  path: string | null;
  tombstones: number;
  open: number;
}

const HELD = ['downloaded', 'uploading', 'uploaded', 'included'];

/** @param paths of the data directory, absolute */
export function createJudge(deps: {
  ledger: Ledger;
  sqlite: Database.Database;
  paths: { dataDir: string; dumps: string; torrents: string };
  count: (what: string) => void;
}): Judge {
  const { ledger, sqlite, paths, count } = deps;
  const { disk } = ledger;
  const tombstone = sqlite.prepare<[string], { open: number; all: number }>(
    'SELECT coalesce(sum(removed_at IS NULL), 0) AS open, count(*) AS "all" FROM deletions WHERE path = ?',
  );
  const rowsNow = sqlite.prepare<[], Row>(
    `SELECT d.id, d.our_status AS status, d.local_path AS path,
            (SELECT count(*) FROM deletions x WHERE x.dump_id = d.id) AS tombstones,
            (SELECT count(*) FROM deletions x WHERE x.dump_id = d.id AND x.removed_at IS NULL) AS open FROM dumps d`,
  );
  const unpacked = sqlite.prepare<[], { name: string; infoHash: string; isRetired: 0 | 1 }>(
    'SELECT name, info_hash AS infoHash, retired_at IS NOT NULL AS isRetired FROM torrents WHERE is_uncompressed = 1',
  );
  /** Torrents that are seeded although they lack a file, of whatever kind they are. */
  const broken = sqlite
    .prepare<[], string>(
      `SELECT t.name || ' lacks ' || d.filename FROM torrents t JOIN torrent_files f ON f.torrent_id = t.id JOIN dumps d ON d.id = f.dump_id
        WHERE t.retired_at IS NULL AND d.our_status = 'deleted' LIMIT 1`,
    )
    .pluck();
  const torrents = sqlite.prepare<[], { name: string; isRetired: 0 | 1 }>(
    'SELECT name, retired_at IS NOT NULL AS isRetired FROM torrents',
  );
  const lastTombstone = sqlite.prepare<[], number>('SELECT coalesce(max(id), 0) FROM deletions').pluck();
  const openUpTo = sqlite
    .prepare<[number], number>('SELECT dump_id FROM deletions WHERE id <= ? AND removed_at IS NULL')
    .pluck();
  const decidedSince = sqlite.prepare<[number], { set: string; sizeBytes: number }>(
    `SELECT d.wiki_db_name || d.source || d.run_date || d.dump_type AS "set", d.size_bytes AS sizeBytes
       FROM deletions x JOIN dumps d ON d.id = x.dump_id WHERE x.id > ? ORDER BY x.id`,
  );
  const carriers = sqlite
    .prepare<[number], string>(
      `SELECT t.info_hash FROM torrents t JOIN torrent_files f ON f.torrent_id = t.id WHERE f.dump_id = ? AND t.retired_at IS NOT NULL`,
    )
    .pluck();
  let tombstoneBefore = 0;
  let unpackedBefore = new Set<string>();
  let before = new Set<string>();
  let rowsBefore = new Map<number, Row>();
  /** States of files before the first deletion of theirs that is open was decided. */
  const statusBefore = new Map<number, string>();
  const relative = (path: string): string => path.slice(paths.dataDir.length + 1);

  /** Whose bytes a name in a folder of a torrent gives. */
  const byLink = (path: string): TrueFile | undefined => {
    for (const file of ledger.files.values()) if (file.links.has(path)) return file;
    return undefined;
  };
  const wikiOf = (file: TrueFile): string =>
    ledger.sets.find((set) => set.files.includes(file))?.wiki ?? fail(`nobody knows the run of ${file.path}`);

  function assertUnprotected(wiki: string, path: string): void {
    const facts = ledger.wikis.get(wiki);
    if (facts === undefined || facts.isClosed || facts.isPrivate || !facts.isListed)
      fail(`${path} is of ${wiki}, which is closed, private or gone: its bytes were removed`);
  }

  function removing(path: string, inode: Inode): void {
    const own = ledger.files.get(path);
    if (own !== undefined) {
      const buried = tombstone.get(relative(path));
      if (buried === undefined || buried.open === 0) fail(`${path} is removed without a tombstone`);
      assertUnprotected(wikiOf(own), path);
      if (rowsBefore.get(own.id)?.open === 0)
        for (const { name, isRetired } of unpacked.all())
          if (isRetired === 0 && unpackedNames(name).length > 0)
            fail(`${path} is removed, and ${name} with unpacked files is still there`);
      // What was decided in an earlier life is ended, whoever linked it since.
      const other = disk.namesOf(inode).find((name) => name !== path && !own.links.has(name));
      if (rowsBefore.get(own.id)?.open === 0 && other !== undefined)
        fail(`${path} is removed, but nothing is freed: ${other} is another name of the same bytes`);
      return;
    }
    if (!path.startsWith(`${paths.torrents}/`)) fail(`${path} is none of our names, and was removed`);
    if (path.includes('/uncompressed/')) {
      removingUnpacked(path);
      return;
    }
    const file = byLink(path);
    if (file === undefined) return;
    const name = path.slice(paths.torrents.length + 1).split('/')[0];
    const buried = tombstone.get(relative(file.path));
    const isBuried = buried !== undefined && buried.all > 0;
    if (!isBuried && torrents.all().find((one) => one.name === name)?.isRetired !== 1)
      fail(`${path} is removed from a torrent that is not retired`);
    // Bytes that have no other name go with it: only those of a file that goes, or that has others in its place.
    if (disk.namesOf(inode).length > 1 || disk.names.has(file.path)) return;
    if (!isBuried) fail(`${path} was the last name of its bytes, and is removed without a tombstone`);
    assertUnprotected(wikiOf(file), path);
  }

  const unpackedNames = (torrent: string): string[] =>
    [...disk.names.keys()].filter((name) => name.startsWith(`${paths.torrents}/${torrent}/uncompressed/`));

  function removingUnpacked(path: string): void {
    const name = path.slice(paths.torrents.length + 1).split('/')[0];
    if (unpacked.all().find((one) => one.name === name)?.isRetired !== 1)
      fail(`${path} is removed from a torrent that is not retired`);
    count('unpacked removed');
  }

  function assertCovered(when: string, only?: string): void {
    const now = covered(ledger);
    if (only !== undefined && !now.has(only)) fail(`${when}: no whole verified copy of ${only} is left`);
    for (const name of before)
      if (!now.has(name)) fail(`${when}: there was a whole verified copy of ${name}, and there is none now`);
  }

  return {
    begin() {
      before = covered(ledger);
      tombstoneBefore = lastTombstone.get() ?? 0;
      unpackedBefore = new Set(
        unpacked.all().flatMap(({ name, isRetired }) => (isRetired === 1 ? unpackedNames(name) : [])),
      );
      rowsBefore = new Map(rowsNow.all().map((row) => [row.id, row]));
      for (const row of rowsBefore.values()) if (row.open === 0) statusBefore.set(row.id, row.status);
    },
    planned(sets) {
      const going = new Set(sets.flatMap(({ ids }) => ids));
      const heldIds = new Set(
        rowsNow.all().flatMap(({ id, status, path }) => (HELD.includes(status) && path !== null ? [id] : [])),
      );
      const stays = (file: TrueFile): boolean =>
        heldIds.has(file.id) && !going.has(file.id) && !file.isKnownBad;
      for (const wiki of new Set(sets.map(({ wikiDbName }) => wikiDbName))) {
        assertUnprotected(wiki, 'the plan');
        if (!ledger.sets.some((set) => set.wiki === wiki && copyOf(ledger, set, stays) !== null))
          fail(`the plan leaves no whole verified copy of ${wiki}`);
      }
    },
    removing,
    told() {
      before = covered(ledger);
      for (const row of rowsNow.all()) if (row.status !== 'deleted') statusBefore.set(row.id, row.status);
    },
    removed(path) {
      const file = ledger.files.get(path);
      if (file === undefined) {
        if (byLink(path) !== undefined) assertCovered(`${path} was removed`);
        return;
      }
      file.isRemoved = true;
      count('removed');
      const wiki = wikiOf(file);
      assertCovered(`${path} was removed`, wiki);
      if (!ledger.sets.some((set) => set.wiki === wiki && copyOf(ledger, set) === 'disk'))
        count('removed, with a copy at the archive alone');
    },
    pruned(neededBytes) {
      const decided = decidedSince.all(tombstoneBefore);
      const waitingBytes = waitingSinceBefore();
      if (neededBytes > 0 && waitingBytes >= neededBytes) count('enough waits');
      const last = decided.at(-1);
      if (last === undefined) return;
      const without = decided.reduce(
        (sum, { set, sizeBytes }) => sum + (set === last.set ? 0 : sizeBytes),
        0,
      );
      if (without + waitingBytes >= neededBytes)
        fail(
          `${neededBytes} bytes were needed; ${waitingBytes} waited already, ${without} were decided on, and then ${last.set}, too`,
        );
    },
    end(how, mayWait) {
      // What was told in the meantime may have ended a copy; every removal was judged when it happened.
      const rows = new Map(rowsNow.all().map((row) => [row.id, row]));
      for (const file of ledger.files.values()) {
        // A name came back: by our own hand, from another name of the same bytes, or because the power went too early.
        if (disk.names.has(file.path)) file.isRemoved = false;
        const row = rows.get(file.id) ?? fail(`the row of ${file.path} is gone`);
        judgeRow(file, row, how, mayWait);
      }
      if (how === 'whole') judgeTorrents(mayWait);
    },
  };

  /** What was to go before, has not gone since, and would free its bytes. */
  function waitingSinceBefore(): number {
    // One that was taken back and decided on anew has another tombstone.
    const waiting = new Set(openUpTo.all(tombstoneBefore));
    let sum = 0;
    for (const file of ledger.files.values()) {
      if (!waiting.has(file.id)) continue;
      const own = [file.path, ...file.links];
      const inode = own.flatMap((name) => disk.names.get(name) ?? [])[0];
      if (inode === undefined || disk.namesOf(inode).some((name) => !own.includes(name))) continue;
      sum += inode.sizeBytes;
    }
    for (const name of unpackedBefore) sum += disk.names.get(name)?.sizeBytes ?? 0;
    return sum;
  }

  function judgeRow(
    file: TrueFile,
    row: Row,
    how: 'whole' | 'broken off',
    mayWait: (infoHash: string) => boolean,
  ): void {
    const was = rowsBefore.get(file.id);
    if (row.open > 1 || row.tombstones > 1) fail(`${file.path} has ${row.tombstones} tombstones`);
    if (row.open === 1 && row.status !== 'deleted')
      fail(`${file.path} is to be deleted, and is ${row.status}`);
    if (row.status === 'deleted' && row.tombstones === 0) fail(`${file.path} is deleted without a tombstone`);
    if (
      row.open === 0 &&
      row.tombstones === 0 &&
      was !== undefined &&
      row.status !== statusBefore.get(file.id)
    )
      fail(`${file.path} was ${statusBefore.get(file.id)}, and is ${row.status} now`);
    if (was !== undefined && was.open === 1 && row.tombstones === 0) {
      count('taken back');
      if (row.path !== relative(file.path)) fail(`${file.path} was taken back without its place`);
      if (file.isRemoved) fail(`${file.path} was taken back, and its bytes are gone`);
    }
    if (row.status === 'deleted' && row.open === 0) {
      if (row.path !== null) fail(`${file.path} is deleted, and its row names a place`);
      for (const name of [file.path, ...file.links])
        if (disk.names.has(name)) fail(`${file.path} is deleted for good, and ${name} is there`);
    }
    if (how === 'broken off') return;
    if (row.open === 1) {
      if (!carriers.all(row.id).some(mayWait)) fail(`the deletion of ${file.path} is still open`);
      count('still seeded, perhaps');
    }
    if (row.status === 'deleted') return;
    if (file.isRemoved) fail(`${file.path} was removed, and its row says ${row.status}`);
    else if (HELD.includes(row.status) && isOnDisk(file, disk) && !disk.names.has(file.path))
      count('without its own name');
  }

  /** A torrent that is seeded has all its files: what was taken back from it, too. */
  function judgeTorrents(mayWait: (infoHash: string) => boolean): void {
    const retired = new Map(torrents.all().map(({ name, isRetired }) => [name, isRetired === 1]));
    for (const file of ledger.files.values())
      for (const link of file.links) {
        const name = link.slice(paths.torrents.length + 1).split('/')[0] as string;
        if (retired.get(name) === true) continue;
        if (!disk.names.has(link)) fail(`${link} is missing from a torrent that is not retired`);
      }
    const lack = broken.get();
    if (lack !== undefined) fail(`${lack}, and is not retired`);
    for (const { name, infoHash, isRetired } of unpacked.all())
      if (isRetired === 1 && !mayWait(infoHash) && unpackedNames(name).length > 0)
        fail(`${name} is retired, and its unpacked files are there`);
  }
}

/** @throws always */
function fail(text: string): never {
  throw new Verdict(text);
}

/** The judge's word; nothing of the product throws it. */
export class Verdict extends Error {}
