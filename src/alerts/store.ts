import type { Db } from '../db/index.ts';

/** How bad it is. `error`: somebody should look. */
export type Severity = 'info' | 'warn' | 'error';

/** One matter that somebody should look at, or should have. Times in epoch ms. */
export interface Alert {
  id: number;
  key: string;
  severity: Severity;
  message: string;
  hint: string | null;
  /** How often it was raised since it opened. */
  count: number;
  firstAt: number;
  lastAt: number;
  /** Null while it is open. */
  resolvedAt: number | null;
}

/** What is raised. */
export type Raised = Pick<Alert, 'key' | 'severity' | 'message' | 'hint'>;

/** Longest texts in a row, characters. */
const KEY_MAX = 200;
const TEXT_MAX = 1000;

/** A raised matter as it fits into a row. Pure. */
export function bounded(raised: Raised): Raised {
  return {
    key: cut(raised.key, KEY_MAX),
    severity: raised.severity,
    message: cut(raised.message, TEXT_MAX),
    hint: raised.hint === null ? null : cut(raised.hint, TEXT_MAX),
  };
}

const cut = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;

/** All SQL on `alerts`. */
export interface AlertStore {
  /** Counts up the open row of that key, or opens one. */
  raise(raised: Raised, facts: { times: number; firstAt: number; lastAt: number }): void;
  /** False when none was open. */
  resolve(key: string, at: number): boolean;
  /** Open ones, worst first, then newest. */
  open(limit: number): Alert[];
  /** Those that are over, newest first. */
  resolved(limit: number): Alert[];
}

const COLUMNS = `id, alert_key AS key, severity, message, hint, count, first_at AS firstAt, last_at AS lastAt, resolved_at AS resolvedAt`;

/** The `alerts` table. Reads work on a connection that only reads. */
export function createAlertStore(db: Db): AlertStore {
  const { sqlite } = db;
  const open = sqlite.prepare<[number], Alert>(
    `SELECT ${COLUMNS} FROM alerts WHERE resolved_at IS NULL
      ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, last_at DESC, id DESC LIMIT ?`,
  );
  const resolved = sqlite.prepare<[number], Alert>(
    `SELECT ${COLUMNS} FROM alerts WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC, id DESC LIMIT ?`,
  );
  const again = sqlite.prepare(
    `UPDATE alerts SET severity = @severity, message = @message, hint = @hint, count = count + @times, last_at = @lastAt
      WHERE alert_key = @key AND resolved_at IS NULL`,
  );
  const insert = sqlite.prepare(
    `INSERT INTO alerts (alert_key, severity, message, hint, count, first_at, last_at)
     VALUES (@key, @severity, @message, @hint, @times, @firstAt, @lastAt)`,
  );
  const resolve = sqlite.prepare(
    'UPDATE alerts SET resolved_at = ? WHERE alert_key = ? AND resolved_at IS NULL',
  );
  return {
    raise(raised, facts) {
      const values = { ...raised, ...facts };
      db.transaction(() => {
        if (again.run(values).changes === 0) insert.run(values);
      });
    },
    resolve: (key, at) => resolve.run(at, key).changes > 0,
    open: (limit) => open.all(limit),
    resolved: (limit) => resolved.all(limit),
  };
}
