/** Messages between the main thread and `hash.worker.ts`. Bytes travel in shared memory; messages only say where. */

/** One block of shared memory: 1 MiB, large enough that messages cost nothing, small enough to keep several. */
export const SLOT_BYTES = 1024 * 1024;

/** Blocks of one lane: 8 MiB, so that network, disk and hashing may each run ahead of the others for a moment. */
export const SLOT_COUNT = 8;

/** Which digests a worker computes. Two workers share a file: md5 alone takes as long as all SHA-1 and SHA-256 together. */
export type HashRole = 'md5' | 'sha';

/** What the worker is started with. */
export interface HashWorkerData {
  role: HashRole;
  /** `SLOT_COUNT` blocks of `SLOT_BYTES`, shared by the main thread and both workers of a lane. */
  memory: SharedArrayBuffer;
}

/** What the main thread tells a worker; a file is one `begin`, its chunks in order, and one `end`. */
export type HashRequest =
  /** A new file; what was hashed before is forgotten. */
  | { kind: 'begin'; pieceLengthBytes: number }
  /** The next `sizeBytes` bytes lie at the start of that block. */
  | { kind: 'chunk'; slot: number; sizeBytes: number }
  /** No more bytes; the worker answers with its digests. */
  | { kind: 'end' };

/** What a worker answers: one `free` for each chunk, one `digests` for each file. */
export type HashReply =
  /** The block was read and may be filled again. */
  | { kind: 'free'; slot: number }
  | { kind: 'digests'; role: 'md5'; md5: string }
  /** `pieceSha1s`: 20 bytes for each piece. */
  | { kind: 'digests'; role: 'sha'; sha1: string; sha256: string; pieceSha1s: Uint8Array };
