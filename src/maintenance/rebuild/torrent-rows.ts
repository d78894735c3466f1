import type { Db } from '../../db/index.ts';
import type { GapRow, PayloadFacts } from './payload-facts.ts';
import type { RebuildReport } from './report.ts';
import { createRowWriter, type Values } from './row-writer.ts';

/** What identifies a row of each table that a torrent can tell of. */
const IDENTITY = {
  dumps: ['wiki_db_name', 'source', 'run_date', 'filename'],
  dump_runs: ['wiki_db_name', 'source', 'run_date'],
  torrents: ['name', 'cycle_date'],
  torrent_files: ['torrent_id', 'dump_id'],
} satisfies Record<string, string[]>;

/** Inserts unless it is there; finds the row either way. What a table refuses is told. */
export function createInserter(db: Db, report: RebuildReport) {
  const writer = createRowWriter(db);
  const find = new Map(
    Object.entries(IDENTITY).map(([table, columns]) => [
      table,
      db.sqlite
        .prepare<unknown[], number>(
          `SELECT rowid FROM ${table} WHERE ${columns.map((column) => `${column} = ?`).join(' AND ')}`,
        )
        .pluck(),
    ]),
  );
  const hasGaps = db.sqlite
    .prepare<[number], 1>('SELECT 1 FROM torrent_gaps WHERE torrent_id = ? LIMIT 1')
    .pluck();
  const inserter = {
    count: 0,
    insert(table: keyof typeof IDENTITY, row: Values): number | null {
      const known = find.get(table)?.get(...IDENTITY[table].map((column) => row[column]));
      if (known !== undefined) return known;
      const result = writer.insert(table, row);
      if (typeof result === 'number') {
        inserter.count += 1;
        return result;
      }
      report.problems.push({
        what: String(row.filename ?? row.name ?? row.wiki_db_name),
        reason: result.reason,
      });
      return null;
    },
    /** All of a torrent's gaps, unless some are known: they were written together. */
    insertGaps(torrentId: number, gaps: readonly GapRow[]): void {
      if (hasGaps.get(torrentId) !== undefined) return;
      for (const gap of gaps)
        if (typeof writer.insert('torrent_gaps', { ...gap, torrent_id: torrentId }) === 'number')
          inserter.count += 1;
    },
  };
  return inserter;
}

/** Project and language of a wiki, from whatever tells of it. */
export function createPlaces(db: Db, payload: PayloadFacts) {
  const find = db.sqlite.prepare<[{ wiki: string }], { project: string; language: string }>(
    `SELECT project, language FROM (SELECT project, language FROM wikis WHERE wiki_db_name = @wiki
       UNION ALL SELECT project, language FROM dumps WHERE wiki_db_name = @wiki) LIMIT 1`,
  );
  return (wiki: string): { project: string; language: string } =>
    find.get({ wiki }) ?? payload.files.find((file) => file.wiki === wiki) ?? { project: '', language: '' };
}
