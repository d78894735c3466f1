import type { DumpFile } from '../../catalog/index.ts';
import type { WikiSeedError } from '../../lib/index.ts';

/** Kinds of places that may have the bytes of a dump file. Only the origin is believed about sizes and hashes. */
export type SourceKind = 'origin' | 'mirror' | 'archive';

/** One address from which the bytes of one file may be had. */
export interface ByteSource {
  /** Stable over restarts: `origin`, `archive`, or the base address of a mirror. */
  readonly id: string;
  readonly kind: SourceKind;
  /** Full address of the file at this source, already checked. */
  readonly url: string;
  /** Ranges of one file that may be under way here at once: 1 at the origin. */
  readonly rangesAtOnce: number;
  /** Of one connection, lately; null or missing = never measured. */
  readonly bytesPerSecond?: number | null;
  /** Of a mirror: the origin's host. One that sends us there has nothing itself, and a file has one connection at the origin. */
  readonly originHost?: string;
}

/** Bytes of one file, `startBytes` included, `endBytes` not. */
export interface ByteRange {
  startBytes: number;
  endBytes: number;
}

/** An answer that was checked to hold just the wanted bytes of a file of the wanted size. */
export interface RangeBody {
  /** Where the body begins: the start of the wanted range, or 0 when the source sends the whole file instead. */
  readonly startBytes: number;
  /** Chunks in order, bandwidth limits applied. Ends after `endBytes` or throws a `SourceFault`; never gives more than was wanted. */
  readonly chunks: AsyncIterable<Buffer>;
  /** Strong validator of the asked host, for `If-Range` of later requests to it; null when it gave none. */
  readonly validator: string | null;
  /** Address after redirects. */
  readonly url: string;
  /** Ends the connection; needed when the body is not read to its end. */
  discard(): void;
}

/**
 * What was wrong at one source. Another source may do better, so it never ends a download by itself.
 * - `not_found`: 404 or 410, or a mirror that sends us to the origin; `wrong_size`: it has another file; `changed`: its validator is another one than before
 * - `no_ranges`: it sent the whole file to a request for a range that does not begin at 0
 * - `bad_range`: 416, or a `Content-Range` that was not asked for; `encoded`: a `Content-Encoding` that was not asked for
 * - `forbidden`: 401 or 403; `overloaded`: 429, 502, 503, 504; `status`: any other unwanted answer
 * - `unreachable`: nobody there; `broken_off`: fewer bytes than announced, or a reset; `stalled`: silence; `too_long`: more bytes
 * - `refused_redirect`: it leads to a private address, or to something else than http and https
 * - `wrong_bytes`: what came is proved not to be the file; `maybe_wrong`: a file to which several gave bytes was wrong, nobody knows by whom
 */
export type FaultKind =
  | 'not_found'
  | 'wrong_size'
  | 'changed'
  | 'no_ranges'
  | 'bad_range'
  | 'encoded'
  | 'forbidden'
  | 'overloaded'
  | 'status'
  | 'unreachable'
  | 'broken_off'
  | 'stalled'
  | 'too_long'
  | 'refused_redirect'
  | 'wrong_bytes'
  | 'maybe_wrong';

/** Asks one source for one range. */
export interface RangeClient {
  /**
   * Resolves when the header is there and right. A range that begins at 0 and ends at the file's end is asked for without `Range`.
   * @param wanted.validator of an earlier answer of this very source; a different one now is the fault `changed`
   * @throws SourceFault, or Interrupted when `signal` aborted
   */
  open(
    source: ByteSource,
    wanted: ByteRange & { sizeBytes: number; validator: string | null; signal: AbortSignal },
  ): Promise<RangeBody>;
}

/** Sources of one file in the order in which they should be asked now, and what was learned of them. */
export interface SourceBook {
  /**
   * The best first; `ready` leaves out sources that rest (after 403, overload, wrong bytes); it is empty only when the origin
   * itself asked to be left alone. Mirrors that lately did not have the
   * run are in neither list. The origin is always among `all`; a verified copy at the Internet Archive comes last.
   * @param whom `origin`: nobody else, see `originOnly`
   * @throws PermanentError `unsafe_url`
   */
  sourcesFor(
    row: DumpFile,
    whom?: 'anybody' | 'origin',
  ): { all: readonly ByteSource[]; ready: readonly ByteSource[] };
  /** Bytes of this source were read; `durationMs` counts from the request on. */
  noteBytes(source: ByteSource, facts: { bytes: number; durationMs: number }): void;
  /** A file to which this source gave bytes was proved. */
  noteGood(source: ByteSource, row: DumpFile): void;
  noteFault(
    source: ByteSource,
    row: DumpFile,
    fault: { kind: FaultKind; retryAfterMs?: number | undefined },
  ): void;
  /** Epoch ms at which the first resting source of the file may be asked again; null when none rests. */
  readyAt(row: DumpFile, whom?: 'anybody' | 'origin'): number | null;
  /** Whether any mirror may be asked now, for whatever file: what cannot go on itself does not stop what can. */
  hasReadyMirror(): boolean;
  /** What a job ends with that finds no source ready: the queue then waits as if the origin had just refused it. */
  restError(row: DumpFile): WikiSeedError;
}
