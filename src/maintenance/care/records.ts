import type { Database } from 'better-sqlite3';

/** What maintenance remembers of its last run of each kind, in `system_state` under `maintenance:last_<what>`. */
export const RECORDED = [
  'backup',
  'rehearsal',
  'integrity',
  'analyze',
  'vacuum',
  'checkpoint',
  'retention',
] as const;
/** See `RECORDED`. */
export type Recorded = (typeof RECORDED)[number];

/** One last run. */
export interface LastRun {
  /** When it ended, epoch ms. */
  at: number;
  ok: boolean;
  /** When it last ended well; null = never, or not recorded. */
  goodAt: number | null;
  /** What went wrong, for people; null when nothing did. */
  message: string | null;
}

/** The key of a record. Written out, though `STATE_KEYS` has two of them: the care thread must not load the whole database room; a test compares. */
export const recordKey = (what: Recorded): string => `maintenance:last_${what}`;

/** Since when somebody takes care of this database; before that nothing can be overdue. */
export const SINCE_KEY = 'maintenance:since';

/**
 * Writes a record from the connection that did the work; keeps the time of the last good run when this one was bad.
 * @param facts more to keep, small
 */
export function writeRecord(
  connection: Database,
  what: Recorded,
  run: { at: number; ok: boolean; message?: string; facts?: object },
): void {
  const goodAt = run.ok ? run.at : (readRecord(connection, what)?.goodAt ?? null);
  const value = JSON.stringify({
    ...run.facts,
    at: run.at,
    ok: run.ok,
    goodAt,
    message: run.message ?? null,
  });
  connection
    .prepare(
      `INSERT INTO system_state (key, value, updated_at) VALUES (?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
    )
    .run(recordKey(what), value, run.at);
}

/** Null when it never ran, or when the row is not one of ours. */
export function readRecord(connection: Database, what: Recorded): LastRun | null {
  const text = connection
    .prepare<[string], string>('SELECT value FROM system_state WHERE key = ?')
    .pluck()
    .get(recordKey(what));
  return text === undefined ? null : parseRecord(text);
}

/** Reads what any version wrote: a row of an unknown form counts as none. */
function parseRecord(text: string): LastRun | null {
  try {
    const { at, ok, goodAt, message } = JSON.parse(text) as Record<string, unknown>;
    if (typeof at !== 'number' || typeof ok !== 'boolean') return null;
    return {
      at,
      ok,
      goodAt: typeof goodAt === 'number' ? goodAt : ok ? at : null,
      message: typeof message === 'string' ? message : null,
    };
  } catch {
    return null;
  }
}
