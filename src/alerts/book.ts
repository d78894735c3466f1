import { describeError, errorCode } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import { type AlertStore, bounded, type Raised, type Severity } from './store.ts';

/** What is open now. The table says so; memory stands in for what could not be written to it. Nothing of it ever throws. */
export interface AlertBook {
  raise(raised: Raised): void;
  /** Nothing happens when it is not open. */
  resolve(key: string): void;
  /** Keys of what is open and begins so. */
  openKeys(prefix: string): string[];
  /** Ends the waiting for a database that could not be written; tries it once more. */
  stop(): void;
}

/** Open alerts of one family; a thousand failed downloads are one trouble, not a thousand. */
export const FAMILY_MAX = 50;

/** Writes that wait for a database that cannot be written; more matters than that are in the log only. */
const UNWRITTEN_MAX = 200;
const RETRY_MS = 30_000;

const RANK: Record<Severity, number> = { info: 0, warn: 1, error: 2 };

/** What has to be written for one key, in this order. */
interface Unwritten {
  /** The row that was open before is over. */
  resolveFirstAt: number | null;
  raised: { what: Raised; times: number; firstAt: number; lastAt: number } | null;
  resolveLastAt: number | null;
}

/** `job:download_dump:17` -> `job:download_dump`, `database:wal` -> `database`. Pure. */
export function familyOf(key: string): string {
  const [first = '', second = ''] = key.split(':');
  return first === 'job' ? `${first}:${second}` : first;
}

const restKeyOf = (family: string): string => `${family}:and_more`;

/**
 * The book of what is open. A line is logged when a matter opens, gets worse or is over, not each time it is raised. What the table
 * refuses, because the disk is full or the file locked, waits here and is written later.
 */
export function createAlertBook(deps: { store: AlertStore; clock: Clock; log: Log }): AlertBook {
  const { store, clock, log } = deps;
  const open = new Map<string, Severity>(store.open(10_000).map(({ key, severity }) => [key, severity]));
  const unwritten = new Map<string, Unwritten>();
  let cancelRetry: (() => void) | null = null;

  const openKeys = (prefix: string): string[] => [...open.keys()].filter((key) => key.startsWith(prefix));

  /**
   * How bad that matter is; undefined = it is not open. Another process, such as `wikiseed maintain`, opens and ends rows too, so the table is
   * asked each time: by its index, without a lock.
   */
  function severityNow(key: string): Severity | undefined {
    if (unwritten.has(key)) return open.get(key);
    try {
      const stored = store.severityOf(key);
      if (stored === null) open.delete(key);
      else open.set(key, stored);
    } catch {
      // A database that cannot be read says nothing, and the write that follows tells of it.
    }
    return open.get(key);
  }

  /** Beyond the limit of a family everything counts into one matter. */
  function withinFamily(raised: Raised): Raised {
    if (open.has(raised.key)) return raised;
    const family = familyOf(raised.key);
    const rest = restKeyOf(family);
    const count = openKeys(`${family}:`).filter((key) => key !== rest).length;
    if (count < FAMILY_MAX) return raised;
    return {
      key: rest,
      severity: raised.severity,
      message:
        `there is more of the kind "${family.replaceAll(':', ' ')}" than is listed here (${FAMILY_MAX}); the last one: ${raised.message}`.slice(
          0,
          1000,
        ),
      hint: raised.hint,
    };
  }

  function later(key: string): Unwritten | null {
    const found = unwritten.get(key);
    if (found !== undefined) return found;
    if (unwritten.size >= UNWRITTEN_MAX) return null;
    const fresh = { resolveFirstAt: null, raised: null, resolveLastAt: null };
    unwritten.set(key, fresh);
    return fresh;
  }

  /** Writes what waits. @returns false when the database still refuses */
  function flush(): boolean {
    for (const [key, { resolveFirstAt, raised, resolveLastAt }] of unwritten) {
      try {
        if (resolveFirstAt !== null) store.resolve(key, resolveFirstAt);
        if (raised !== null) store.raise(raised.what, raised);
        if (resolveLastAt !== null) store.resolve(key, resolveLastAt);
      } catch (error) {
        armRetry(error);
        return false;
      }
      unwritten.delete(key);
    }
    return true;
  }

  function armRetry(error: unknown): void {
    if (cancelRetry !== null) return;
    log.warn(
      { err: { code: errorCode(error), message: describeError(error) }, retryInMs: RETRY_MS },
      'alerts cannot be written now and will be later',
    );
    cancelRetry = clock.after(RETRY_MS, () => {
      cancelRetry = null;
      flush();
    });
  }

  function say(raised: Raised, was: Severity | undefined): void {
    if (was !== undefined && RANK[raised.severity] <= RANK[was]) return;
    const facts = { alert: raised.key, hint: raised.hint };
    const words = was === undefined ? raised.message : `worse than before: ${raised.message}`;
    if (raised.severity === 'error') log.error(facts, words);
    else if (raised.severity === 'warn') log.warn(facts, words);
    else log.info(facts, words);
  }

  return {
    openKeys,
    raise(raw) {
      const raised = withinFamily(bounded(raw));
      const { key } = raised;
      say(raised, severityNow(key));
      open.set(key, raised.severity);
      const now = clock.now();
      const entry = later(key);
      if (entry === null) return;
      if (entry.resolveLastAt !== null) {
        // Raised and over before either was written: only the new one is told.
        entry.resolveFirstAt ??= entry.resolveLastAt;
        entry.raised = null;
        entry.resolveLastAt = null;
      }
      const before = entry.raised;
      entry.raised = {
        what: raised,
        times: (before?.times ?? 0) + 1,
        firstAt: before?.firstAt ?? now,
        lastAt: now,
      };
      if (cancelRetry === null) flush();
    },
    resolve(key) {
      const at = clock.now();
      const own = bounded({ key, severity: 'info', message: '', hint: null }).key;
      if (severityNow(own) === undefined) return;
      const over = [own];
      open.delete(own);
      // The sum of the others is over with the last of them.
      const rest = restKeyOf(familyOf(key));
      if (openKeys(`${familyOf(key)}:`).every((other) => other === rest) && open.delete(rest))
        over.push(rest);
      for (const each of over) {
        log.info({ alert: each }, 'an alert is over');
        const entry = later(each);
        if (entry === null) continue;
        if (entry.raised === null) entry.resolveFirstAt = at;
        else entry.resolveLastAt = at;
      }
      if (cancelRetry === null) flush();
    },
    stop() {
      cancelRetry?.();
      cancelRetry = null;
      if (unwritten.size > 0 && !flush()) {
        (cancelRetry as (() => void) | null)?.();
        cancelRetry = null;
      }
    },
  };
}
