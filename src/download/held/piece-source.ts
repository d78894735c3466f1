import type { DumpFile } from '../../catalog/index.ts';
import type { ByteRange } from '../sources/types.ts';

/** Bytes that somebody offers for a piece. Nothing of them is proved. */
export interface OfferedPiece {
  bytes: Uint8Array;
  /** Who gave them, for the log: an address, or the name of a place. */
  from: string;
  /** Must be told whether they were right. */
  judged(isRight: boolean): void;
}

/** Gives pieces of one file during one repair; remembers who has already failed. */
export interface PieceGiver {
  /** Offers of one place after the other, until the reader has what it needs or nobody is left. @throws Interrupted */
  offers(range: ByteRange, signal: AbortSignal): AsyncIterable<OfferedPiece>;
}

/** A kind of places that may have pieces of held files: servers, a swarm, a file beside. */
export interface PieceSource {
  giverFor(row: DumpFile): PieceGiver;
}
