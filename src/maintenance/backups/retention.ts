import { days } from '../../lib/index.ts';
import type { BackupEntry } from './list.ts';

/** How many days, weeks and months keep their newest backup: `maintenance.keep`. */
export interface KeepPolicy {
  daily: number;
  weekly: number;
  monthly: number;
}

/** What a plan needs to know of a backup. */
export type Retainable = Pick<BackupEntry, 'name' | 'kind' | 'madeAt' | 'state'>;

/** What to keep and what to remove, each with its reason in words. */
export interface RetentionPlan<T extends Retainable = Retainable> {
  keep: { backup: T; reasons: string[] }[];
  remove: { backup: T; reason: string }[];
}

/** Copies made before a migration, and databases a restore put aside, are kept this long. */
const KEEP_BEFORE_MIGRATION_MS = days(90);
const KEEP_REPLACED_MS = days(30);
/** Backups nobody has proved, and damaged ones: long enough to look at them. */
const KEEP_DOUBTFUL_MS = days(30);

const DAY_MS = days(1);

/** The spans of the calendar, in UTC; a span is named by a number or text that equals for two times within it. */
const SPANS: readonly { word: string; count: keyof KeepPolicy; of: (atMs: number) => string }[] = [
  { word: 'day', count: 'daily', of: (atMs) => String(Math.floor(atMs / DAY_MS)) },
  // 1970-01-01 was a Thursday; weeks begin on Monday.
  { word: 'week', count: 'weekly', of: (atMs) => String(Math.floor((atMs / DAY_MS + 3) / 7)) },
  { word: 'month', count: 'monthly', of: (atMs) => new Date(atMs).toISOString().slice(0, 7) },
];

/**
 * Which backups to keep: the newest good one of each of the last so many days, weeks and months that have one, and always the
 * newest good one of all. Only a verified backup is good: a damaged one neither fills a place nor counts as the last. Pure.
 * Backups dated later than `nowMs` stem from a clock that was wrong; they get places of their own, so that they cannot take
 * those of the right ones.
 */
export function planBackupRetention<T extends Retainable>(
  backups: readonly T[],
  keep: KeepPolicy,
  nowMs: number,
): RetentionPlan<T> {
  const newestFirst = [...backups].sort((a, b) => b.madeAt - a.madeAt || (a.name < b.name ? 1 : -1));
  const good = newestFirst.filter((backup) => backup.kind === 'backup' && backup.state === 'verified');
  const reasons = new Map<T, string[]>();
  const isFuture = (backup: T): boolean => backup.madeAt > nowMs;
  for (const group of [good.filter((b) => !isFuture(b)), good.filter(isFuture)]) {
    const [last] = group;
    if (last !== undefined)
      note(reasons, last, isFuture(last) ? 'the last good one, dated in the future' : 'the last good one');
    for (const span of SPANS) fillPlaces(reasons, group, span, keep[span.count]);
  }

  const plan: RetentionPlan<T> = { keep: [], remove: [] };
  for (const backup of newestFirst) {
    const why = reasons.get(backup);
    if (why !== undefined) {
      plan.keep.push({ backup, reasons: why });
      continue;
    }
    const verdict =
      backup.kind === 'backup' && backup.state === 'verified'
        ? { remove: 'a newer one of its day, week and month is kept, or they are past keeping' }
        : judgeOther(backup, good, nowMs);
    if ('remove' in verdict) plan.remove.push({ backup, reason: verdict.remove });
    else plan.keep.push({ backup, reasons: [verdict.keep] });
  }
  return plan;
}

function fillPlaces<T extends Retainable>(
  reasons: Map<T, string[]>,
  group: readonly T[],
  span: (typeof SPANS)[number],
  count: number,
): void {
  const filled = new Set<string>();
  for (const backup of group) {
    if (filled.size >= count) return;
    const place = span.of(backup.madeAt);
    if (filled.has(place)) continue;
    filled.add(place);
    note(reasons, backup, `the newest of its ${span.word} (${filled.size} of ${count})`);
  }
}

function note<T>(reasons: Map<T, string[]>, backup: T, reason: string): void {
  reasons.set(backup, [...(reasons.get(backup) ?? []), reason]);
}

/** Copies that fill no place: kept for a while, and for as long as no good backup is younger than they are. */
function judgeOther(
  backup: Retainable,
  good: readonly Retainable[],
  nowMs: number,
): { keep: string } | { remove: string } {
  const [what, keepMs] = otherKind(backup);
  const keepDays = Math.round(keepMs / DAY_MS);
  if (!good.some((other) => other.madeAt > backup.madeAt && other.madeAt <= nowMs))
    return { keep: `${what}, and no good backup is younger` };
  if (nowMs - backup.madeAt < keepMs) return { keep: `${what}, kept for ${keepDays} days` };
  return { remove: `${what}, and older than ${keepDays} days` };
}

function otherKind({ kind, state }: Retainable): [what: string, keepMs: number] {
  if (kind === 'before_migration') return ['the database before a migration', KEEP_BEFORE_MIGRATION_MS];
  if (kind === 'replaced') return ['a database that a restore replaced', KEEP_REPLACED_MS];
  if (state === 'damaged') return ['damaged', KEEP_DOUBTFUL_MS];
  return ['not proved', KEEP_DOUBTFUL_MS];
}
