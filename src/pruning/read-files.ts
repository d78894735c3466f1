import { HELD_STATUSES, TEXT_TYPES } from '../catalog/terms.ts';
import type { Db } from '../db/index.ts';
import type { PruneFile, WikiFlags } from '../storage/index.ts';

/** Any connection to the database; a read-only one will do. */
export type Connection = Db['sqlite'];

/** One set, and the newer run that makes it superfluous: what a look just before the deletion needs. */
export interface SetScope {
  wikiDbName: string;
  source: string;
  dumpType: string;
  /** Runs of that source whose files of that type are needed. */
  runDates: readonly string[];
  /** Files that would go. */
  ids: readonly number[];
}

/** For SQL; the words are ours, so nothing needs escaping. */
export const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');
const BITS = 32;
/** 256 TB: beyond that the bits would be lost in rounding. A size that is wrong by then keeps its set, as every wrong size does. */
const SIZE_MAX = 2 ** 48 - 1;
const [HELD, INCLUDED, PROVED, DAMAGED, REFUSED] = [1, 2, 4, 8, 16];
/**
 * What is told of a file besides its run. Each value that has to be made costs: what its wiki says already comes as null, and what is
 * true or not as the lowest bits of the size.
 */
const COLUMNS = `d.id, d.dump_type,
  min(d.size_bytes, ${SIZE_MAX}) * ${BITS}
  + iif(d.local_path IS NULL, 0, CASE d.our_status WHEN 'included' THEN ${HELD} ${HELD_STATUSES.filter(
    (status) => status !== 'included',
  )
    .map((status) => `WHEN '${status}' THEN ${HELD}`)
    .join(' ')} ELSE 0 END)
  + (d.our_status = 'included') * ${INCLUDED}
  + (d.sha1 IS NOT NULL AND coalesce(d.verification, 'structure-only') <> 'structure-only') * ${PROVED}
  + (d.damaged_at IS NOT NULL) * ${DAMAGED}
  + (d.ia_refused_at IS NOT NULL) * ${REFUSED},
  iif(d.ia_identifier IS NULL, NULL, d.ia_verified_at), d.cycle_date,
  iif(d.project = ? AND d.language = ?, NULL, json_array(d.project, d.language))`;

type Columns = [
  id: number,
  dumpType: string,
  sizeAndBits: number,
  archivedAt: number | null,
  cycleDate: string,
  /** Project and language, where its wiki says something else. */
  other: string | null,
];

/** What the files of an unknown wiki are compared with: no row says it. */
const UNKNOWN = { project: '', language: '' };

/** Every row, run by run, in one object that is filled anew; with a scope the texts of that wiki, and the runs that are asked about. */
export function* readFiles(
  sqlite: Connection,
  wikis: ReadonlyMap<string, WikiFlags>,
  scope: SetScope | undefined,
): Generator<PruneFile> {
  const contested = new Set(
    sqlite.prepare<[], number>('SELECT dump_id FROM dump_replacements').pluck().all(),
  );
  // Equal strings are kept once: there are hundreds of thousands of rows.
  const types = new Map<string, { dumpType: string; isText: boolean }>();
  const typeOf = (dumpType: string): { dumpType: string; isText: boolean } => {
    let type = types.get(dumpType);
    if (type === undefined) {
      type = { dumpType, isText: TEXT_TYPES.includes(dumpType) };
      types.set(dumpType, type);
    }
    return type;
  };
  const file: PruneFile = {
    id: 0,
    ...{ project: '', language: '', wikiDbName: '', source: '', runDate: '', cycleDate: '', dumpType: '' },
    ...{ sizeBytes: 0, isText: false, isHeld: false, isIncluded: false, isProved: false, isDamaged: false },
    ...{ isContested: false, archivedAt: null, isRefused: false },
  };
  for (const [[wikiDbName, source, runDate], rows] of readRunsOfFiles(sqlite, wikis, scope)) {
    const wiki = wikis.get(wikiDbName) ?? UNKNOWN;
    file.wikiDbName = wikiDbName;
    file.source = source;
    file.runDate = runDate;
    for (const row of rows) {
      const [id, type, sizeAndBits, archivedAt, cycleDate, other] = row;
      const flags = sizeAndBits % BITS;
      const { dumpType, isText } = typeOf(type);
      file.id = id;
      [file.project, file.language] =
        other === null ? [wiki.project, wiki.language] : (JSON.parse(other) as [string, string]);
      if (file.cycleDate !== cycleDate) file.cycleDate = cycleDate;
      file.dumpType = dumpType;
      file.isText = isText;
      file.sizeBytes = (sizeAndBits - flags) / BITS;
      file.isHeld = (flags & HELD) !== 0;
      file.isIncluded = (flags & INCLUDED) !== 0;
      file.isProved = (flags & PROVED) !== 0;
      file.isDamaged = (flags & DAMAGED) !== 0;
      file.isContested = contested.has(id);
      file.archivedAt = archivedAt;
      file.isRefused = (flags & REFUSED) !== 0;
      yield file;
    }
  }
}

type RunName = [wikiDbName: string, source: string, runDate: string];

/** Rows by run, whether or not the run has a row of its own. */
function* readRunsOfFiles(
  sqlite: Connection,
  wikis: ReadonlyMap<string, WikiFlags>,
  scope: SetScope | undefined,
): Generator<[RunName, readonly Columns[]]> {
  const rowsOf = (rest: string): ((wikiDbName: string, ...given: string[]) => Columns[]) => {
    const statement = sqlite
      .prepare<string[]>(
        `SELECT ${COLUMNS} FROM dumps d INDEXED BY dumps_identity WHERE d.wiki_db_name = ? ${rest}`,
      )
      .raw();
    return (wikiDbName, ...given) => {
      const { project, language } = wikis.get(wikiDbName) ?? UNKNOWN;
      return statement.all(project, language, wikiDbName, ...given) as Columns[];
    };
  };
  if (scope !== undefined) {
    yield* readScope(sqlite, scope, rowsOf);
    return;
  }
  // A statement for each wiki takes two thirds of the time that one for each run takes; which rows are whose, the index counts.
  const runs = sqlite
    .prepare('SELECT wiki_db_name, source, run_date, count(*) FROM dumps GROUP BY 1, 2, 3 ORDER BY 1, 2, 3')
    .raw()
    .all() as [...RunName, number][];
  const ofWiki = rowsOf('ORDER BY d.source, d.run_date');
  let wiki: string | null = null;
  let rows: Columns[] = [];
  let from = 0;
  for (const [wikiDbName, source, runDate, count] of runs) {
    if (wikiDbName !== wiki) {
      wiki = wikiDbName;
      rows = ofWiki(wikiDbName);
      from = 0;
    }
    yield [[wikiDbName, source, runDate], rows.slice(from, from + count)];
    from += count;
  }
}

/** What decides about one set: every text of its wiki, and the runs that are asked about. */
function* readScope(
  sqlite: Connection,
  { wikiDbName, source, dumpType, runDates }: SetScope,
  rowsOf: (rest: string) => (wikiDbName: string, ...given: string[]) => Columns[],
): Generator<[RunName, readonly Columns[]]> {
  const texts = rowsOf(`AND d.source = ? AND d.run_date = ? AND d.dump_type IN (${quoted(TEXT_TYPES)})`);
  const withText = sqlite
    .prepare(
      `SELECT DISTINCT source, run_date FROM dumps INDEXED BY idx_dumps_text
        WHERE wiki_db_name = ? AND dump_type IN (${quoted(TEXT_TYPES)})`,
    )
    .raw()
    .all(wikiDbName) as [string, string][];
  for (const run of withText) yield [[wikiDbName, ...run], texts(wikiDbName, ...run)];
  if (TEXT_TYPES.includes(dumpType)) return;
  const ofType = rowsOf('AND d.source = ? AND d.run_date = ? AND d.dump_type = ?');
  for (const runDate of new Set(runDates))
    yield [[wikiDbName, source, runDate], ofType(wikiDbName, source, runDate, dumpType)];
}
