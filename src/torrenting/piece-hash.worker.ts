import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** What a hashing thread is given at its start. */
export interface PieceHashJob {
  /** In torrent order. */
  paths: string[];
  sizes: number[];
  pieceLength: number;
  /** 20 bytes for each piece, shared by all threads; each writes only the pieces it was asked for. */
  digests: SharedArrayBuffer;
}

/** Asks for the pieces from `first` up to, but without, `endExclusive`. */
export interface PieceRange {
  first: number;
  endExclusive: number;
}

/** Answer to one range. */
export type PieceRangeResult = { ok: true; doneBytes: number } | { ok: false; path: string; message: string };

// Reads of 1 MiB: large enough for any disk, small enough to be hashed while still in the processor's cache.
const READ_BYTES = 2 ** 20;

/**
 * Hashes ranges of pieces of the concatenated files, with blocking reads: a thread of its own has nobody to wait for.
 * One file stays open, because a range walks through the files in order.
 */
function createRangeHasher(job: PieceHashJob): (range: PieceRange) => PieceRangeResult {
  const starts: number[] = [];
  let total = 0;
  for (const size of job.sizes) {
    starts.push(total);
    total += size;
  }
  const digests = new Uint8Array(job.digests);
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let open = { index: -1, fd: -1 };

  /** Last file that starts at or before the position; empty files before it are passed over. */
  const fileAt = (position: number): number => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (starts[middle]! <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  const readAt = (index: number, offset: number, length: number): void => {
    if (open.index !== index) {
      if (open.fd >= 0) closeSync(open.fd);
      open = { index: -1, fd: -1 };
      open = { index, fd: openSync(job.paths[index]!, 'r') };
    }
    let done = 0;
    while (done < length) {
      const count = readSync(open.fd, buffer, done, length - done, offset + done);
      if (count === 0) throw new Error('the file is shorter than recorded');
      done += count;
    }
  };

  return (range) => {
    let doneBytes = 0;
    let index = 0;
    try {
      for (let piece = range.first; piece < range.endExclusive; piece += 1) {
        let position = piece * job.pieceLength;
        const end = Math.min(position + job.pieceLength, total);
        const hash = createHash('sha1');
        while (position < end) {
          index = fileAt(position);
          const offset = position - starts[index]!;
          const length = Math.min(buffer.length, end - position, job.sizes[index]! - offset);
          readAt(index, offset, length);
          hash.update(buffer.subarray(0, length));
          position += length;
          doneBytes += length;
        }
        digests.set(hash.digest(), piece * 20);
      }
      return { ok: true, doneBytes };
    } catch (error) {
      return {
        ok: false,
        path: job.paths[index] ?? '',
        message: error instanceof Error ? error.message : String(error),
      };
    }
  };
}

if (parentPort !== null) {
  const port = parentPort;
  const hashRange = createRangeHasher(workerData as PieceHashJob);
  port.on('message', (range: PieceRange) => port.postMessage(hashRange(range)));
}
