import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError } from '../lib/index.ts';
import type { PieceHashJob, PieceRange, PieceRangeResult } from './piece-hash.worker.ts';

/** Bytes of one request to a thread: long enough to make messages cheap, short enough for a moving progress bar. */
const RANGE_BYTES = 64 * 2 ** 20;

/** More threads than this only make a disk seek. */
const THREADS_MAX = 8;

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
  const ranges = cutRanges(
    pieceCount,
    Math.max(1, Math.floor((options.rangeBytes ?? RANGE_BYTES) / pieceLength)),
  );
  const job: PieceHashJob = {
    paths: options.files.map((file) => file.absolutePath),
    sizes: options.files.map((file) => file.sizeBytes),
    pieceLength,
    digests,
  };
  const threads = Math.min(options.threads ?? availableParallelism(), THREADS_MAX, ranges.length);
  const workers: Worker[] = [];
  let doneBytes = 0;
  let onAbort = (): void => {};
  try {
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Interrupted());
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const finished = Array.from({ length: threads }, () => {
      const worker = new Worker(new URL('./piece-hash.worker.ts', import.meta.url), { workerData: job });
      workers.push(worker);
      return drain(worker, ranges, (bytes) => {
        doneBytes += bytes;
        options.onProgress?.(doneBytes);
      });
    });
    await Promise.race([Promise.all(finished), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return new Uint8Array(digests).slice();
}

function cutRanges(pieceCount: number, piecesPerRange: number): PieceRange[] {
  const ranges: PieceRange[] = [];
  for (let first = 0; first < pieceCount; first += piecesPerRange) {
    ranges.push({ first, endExclusive: Math.min(first + piecesPerRange, pieceCount) });
  }
  return ranges;
}

/** Feeds one thread from the shared list until the list is empty. */
function drain(worker: Worker, ranges: PieceRange[], onDone: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const range = ranges.shift();
      if (range === undefined) resolve();
      else worker.postMessage(range);
    };
    worker.on('message', (result: PieceRangeResult) => {
      if (!result.ok) {
        reject(new RetryableError('torrent_read_failed', `cannot hash ${result.path}: ${result.message}`));
        return;
      }
      onDone(result.doneBytes);
      next();
    });
    worker.on('error', reject);
    worker.on('exit', () =>
      reject(new RetryableError('hash_thread_ended', 'a hashing thread ended before its work')),
    );
    next();
  });
}
