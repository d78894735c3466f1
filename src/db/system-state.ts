import type { Db } from './open.ts';

/** Single facts by key, for rooms that need one that survives a restart. Values are strings; write inside a transaction joins it. */
export interface SystemState {
  get(key: string): string | null;
  set(key: string, value: string, nowMs: number): void;
  delete(key: string): void;
  /** Pairs whose key starts with `prefix`, sorted by key. */
  list(prefix: string): { key: string; value: string; updatedAt: number }[];
}

/** The `system_state` table. */
export function createSystemState(db: Db): SystemState {
  const get = db.sqlite.prepare<[string], { value: string }>('SELECT value FROM system_state WHERE key = ?');
  const list = db.sqlite.prepare<[string, string], { key: string; value: string; updatedAt: number }>(
    'SELECT key, value, updated_at AS updatedAt FROM system_state WHERE substr(key, 1, length(?)) = ? ORDER BY key',
  );
  return {
    get: (key) => get.get(key)?.value ?? null,
    set: (key, value, nowMs) => {
      db.sqlite
        .prepare(
          `INSERT INTO system_state (key, value, updated_at) VALUES (?, ?, ?)
           ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
        )
        .run(key, value, nowMs);
    },
    delete: (key) => {
      db.sqlite.prepare('DELETE FROM system_state WHERE key = ?').run(key);
    },
    list: (prefix) => list.all(prefix, prefix),
  };
}
