import { Interrupted, RetryableError, threadScript } from '../lib/index.ts';
import type { PieceHashJob, PieceRange, PieceRangeResult } from './piece-hash.worker.ts';
import { runInThreads } from './thread-pool.ts';

/** Bytes of one request to a thread: long enough to make messages cheap, short enough for a moving progress bar. */
const RANGE_BYTES = 64 * 2 ** 20;

/**
 * Hashes the files, laid end to end, in worker threads that live for this call only.
 * @param options.files absolute paths in torrent order
 * @param options.onProgress called with the bytes done so far
 * @returns 20 bytes for each piece
 * @throws RetryableError `torrent_read_failed` naming the file; Interrupted when the signal aborts
 */
export async function hashPieces(options: {
  files: readonly { absolutePath: string; sizeBytes: number }[];
  pieceLength: number;
  signal: AbortSignal;
  threads?: number;
  /** Bytes of one request to a thread; tests make it small. */
  rangeBytes?: number;
  onProgress?: (doneBytes: number) => void;
}): Promise<Uint8Array> {
  const { pieceLength, signal } = options;
  if (signal.aborted) throw new Interrupted();
  const totalSizeBytes = options.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const pieceCount = Math.ceil(totalSizeBytes / pieceLength);
  const digests = new SharedArrayBuffer(pieceCount * 20);
  let doneBytes = 0;
  await runInThreads<PieceRange, PieceRangeResult>({
    script: threadScript(import.meta.url, 'piece-hash'),
    workerData: {
      paths: options.files.map((file) => file.absolutePath),
      sizes: options.files.map((file) => file.sizeBytes),
      pieceLength,
      digests,
    } satisfies PieceHashJob,
    tasks: cutRanges(pieceCount, Math.max(1, Math.floor((options.rangeBytes ?? RANGE_BYTES) / pieceLength))),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    signal,
    onMessage(result) {
      if (!result.ok)
        throw new RetryableError('torrent_read_failed', `cannot hash ${result.path}: ${result.message}`);
      doneBytes += result.doneBytes;
      options.onProgress?.(doneBytes);
      return 'done';
    },
  });
  return new Uint8Array(digests).slice();
}

function cutRanges(pieceCount: number, piecesPerRange: number): PieceRange[] {
  const ranges: PieceRange[] = [];
  for (let first = 0; first < pieceCount; first += piecesPerRange) {
    ranges.push({ first, endExclusive: Math.min(first + piecesPerRange, pieceCount) });
  }
  return ranges;
}
