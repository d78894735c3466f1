/** A mirror of the dump site: `mirror-1`, `mirror-2` … */
export type MirrorName = `mirror-${number}`;

/** Servers that share one fault list. */
export type SandboxServer = 'dumps' | 'ia' | 'r2' | MirrorName;

/**
 * What can go wrong. One request can be hit by one fault of each group, so that for instance a mirror that lies also stalls.
 *
 * Instead of an answer:
 * - `status`: answers `status` (default 503) without doing anything, with `Retry-After` when `retryAfter` is given
 * - `redirect`: 307 to `location`, with the path and query of the request behind it when `keepsPath` is set
 * - `reset`: closes the connection without an answer; with `atByte` or `fileByte` in the midst of a body, up or down
 * - `vanish`: 404
 * - `cap`: a request gets `status` (default 503) while its client has more than `connections` (default 2) running, itself included
 * Dump site and mirrors, also below the path alone that a listing would name:
 * - `lag`: 404, and listings do not name it either: a run or a wiki that a mirror does not have yet
 *
 * About what the file is:
 * - `changed`: another ETag and a Last-Modified that is an hour later, from then on; with `after` between two ranges of a file
 * - `weak-etag`: a weak ETag, which fits no `If-Range`
 * - `wrong-size`: the file has `sizeBytes` here (default one byte less), cut at the end or filled with zeros
 *
 * About the range:
 * - `ignore-range`: answers 200 with the whole file to a request for a range
 * - `wrong-range`: answers 206 with a range that begins `shiftBytes` later (default 1; less than 0: earlier) and says so; or,
 *   with `contentRange`, with the right bytes and this text as its Content-Range
 * - `unsatisfiable`: 416 to a request for a range
 *
 * About the bytes:
 * - `lie`: bytes within `lies` (default the whole file) are others, of the same number; counted for answers that hold one
 * - `corrupt`: flips one bit of the byte at `atByte` of the file (default the middle of what is sent)
 *
 * About the sending:
 * - `truncate`: announces the full length, closes the connection after `atByte` bytes (default half)
 * - `short`: announces no length, ends well after `atByte` bytes (default half)
 * - `long`: announces no length, ends well after `extraBytes` more (default 1000)
 * - `stall`: sends `atByte` bytes (default 0) and then nothing, until released or the socket closes
 * - `slow`: sends at `bytesPerSecond` (default 10,000)
 * - `gzip`: `Content-Encoding: gzip`, whatever the client accepts
 * - `torn-json`: a well-formed answer with only the first half of the body
 * - `no-hashes`: a status file without md5 and sha1
 *
 * Internet Archive only:
 * - `slow-down`: 503 SlowDown with `message` as the Resource; `spam`: 503 SlowDown "appears to be spam"
 * - `over-limit`: check_limit answers that nothing may be uploaded now
 * - `task-error`: the upload's task turns red and the file never appears
 * - `late-loss`: the file appears with a wrong md5; `dark`: the item's metadata says `is_dark`
 */
export type FaultKind =
  | 'status'
  | 'redirect'
  | 'reset'
  | 'vanish'
  | 'cap'
  | 'lag'
  | 'changed'
  | 'weak-etag'
  | 'wrong-size'
  | 'ignore-range'
  | 'wrong-range'
  | 'unsatisfiable'
  | 'lie'
  | 'corrupt'
  | 'truncate'
  | 'short'
  | 'long'
  | 'stall'
  | 'slow'
  | 'gzip'
  | 'torn-json'
  | 'no-hashes'
  | 'slow-down'
  | 'spam'
  | 'over-limit'
  | 'task-error'
  | 'late-loss'
  | 'dark';

/** One entry of the script. */
export interface FaultSpec {
  server: SandboxServer;
  /** Tested against `METHOD /path?query`, without the base path of a mirror; a string has to be contained in it. */
  match: RegExp | string;
  kind: FaultKind;
  /** How many requests it hits; default 1, without end for what is a state and not an event (see {@link isEndless}). */
  times?: number;
  /** How many matching requests pass unharmed first; default 0. */
  after?: number;
  status?: number;
  /** Seconds, or an HTTP date as text. */
  retryAfter?: number | string;
  /** Offset in the body; for `corrupt` in the file. */
  atByte?: number;
  /** Offset in the file: only requests for it are hit, and what happens within a body happens at this byte. */
  fileByte?: number;
  bytesPerSecond?: number;
  /** Absolute, or a path; with `keepsPath` what comes before the path. */
  location?: string;
  keepsPath?: boolean;
  connections?: number;
  sizeBytes?: number;
  shiftBytes?: number;
  contentRange?: string;
  extraBytes?: number;
  /** Of the file, `startBytes` included, `endBytes` not. */
  lies?: readonly { startBytes: number; endBytes: number }[];
  /** What the bytes of a lie are XORed with, 1 to 255, default 1: sources with the same number tell the same lie. */
  mask?: number;
  /** Body of a `status` answer, or the reason inside a `slow-down`. */
  message?: string;
}

const STATES: readonly FaultKind[] = [
  ...(['vanish', 'cap', 'lag', 'changed', 'weak-etag', 'wrong-size', 'lie'] as const),
  ...(['dark', 'over-limit'] as const),
];

/** True for kinds that last when `times` does not say otherwise. */
export function isEndless(kind: FaultKind): boolean {
  return STATES.includes(kind);
}
