import { createSystemState, type Db, STATE_KEYS } from '../db/index.ts';
import { type Limit, type Pause, parseRate, parseScope, RATE_NAMES, type Rate } from '../queue/index.ts';
import type { Alert, Halt, LastBackup, MirrorState } from './types.ts';

/** What operators did and what wants them, from the tables. Values of other versions that cannot be read are left out. */
export interface OperatorQueries {
  /** Targets that are not worked on freely, sorted by name; one whose time has passed is being tried. */
  halts(): Halt[];
  /** What is held by hand; everything first, then by name. */
  pauses(): Pause[];
  limits(): Limit[];
  /** Bandwidths set by hand. */
  rates(): Rate[];
  /** Mirrors that are configured, in the order in which they first were. */
  mirrors(): MirrorState[];
  /** Open ones, worst first, then newest; at most `limit`. */
  alerts(limit: number): Alert[];
  alertCount(): number;
  /** null = none was made by a job yet. */
  lastBackup(): LastBackup | null;
}

const { halt: HALT, pause: PAUSE, limit: LIMIT, rate: RATE, lastBackup: LAST_BACKUP } = STATE_KEYS;

/** Prepares the questions. */
export function createOperatorQueries(db: Db): OperatorQueries {
  const state = createSystemState(db);
  const alertRows = db.sqlite.prepare<[number], Alert>(
    `SELECT id, alert_key AS key, severity, message, hint, count, first_at AS firstAt, last_at AS lastAt
     FROM alerts WHERE resolved_at IS NULL
     ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, last_at DESC, id DESC LIMIT ?`,
  );
  const alertCount = db.sqlite
    .prepare<[], number>('SELECT count(*) FROM alerts WHERE resolved_at IS NULL')
    .pluck();
  const mirrorRows = db.sqlite.prepare<[], MirrorState>(
    `SELECT base_url AS baseUrl, good_files AS goodFiles, bad_hashes AS badHashes, faults_in_a_row AS faultsInARow,
            bytes_per_second AS bytesPerSecond, newest_run_date AS newestRunDate, last_fault AS lastFault,
            last_fault_at AS lastFaultAt, probation_until AS probationUntil, last_used_at AS lastUsedAt
     FROM mirrors WHERE is_active = 1 ORDER BY id`,
  );
  return {
    rates: () => RATE_NAMES.flatMap((name) => parseRate(name, state.get(`${RATE}${name}`)) ?? []),
    mirrors: () => mirrorRows.all(),
    halts: () => state.list(HALT).flatMap(({ key, value }) => parseHalt(key, value) ?? []),
    pauses: () => state.list(PAUSE).flatMap(({ key, value }) => parsePause(key.slice(PAUSE.length), value)),
    limits: () => state.list(LIMIT).flatMap(({ key, value }) => parseLimit(key.slice(LIMIT.length), value)),
    alerts: (limit) => alertRows.all(limit),
    alertCount: () => alertCount.get() ?? 0,
    lastBackup: () => parseBackup(state.get(LAST_BACKUP)),
  };
}

function parseHalt(key: string, value: string): Halt | null {
  const facts = parseObject(value);
  if (facts === null) return null;
  return {
    target: text(facts.target) ?? key.slice(HALT.length),
    kind: facts.kind === 'unavailable' ? 'unavailable' : 'halted',
    code: text(facts.code) ?? 'unknown',
    message: text(facts.message) ?? 'no reason was recorded',
    hint: text(facts.hint),
    since: time(facts.since),
    until: time(facts.until),
    failures: time(facts.failures) ?? 1,
  };
}

function parsePause(scopeText: string, value: string): Pause[] {
  const facts = parseObject(value);
  if (facts === null) return [];
  try {
    return [{ scope: parseScope(scopeText), since: time(facts.since) ?? 0, reason: text(facts.reason) }];
  } catch {
    return [];
  }
}

function parseLimit(scopeText: string, value: string): Limit[] {
  const jobs = time(parseObject(value)?.jobs);
  if (jobs === null) return [];
  try {
    return [{ scope: parseScope(scopeText), jobs }];
  } catch {
    return [];
  }
}

function parseBackup(value: string | null): LastBackup | null {
  const facts = value === null ? null : parseObject(value);
  const at = time(facts?.at);
  if (facts === null || at === null) return null;
  return {
    at,
    ok: facts.ok === true,
    goodAt: facts.ok === true ? at : time(facts.goodAt),
    name: text(facts.name),
    sizeBytes: time(facts.sizeBytes),
    message: text(facts.message),
  };
}

/** JSON of the state table; null for anything that is no object. */
export function parseObject(value: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** A text that says something. */
export const text = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null;
/** A finite number. */
export const time = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;
