import type { Db } from '../../src/db/index.ts';

/** One row of `alerts`, times in epoch ms. */
export interface AlertRow {
  key: string;
  severity: string;
  message: string;
  hint: string | null;
  count: number;
  firstAt: number;
  lastAt: number;
  resolvedAt: number | null;
}

const COLUMNS = `alert_key AS key, severity, message, hint, count, first_at AS firstAt, last_at AS lastAt, resolved_at AS resolvedAt`;

/** What is open in the table, whoever wrote it: errors first, then the newest. */
export const openAlerts = (db: Db): AlertRow[] =>
  db.sqlite
    .prepare<[], AlertRow>(
      `SELECT ${COLUMNS} FROM alerts WHERE resolved_at IS NULL
        ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, last_at DESC, id DESC`,
    )
    .all();

/** What is over, newest first. */
export const resolvedAlerts = (db: Db): AlertRow[] =>
  db.sqlite
    .prepare<[], AlertRow>(
      `SELECT ${COLUMNS} FROM alerts WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC, id DESC`,
    )
    .all();
