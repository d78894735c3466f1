import type { Db } from '../db/index.ts';

/** How bad it is. `error`: somebody should look. */
export type Severity = 'info' | 'warn' | 'error';

/** One matter that somebody should look at. `key` names it; raised again it stays one row of `alerts`. */
export interface Raised {
  key: string;
  severity: Severity;
  message: string;
  hint: string | null;
}

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

/** All SQL that writes `alerts`, and what it has to know for that; pages and commands read through monitoring. */
export interface AlertStore {
  /** Counts up the open row of that key, or opens one. */
  raise(raised: Raised, facts: { times: number; firstAt: number; lastAt: number }): void;
  /** False when none was open. */
  resolve(key: string, at: number): boolean;
  /** How bad the open row of that key is; null when none is open. */
  severityOf(key: string): Severity | null;
  /** Every open matter; at most `limit`. */
  open(limit: number): { key: string; severity: Severity }[];
}

/** The statements on `alerts`; each finds its row by the index on open keys. */
export function createAlertStore(db: Db): AlertStore {
  const { sqlite } = db;
  const open = sqlite.prepare<[number], { key: string; severity: Severity }>(
    'SELECT alert_key AS key, severity FROM alerts WHERE resolved_at IS NULL ORDER BY alert_key LIMIT ?',
  );
  const severityOf = sqlite
    .prepare<[string], Severity>('SELECT severity FROM alerts WHERE alert_key = ? AND resolved_at IS NULL')
    .pluck();
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
    severityOf: (key) => severityOf.get(key) ?? null,
    open: (limit) => open.all(limit),
  };
}
