import { hours, minutes, RETRY_AFTER_CAP_MS } from '../../lib/index.ts';
import type { FaultKind } from './types.ts';

/** What is known of one source. The first part is kept in `mirrors`; the rest is forgotten with the process. */
export interface Standing {
  goodFiles: number;
  badHashes: number;
  notFound: number;
  wrongSizes: number;
  /** Answers that broke off, stalled or were refused, since the last good file. */
  faultsInARow: number;
  /** Of one connection, moving average; null = never measured. */
  bytesPerSecond: number | null;
  /** Learned from refusals; null = as many as the connections to one host. */
  rangesAtOnce: number | null;
  /** Newest run (`YYYYMMDD`) of which it had a file. */
  newestRunDate: string | null;
  lastFault: string | null;
  /** Epoch ms, as are the following. */
  lastFaultAt: number | null;
  probationUntil: number | null;
  lastUsedAt: number | null;

  /** Not asked before. */
  restsUntil: number;
  /** What the rest is for. */
  restsFor: FaultKind | null;
  /** The other side asked for the rest, in words or by refusing us: it is kept even when nobody else has the file. */
  restsFirmly: boolean;
  /** True after it ignored a range: parallel requests would only be whole files. */
  ignoresRanges: boolean;
  /** Good files since it last said that there were too many requests. */
  goodSinceCap: number;
}

/** Nothing known yet. */
export function freshStanding(): Standing {
  return {
    goodFiles: 0,
    badHashes: 0,
    notFound: 0,
    wrongSizes: 0,
    faultsInARow: 0,
    bytesPerSecond: null,
    rangesAtOnce: null,
    newestRunDate: null,
    lastFault: null,
    lastFaultAt: null,
    probationUntil: null,
    lastUsedAt: null,
    restsUntil: 0,
    restsFor: null,
    restsFirmly: false,
    ignoresRanges: false,
    goodSinceCap: 0,
  };
}

/** After wrong bytes. */
export const PROBATION_MS = hours(24);
/** After 403, as the queue lets a target rest that refused us. */
export const FORBIDDEN_REST_MS = minutes(60);
/** Something is set up wrongly over there; that takes a person. */
const MISCONFIGURED_REST_MS = hours(6);
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = minutes(60);
/** The origin is the last that is left: a first fault costs it a moment, and so does each of the next, twice as long. */
const FIRST_ORIGIN_REST_MS = 1_000;
/** Below this a broken connection is everyday weather. */
const FAULTS_UNTIL_REST = 3;
/** Good files after which one more range at once is tried again. */
const GOOD_FILES_FOR_MORE = 20;
/** Samples below this measure the way there and not the line. */
const SPEED_SAMPLE_MIN_BYTES = 256 * 1024;
/** Time constant of the moving average. */
const SPEED_MEMORY_MS = 60_000;

/** What each fault is called, after the name of who did it. */
export const WORDS: Readonly<Record<FaultKind, string>> = {
  not_found: 'does not have the file',
  wrong_size: 'has a file of another size',
  changed: 'changed the file meanwhile',
  no_ranges: 'ignores ranges',
  bad_range: 'sent another range than asked for',
  encoded: 'compresses what it sends',
  forbidden: 'refused us',
  overloaded: 'asked for a pause',
  status: 'answered with an error',
  unreachable: 'could not be reached',
  broken_off: 'broke off',
  stalled: 'fell silent',
  too_long: 'sent too much',
  refused_redirect: 'redirects to where we do not go',
  wrong_bytes: 'sent wrong bytes',
  maybe_wrong: 'gave part of a file that was wrong',
};

/** Notes a fault: counts, rests, probation. Most rests grow with the faults in a row: 30 s, 1 min, 2 min, … 1 h. */
export function noteFault(
  standing: Standing,
  fault: { kind: FaultKind; retryAfterMs?: number | undefined },
  facts: { now: number; connections: number; isOrigin: boolean },
): void {
  const { kind } = fault;
  const { now, isOrigin } = facts;
  standing.lastFault = WORDS[kind];
  standing.lastFaultAt = now;
  const rest = (ms: number): void => {
    if (now + ms <= standing.restsUntil) return;
    standing.restsUntil = now + ms;
    standing.restsFor = kind;
    standing.restsFirmly = kind === 'forbidden' || fault.retryAfterMs !== undefined;
  };
  const backoff = (): number =>
    Math.min(FIRST_REST_MS * 2 ** Math.max(0, standing.faultsInARow - 1), LONGEST_REST_MS);
  switch (kind) {
    // One run or file of many; the run is remembered beside this.
    case 'not_found':
      standing.notFound += 1;
      break;
    case 'wrong_size':
    case 'too_long':
      standing.wrongSizes += 1;
      break;
    case 'changed':
      break;
    case 'wrong_bytes':
      standing.badHashes += 1;
      // The origin says what is right: when its bytes are wrong, the way was bad or upstream is at it.
      if (!isOrigin) standing.probationUntil = now + PROBATION_MS;
      break;
    // It was this one or another: it goes behind the origin, but is not shut out.
    case 'maybe_wrong':
      standing.badHashes += 1;
      break;
    case 'no_ranges':
      standing.ignoresRanges = true;
      break;
    case 'forbidden':
      standing.faultsInARow += 1;
      rest(FORBIDDEN_REST_MS);
      break;
    case 'encoded':
    case 'refused_redirect':
      standing.faultsInARow += 1;
      rest(isOrigin ? FIRST_REST_MS : MISCONFIGURED_REST_MS);
      break;
    case 'overloaded':
      standing.faultsInARow += 1;
      standing.rangesAtOnce = Math.max(1, Math.floor((standing.rangesAtOnce ?? facts.connections) / 2));
      standing.goodSinceCap = 0;
      // The queue keeps its own, growing pauses for the origin; a longer one here would only be in their way.
      rest(
        Math.min(Math.max(fault.retryAfterMs ?? 0, isOrigin ? FIRST_REST_MS : backoff()), RETRY_AFTER_CAP_MS),
      );
      break;
    case 'unreachable':
      standing.faultsInARow += 1;
      rest(isOrigin ? FIRST_REST_MS : backoff());
      break;
    case 'bad_range':
    case 'status':
    case 'broken_off':
    case 'stalled':
      standing.faultsInARow += 1;
      if (!isOrigin) {
        if (standing.faultsInARow >= FAULTS_UNTIL_REST) rest(backoff());
        break;
      }
      // What it cannot do is no trouble of its own.
      if (kind !== 'bad_range')
        rest(Math.min(FIRST_ORIGIN_REST_MS * 2 ** (standing.faultsInARow - 1), FIRST_REST_MS));
      break;
    default:
      kind satisfies never;
  }
}

/** Notes that a file it gave bytes to was proved. */
export function noteGood(standing: Standing, facts: { runDate: string; connections: number }): void {
  standing.goodFiles += 1;
  standing.faultsInARow = 0;
  if (standing.newestRunDate === null || standing.newestRunDate < facts.runDate)
    standing.newestRunDate = facts.runDate;
  if (standing.rangesAtOnce === null) return;
  standing.goodSinceCap += 1;
  if (standing.goodSinceCap < GOOD_FILES_FOR_MORE) return;
  standing.goodSinceCap = 0;
  standing.rangesAtOnce += 1;
  if (standing.rangesAtOnce >= facts.connections) standing.rangesAtOnce = null;
}

/** Notes how fast bytes came over one connection. */
export function noteSpeed(
  standing: Standing,
  { bytes, durationMs }: { bytes: number; durationMs: number },
): void {
  if (bytes < SPEED_SAMPLE_MIN_BYTES || durationMs <= 0) return;
  const sample = (bytes * 1000) / durationMs;
  const before = standing.bytesPerSecond;
  // What came for a minute says much, what came for a moment says little.
  const weight = before === null ? 1 : 1 - Math.exp(-durationMs / SPEED_MEMORY_MS);
  standing.bytesPerSecond = Math.round((before ?? 0) * (1 - weight) + sample * weight);
}

/** Epoch ms until which it is not asked; 0 = it may be asked. */
export function restsUntil(standing: Standing, now: number): number {
  const until = Math.max(standing.restsUntil, standing.probationUntil ?? 0);
  return until > now ? until : 0;
}

/** Slower than this it is no help, if the origin is much faster. */
const SLOW_BYTES_PER_SECOND = 500_000;
/** Good files that make up for one bad. */
const GOOD_FOR_BAD = 20;

/** Whether it goes before the origin: not if it lied too often, keeps failing, or is much slower. Pure. */
export function isInGoodStanding(standing: Standing, originBytesPerSecond: number | null): boolean {
  if (standing.badHashes * GOOD_FOR_BAD > standing.goodFiles) return false;
  if (standing.faultsInARow >= FAULTS_UNTIL_REST) return false;
  const { bytesPerSecond } = standing;
  return (
    bytesPerSecond === null ||
    originBytesPerSecond === null ||
    bytesPerSecond >= SLOW_BYTES_PER_SECOND ||
    bytesPerSecond * 4 >= originBytesPerSecond
  );
}

/** Order among mirrors, higher first: speed, less for each fault in a row and for bad bytes; one without figures comes last. Pure. */
export function scoreOf(standing: Standing): number {
  const { bytesPerSecond, faultsInARow, badHashes, goodFiles, wrongSizes, notFound } = standing;
  const asked = goodFiles + wrongSizes + notFound + badHashes;
  // Files it did not have cost a request each; with few answers that says nothing yet.
  const share = (goodFiles + 5) / (asked + 5);
  return (bytesPerSecond ?? 0) * 0.5 ** faultsInARow * 0.5 ** Math.min(badHashes, 10) * share;
}
