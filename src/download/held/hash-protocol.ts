/** Bytes read and hashed at a time. */
export const SLOT_BYTES = 1024 * 1024;
/** Blocks that are filled while others are hashed. */
export const SLOT_COUNT = 4;

/** What the hashing thread is told, in the order of the file. */
export type HeldHashRequest =
  | { kind: 'begin'; pieceLength: number; isWhole: boolean }
  /** The next bytes, in a block of the shared memory; never over the end of a piece. */
  | { kind: 'block'; slot: number; sizeBytes: number }
  /** The piece that was begun, or would begin now, cannot be read. */
  | { kind: 'spoil' }
  | { kind: 'end' };

/** What it says. */
export type HeldHashReply =
  | { kind: 'free'; slot: number }
  /** The SHA-1 of the next piece; null for one that was spoilt. */
  | { kind: 'piece'; sha1: Uint8Array | null }
  /** null when something was left out. */
  | { kind: 'done'; digests: WholeDigests | null };

/** Of a whole file, lower-case hex. */
export interface WholeDigests {
  md5: string;
  sha1: string;
  sha256: string;
}
