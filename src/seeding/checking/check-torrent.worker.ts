import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { readTorrentFile, type TorrentFileFacts } from '../torrent-file.ts';

/** What the thread is given at its start; both absolute. */
export interface CheckTask {
  torrentFile: string;
  /** Folder that holds the torrent's own folder. */
  contentRoot: string;
}

/**
 * `damaged`: a piece that is its alone is wrong; `suspect`: a piece is wrong that it shares with others; `unproved`: it shares a piece with a file
 * that could not be read.
 */
export type FaultState = 'missing' | 'wrong_size' | 'unreadable' | 'damaged' | 'suspect' | 'unproved';

/** A file that is not proved to be right. */
export interface FileFault {
  /** Below the torrent's folder, with slashes. */
  path: string;
  sizeBytes: number;
  state: FaultState;
  /** In the words of the system; null where there are none. */
  reason: string | null;
}

/** What the thread tells. */
export type CheckMessage =
  | { kind: 'progress'; doneBytes: number }
  | { kind: 'done'; infoHash: string; pieceCount: number; badPieces: number; faults: FileFault[] }
  | { kind: 'failed'; code: string; message: string };

const READ_BYTES = 2 ** 20;
/** A message for each so many bytes. */
const TELL_BYTES = 16 * 2 ** 20;
/** What is known of a file is never replaced by something weaker. */
const STRENGTH: readonly FaultState[] = [
  'unproved',
  'suspect',
  'damaged',
  'unreadable',
  'wrong_size',
  'missing',
];

interface Part {
  index: number;
  offset: number;
  length: number;
}

function check({ torrentFile, contentRoot }: CheckTask, tell: (message: CheckMessage) => void): void {
  const facts = readTorrentFile(readFileSync(torrentFile));
  const { files, pieceLength, pieces } = facts;
  const faults = new Map<number, FileFault>();
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const zeros = Buffer.alloc(READ_BYTES);
  const folder = join(contentRoot, facts.name);
  let open = { index: -1, fd: -1 };
  let badPieces = 0;
  let toldBytes = 0;
  let doneBytes = 0;

  const blame = (index: number, state: FaultState, reason: string | null = null): void => {
    const file = files[index];
    if (file === undefined || file.isPadding) return;
    const known = faults.get(index);
    if (known !== undefined && STRENGTH.indexOf(known.state) >= STRENGTH.indexOf(state)) return;
    faults.set(index, { path: file.path.join('/'), sizeBytes: file.sizeBytes, state, reason });
  };
  /** @returns null when the file is not what it must be; it is blamed then */
  const opened = (index: number): number | null => {
    if (open.index === index) return open.fd < 0 ? null : open.fd;
    if (open.fd >= 0) closeSync(open.fd);
    open = { index, fd: -1 };
    const file = files[index] as TorrentFileFacts['files'][number];
    try {
      const fd = openSync(join(folder, ...file.path), 'r');
      const { size } = fstatSync(fd);
      if (size === file.sizeBytes) {
        open = { index, fd };
        return fd;
      }
      closeSync(fd);
      blame(index, 'wrong_size', `it has ${size} bytes instead of ${file.sizeBytes}`);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      blame(index, code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable', message);
    }
    return null;
  };
  /** @returns null when a file of it cannot be read */
  const digestOf = (parts: readonly Part[]): Buffer | null => {
    const hash = createHash('sha1');
    for (const { index, offset, length } of parts) {
      const isPadding = files[index]?.isPadding === true;
      const fd = isPadding ? 0 : opened(index);
      if (fd === null) return null;
      for (let done = 0; done < length; ) {
        const wanted = Math.min(READ_BYTES, length - done);
        let count = wanted;
        if (!isPadding)
          try {
            count = readSync(fd, buffer, 0, wanted, offset + done);
            if (count === 0) throw new Error('it ends too early');
          } catch (error) {
            blame(index, 'unreadable', (error as Error).message);
            return null;
          }
        hash.update((isPadding ? zeros : buffer).subarray(0, count));
        done += count;
      }
    }
    return hash.digest();
  };

  // An empty file is in no piece.
  for (const [index, { sizeBytes, isPadding }] of files.entries())
    if (sizeBytes === 0 && !isPadding) opened(index);
  let at: Omit<Part, 'length'> = { index: 0, offset: 0 };
  for (let piece = 0; piece * 20 < pieces.length; piece += 1) {
    const parts: Part[] = [];
    for (let left = pieceLength; left > 0 && at.index < files.length; ) {
      const size = (files[at.index] as TorrentFileFacts['files'][number]).sizeBytes;
      const length = Math.min(left, size - at.offset);
      if (length > 0) parts.push({ ...at, length });
      left -= length;
      at =
        at.offset + length < size
          ? { ...at, offset: at.offset + length }
          : { index: at.index + 1, offset: 0 };
    }
    const digest = digestOf(parts);
    const own = parts.filter(({ index }) => files[index]?.isPadding === false);
    if (digest === null) for (const { index } of own) blame(index, 'unproved');
    else if (!digest.equals(pieces.subarray(piece * 20, piece * 20 + 20))) {
      badPieces += 1;
      for (const { index } of own) blame(index, own.length === 1 ? 'damaged' : 'suspect');
    }
    for (const { length } of own) doneBytes += length;
    if (doneBytes - toldBytes >= TELL_BYTES) {
      toldBytes = doneBytes;
      tell({ kind: 'progress', doneBytes });
    }
  }
  if (open.fd >= 0) closeSync(open.fd);
  const found = [...faults].sort(([a], [b]) => a - b).map(([, fault]) => fault);
  tell({ kind: 'done', infoHash: facts.infoHash, pieceCount: pieces.length / 20, badPieces, faults: found });
}

if (parentPort !== null) {
  const port = parentPort;
  const tell = (message: CheckMessage): void => port.postMessage(message);
  try {
    check(workerData as CheckTask, tell);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    tell({ kind: 'failed', code: code ?? 'unexpected', message });
  }
}
