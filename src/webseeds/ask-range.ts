import { createHash, type Hash } from 'node:crypto';
import { describeError, errorCode, Interrupted, parseRetryAfter } from '../lib/index.ts';
import type { Clock, Http, HttpResponse } from '../ports/index.ts';

/** Longest silence of a server, ms. */
const SILENCE_MS = 30_000;
/** What slower servers send helps no reader: so long for the first byte, and the rest at this rate. */
const START_MS = 30_000;
const SLOWEST_BYTES_PER_SECOND = 100_000;
/** Statuses that say something of the moment and nothing of the file. */
const OF_THE_MOMENT: readonly number[] = [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524];

/** What became of one range. */
export type RangeAnswer =
  | { kind: 'good' }
  | { kind: 'broken'; reason: string }
  /** `restMs`: what the host asked for; null = it did not. */
  | { kind: 'unproved'; reason: string; restMs: number | null };

/** Time that a root may still take for its answers, ms; waiting for a place among the connections to its host costs none. */
export interface TimeLeft {
  ms: number;
}

/** One range of one file, as a BitTorrent client asks for it. */
export interface RangeQuestion {
  url: string;
  /** For messages. */
  path: string;
  fileSizeBytes: number;
  from: number;
  sizeBytes: number;
}

/**
 * Asks for exactly that range, follows redirects, and gives the bytes to `hash`. Only a 206 with that very range of a file of that
 * size is good, and only one that comes at no less than 100 kB/s after 30 s.
 * @param timeLeft what was taken is taken off
 * @throws Interrupted
 */
export async function askRange(
  deps: { http: Http; clock: Clock },
  question: RangeQuestion,
  hash: Hash | null,
  timeLeft: TimeLeft,
  signal: AbortSignal,
): Promise<RangeAnswer> {
  const { clock } = deps;
  const late = new AbortController();
  let startedMs: number | null = null;
  let cancel = (): void => {};
  const onStart = (): void => {
    if (startedMs !== null) return;
    startedMs = clock.monotonicMs();
    const allowedMs = START_MS + (question.sizeBytes / SLOWEST_BYTES_PER_SECOND) * 1000;
    cancel = clock.after(Math.max(0, Math.min(allowedMs, timeLeft.ms)), () => late.abort());
  };
  try {
    return await askInTime(deps, question, hash, { signal, late: late.signal, onStart });
  } finally {
    cancel();
    if (startedMs !== null) timeLeft.ms -= clock.monotonicMs() - startedMs;
  }
}

async function askInTime(
  deps: { http: Http; clock: Clock },
  question: RangeQuestion,
  hash: Hash | null,
  time: { signal: AbortSignal; late: AbortSignal; onStart: () => void },
): Promise<RangeAnswer> {
  const { signal, late, onStart } = time;
  const { url, path, from, sizeBytes } = question;
  const last = from + sizeBytes - 1;
  const tooSlow = (got: number): RangeAnswer => ({
    kind: 'unproved',
    reason: `it is too slow: ${got} of ${sizeBytes} bytes of ${path} came in time`,
    restMs: null,
  });
  let response: HttpResponse;
  try {
    response = await deps.http.request({
      url,
      headers: { range: `bytes=${from}-${last}` },
      followOtherHosts: true,
      inactivityMs: SILENCE_MS,
      signal: AbortSignal.any([signal, late]),
      onStart,
    });
  } catch (error) {
    if (late.aborted && !signal.aborted) return tooSlow(0);
    return ofError(error, signal);
  }
  const problem = problemOf(response, question, deps.clock.now());
  if (problem !== null) {
    response.discard();
    return problem;
  }
  let got = 0;
  try {
    for await (const chunk of response.body) {
      got += (chunk as Buffer).length;
      if (got > sizeBytes) break;
      hash?.update(chunk as Buffer);
    }
  } catch (error) {
    if (late.aborted && !signal.aborted) return tooSlow(got);
    return ofError(error, signal);
  } finally {
    response.discard();
  }
  if (signal.aborted) throw new Interrupted();
  if (late.aborted && got < sizeBytes) return tooSlow(got);
  if (got > sizeBytes) return { kind: 'broken', reason: `it sends more of ${path} than it was asked for` };
  if (got < sizeBytes)
    return {
      kind: 'unproved',
      reason: `it broke off after ${got} of ${sizeBytes} bytes of ${path}`,
      restMs: null,
    };
  return { kind: 'good' };
}

function ofError(error: unknown, signal: AbortSignal): RangeAnswer {
  if (signal.aborted) throw new Interrupted();
  const code = errorCode(error);
  // Whoever leads somewhere else than a server out there will do so tomorrow.
  if (code === 'refused_redirect' || code === 'redirected_back')
    return { kind: 'broken', reason: describeError(error) };
  return { kind: 'unproved', reason: describeError(error), restMs: null };
}

/** What is wrong with the header of an answer; null = nothing. */
function problemOf(response: HttpResponse, question: RangeQuestion, now: number): RangeAnswer | null {
  const { status, headers } = response;
  const { path, from, sizeBytes, fileSizeBytes } = question;
  const broken = (reason: string): RangeAnswer => ({ kind: 'broken', reason });
  if (OF_THE_MOMENT.includes(status))
    return {
      kind: 'unproved',
      reason: `it answers ${status}: it is overloaded, or out of order`,
      restMs: parseRetryAfter(headers['retry-after'], now) ?? null,
    };
  if (status === 404 || status === 410) return broken(`it has no ${path} (${status})`);
  if (status === 401 || status === 403) return broken(`it refuses ${path} (${status})`);
  if (status === 416) return broken(`its ${path} is shorter than ${fileSizeBytes} bytes (416)`);
  if (status === 200)
    return broken(
      `it answers a range of ${path} with the whole file: clients would fetch all of it for each piece`,
    );
  if (status !== 206) return broken(`it answers ${status} for a range of ${path}`);
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '');
  if (range === null || Number(range[1]) !== from || Number(range[2]) !== from + sizeBytes - 1)
    return broken(`it sends another range of ${path} than it was asked for`);
  if (range[3] !== '*' && Number(range[3]) !== fileSizeBytes)
    return broken(`its ${path} has ${range[3]} bytes instead of ${fileSizeBytes}`);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    return broken(`it sends ${path} packed as ${encoding}`);
  return null;
}

/** The hash of a piece, to be fed range by range. */
export function pieceHash(): Hash {
  return createHash('sha1');
}
