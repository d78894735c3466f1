import { Worker } from 'node:worker_threads';
import { Interrupted, threadScript, WikiSeedError } from '../../lib/index.ts';
import type { CheckMessage, CheckTask, FileFault } from './check-torrent.worker.ts';

/** What reading a whole torrent found. */
export interface TorrentCheck {
  /** Of the file that lies there; 40 lower-case hex digits. */
  infoHash: string;
  pieceCount: number;
  /** Pieces that were read and are wrong. */
  badPieces: number;
  /** In torrent order; empty = all of it is right. */
  faults: FileFault[];
}

/**
 * Reads every file of a torrent and compares every piece with its `.torrent` file, in a thread that lives for this call only. Changes nothing.
 * @param options.onProgress called with the bytes read so far, padding apart
 * @throws WikiSeedError `torrent_file_unreadable`; Interrupted
 */
export async function checkTorrent(
  task: CheckTask & { signal: AbortSignal; onProgress?: (doneBytes: number) => void },
): Promise<TorrentCheck> {
  const { signal, onProgress, ...given } = task;
  if (signal.aborted) throw new Interrupted();
  const worker = new Worker(threadScript(import.meta.url, 'check-torrent'), { workerData: given });
  let onAbort = (): void => {};
  try {
    return await new Promise<TorrentCheck>((resolve, reject) => {
      onAbort = () => reject(new Interrupted());
      signal.addEventListener('abort', onAbort, { once: true });
      worker.on('message', (message: CheckMessage) => {
        if (message.kind === 'progress') onProgress?.(message.doneBytes);
        else if (message.kind === 'failed') reject(unreadable(given.torrentFile, message.message));
        else {
          const { kind: _, ...found } = message;
          resolve(found);
        }
      });
      worker.on('error', reject);
      worker.on('exit', () =>
        reject(unreadable(given.torrentFile, 'the reading thread ended before its work')),
      );
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
    await worker.terminate();
  }
}

function unreadable(torrentFile: string, why: string): WikiSeedError {
  return new WikiSeedError('torrent_file_unreadable', `${torrentFile} cannot be read: ${why}`, {
    hint: 'Remove it if it is damaged, and start WikiSeed again: it is made anew from the stored files.',
  });
}
