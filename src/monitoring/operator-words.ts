import { formatDuration, formatRate } from '../lib/index.ts';
import type { Rate, RateName, Scope } from '../queue/index.ts';
import type { Alert, Halt, JobDetail, MirrorState } from './types.ts';

const SPELLED: Readonly<Record<string, string>> = {
  internet: 'Internet',
  archive: 'Archive',
  ia: 'to the Internet Archive',
  db: 'database',
  r2: 'R2',
  wikimedia: 'Wikimedia',
};

/** Names that do not follow from their parts. */
const WHOLE: Readonly<Record<string, string>> = {
  archive_page: 'archive page',
  backup_db: 'back up database',
};

/**
 * Stored names for people: `find_dumps` -> `find dumps`, `internet_archive` -> `Internet Archive`, `backup_db` -> `back up database`,
 * `maintain_db:analyze` -> `maintain database: analyze`.
 */
export function wordsOf(name: string): string {
  return name
    .split(':')
    .map(
      (part) =>
        WHOLE[part] ??
        part
          .split('_')
          .map((word) => SPELLED[word] ?? word)
          .join(' '),
    )
    .join(': ');
}

/** First letter large. */
export function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `everything`, `job type download dump`, `target dumps`. */
export function scopeWords(scope: Scope): string {
  if (scope.kind === 'all') return 'everything';
  return `${scope.kind === 'type' ? 'job type' : 'target'} ${wordsOf(scope.name)}`;
}

/** How a mirror does, in two or three words. */
export function mirrorStanding(mirror: MirrorState, now: number): string {
  if (mirror.probationUntil !== null && mirror.probationUntil > now)
    return `sent wrong bytes, not asked for ${formatDuration(Math.ceil((mirror.probationUntil - now) / 60_000) * 60_000)}`;
  if (mirror.faultsInARow >= 3) return `${mirror.faultsInARow} faults in a row`;
  if (mirror.goodFiles === 0) return 'not used yet';
  return mirror.badHashes > 0
    ? `good again, lied ${mirror.badHashes === 1 ? 'once' : `${mirror.badHashes} times`}`
    : 'good';
}

/** `downloads together`, `downloads from each host`. */
export function rateName(name: RateName): string {
  return name === 'download' ? 'downloads together' : 'downloads from each host';
}

/** `at most 20 MB/s`, `unlimited`, `as configured`. */
export function rateWords(rate: Pick<Rate, 'bytesPerSecond'> | null): string {
  if (rate === null) return 'as configured';
  return rate.bytesPerSecond === null ? 'unlimited' : `at most ${formatRate(rate.bytesPerSecond)}`;
}

/** The command that ends what is held by hand, or tries a halted target at once. */
export function resumeCommand(what: Scope | Halt): string {
  if ('target' in what) return `wikiseed resume ${what.target}`;
  return `wikiseed resume ${what.kind === 'all' ? 'all' : what.name}`;
}

/** Targets that every job needs. */
const WHOLE_HOUSE = ['all', 'database'];

/** Why nothing at all moves; null when something can. */
export function everythingStopped(halts: readonly Halt[]): string | null {
  const halt = halts.find(({ target }) => WHOLE_HOUSE.includes(target));
  if (halt === undefined) return null;
  // The reason says what is wrong with the database; that everything waits for it is added.
  return `Everything is halted: ${endless(halt.message)}.`;
}

/** `Dumps is halted until an operator resumes it.` */
export function haltSentence(halt: Halt, at: number): string {
  const name = sentenceCase(wordsOf(halt.target));
  const what = halt.kind === 'unavailable' ? 'does not answer as it should' : 'is halted';
  if (halt.until === null) return `${name} ${what} until an operator resumes it.`;
  return halt.until <= at ? `${name} ${what}, and is being tried now.` : `${name} ${what}.`;
}

/** When a halted target is tried again, in words that may stand inside a sentence. */
export function tryWords(halt: Halt, at: number, isAtWork = true): string {
  if (halt.until === null) return 'until an operator resumes it';
  if (halt.until > at) {
    const clock = new Date(halt.until).toISOString();
    const day =
      clock.slice(0, 10) === new Date(at).toISOString().slice(0, 10) ? '' : `${clock.slice(0, 10)} `;
    return `tried again in ${formatDuration(Math.max(1000, Math.round((halt.until - at) / 1000) * 1000))}, at ${day}${clock.slice(11, 16)} UTC`;
  }
  return isAtWork ? 'being tried now, one job at a time' : 'tried again at the next start';
}

/** Open alerts that say more than the halts beside them; jobs that failed come last, because they have a list of their own. */
export function alertsBesideHalts(alerts: readonly Alert[], halts: readonly Halt[]): Alert[] {
  const halted = new Set(halts.flatMap(({ target }) => [`target:${target}`, target]));
  const others = alerts.filter(({ key }) => !halted.has(key));
  return [...others.filter((alert) => !isOfJob(alert)), ...others.filter(isOfJob)];
}

/** What the verdict says of open alerts of the worst kind: three in words, the others as a number. */
export function alertSentences(alerts: readonly Alert[]): string[] {
  const errors = alerts.filter((alert) => alert.severity === 'error' && !isOfJob(alert));
  const said = errors.slice(0, 3).map(({ message }) => `${sentenceCase(endless(message))}.`);
  const more = errors.length - said.length;
  return more === 0
    ? said
    : [...said, more === 1 ? 'One more alert is open.' : `${more} more alerts are open.`];
}

const isOfJob = (alert: Alert): boolean => alert.key.startsWith('job:');

const endless = (text: string): string => text.replace(/[.\s]+$/, '');

/** Why a job was put aside, before its own reason. */
export const QUARANTINE =
  'In quarantine: what came was wrong at every attempt, so it is left alone until somebody asks for another try.';

/** The command that changes this job, where there is one. */
export function jobCommand(
  job: Pick<JobDetail, 'id' | 'status' | 'nextAttemptAt'>,
  now: number,
): { words: string; command: string } | null {
  if (job.status === 'completed') return null;
  if (job.status === 'in_progress') return { words: 'To stop it', command: `wikiseed jobs cancel ${job.id}` };
  const words = job.status === 'pending' && job.nextAttemptAt <= now ? null : 'To try it again now';
  if (words === null)
    return { words: 'To take it out of the queue', command: `wikiseed jobs cancel ${job.id}` };
  return { words, command: `wikiseed jobs retry ${job.id}` };
}
