/** Messages between the main thread and `hash.worker.ts`. The bytes themselves are read by the threads from the file. */

/** Which digests a thread computes. Two threads share a file: MD5 alone takes as long as every SHA-1 and SHA-256 together. */
export type HashRole = 'md5' | 'sha';

/**
 * What computes: `openssl` with the processor's own instructions, whose state cannot be saved, or `wasm` (hash-wasm), three to
 * seven times slower, whose state can.
 */
export type HashLibrary = 'openssl' | 'wasm';

/** State of one thread behind the first `bytes` bytes of a file; made by `wasm` only, at the ends of pieces. */
export interface RoleState {
  bytes: number;
  /** One for each whole-file hash of the role, base64. */
  states: string[];
  /** SHA-1 of the pieces so far, 20 bytes each, base64; empty for `md5`. */
  pieceSha1s: string;
}

/** Where the hashing of a file stands. A thread that saved nothing yet begins at 0. */
export type HashState = Readonly<Record<HashRole, RoleState | null>>;

/** What the main thread tells a thread. `file` numbers the files of a lane: what belongs to an earlier one is too late. */
export type HashRequest =
  | {
      kind: 'begin';
      file: number;
      path: string;
      pieceLengthBytes: number;
      library: HashLibrary;
      from: RoleState | null;
    }
  /** The file is complete from 0 up to there, and may be read so far. */
  | { kind: 'upTo'; file: number; bytes: number }
  /** Nothing follows what `upTo` said last: answer with the digests. */
  | { kind: 'finish'; file: number }
  /** Closes the file. */
  | { kind: 'drop'; file: number };

/** What a thread answers. */
export type HashReply =
  | { kind: 'at'; file: number; bytes: number }
  /** The end of a piece; `newPieceSha1s` are those since the state before. */
  | { kind: 'state'; file: number; bytes: number; states: string[]; newPieceSha1s: Uint8Array }
  | { kind: 'digests'; file: number; digests: string[]; pieceSha1s: Uint8Array }
  /** The saved state is of another version of the library: it begins at 0. */
  | { kind: 'from_zero'; file: number }
  /** The file could not be read. `code` is Node's, or `short_file`. */
  | { kind: 'failed'; file: number; code: string; message: string };
