import { webcrypto } from 'node:crypto';
import { describeError, errorCode, Interrupted } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { DiskFile, Log } from '../../ports/index.ts';
import type { PieceGiver } from './piece-source.ts';
import { type Pieces, rangeOfPiece, sha1OfPiece } from './types.ts';

/** Which pieces to put right, and where they may come from. */
export interface HealTask {
  /** Open for writing; nothing but proved pieces is written to it. */
  target: DiskFile;
  sizeBytes: number;
  pieces: Pieces;
  /** In order. */
  bad: readonly number[];
  /** Asked in this order for each piece. */
  givers: readonly PieceGiver[];
  signal: AbortSignal;
  log: Log;
  /** After each piece that was put right. */
  onHealed?: (healedPieces: number, healedBytes: number) => void | Promise<void>;
}

/** The disk does not take the bytes where the damage is. */
export class UnwritableSpot extends Error {}

/**
 * Puts right bytes over wrong ones, piece by piece: each is proved by its SHA-1 before its first byte is written, and on stable
 * storage before the next one begins. So it may be cut short anywhere and repeated.
 * @returns pieces that nobody had
 * @throws UnwritableSpot when writing fails with EIO; other errors of the disk as they are; Interrupted
 */
export async function healPieces(task: HealTask): Promise<{ healed: number[]; left: number[] }> {
  const healed: number[] = [];
  const left: number[] = [];
  let healedBytes = 0;
  for (const piece of task.bad) {
    if (task.signal.aborted) throw new Interrupted();
    const found = await findPiece(task, piece);
    if (found === null) {
      left.push(piece);
      continue;
    }
    const { startBytes } = rangeOf(task, piece);
    try {
      await task.target.write(found.bytes, startBytes);
      step('held:piece_written');
      // With its length: a file that had lost its end grows again.
      await task.target.sync();
    } catch (error) {
      if (errorCode(error) !== 'EIO') throw error;
      throw new UnwritableSpot(describeError(error), { cause: error });
    }
    step('held:piece_synced');
    healed.push(piece);
    healedBytes += found.bytes.length;
    task.log.info({ piece, from: found.from }, 'a damaged piece was put right');
    await task.onHealed?.(healed.length, healedBytes);
  }
  return { healed, left };
}

const rangeOf = ({ sizeBytes, pieces }: HealTask, piece: number) =>
  rangeOfPiece(piece, { sizeBytes, pieceLength: pieces.length });

async function findPiece(task: HealTask, piece: number): Promise<{ bytes: Uint8Array; from: string } | null> {
  const range = rangeOf(task, piece);
  const wanted = sha1OfPiece(task.pieces, piece);
  for (const giver of task.givers) {
    for await (const offer of giver.offers(range, task.signal)) {
      // Off the main thread: a piece may have 64 MiB.
      const sha1 = Buffer.from(
        await webcrypto.subtle.digest('SHA-1', offer.bytes as Uint8Array<ArrayBuffer>),
      );
      const isRight = offer.bytes.length === range.endBytes - range.startBytes && sha1.equals(wanted);
      offer.judged(isRight);
      if (isRight) return offer;
      task.log.warn({ piece, from: offer.from }, 'wrong bytes were offered for a damaged piece and refused');
    }
  }
  return null;
}
