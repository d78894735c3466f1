import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** Something a torrent is made of, in torrent order: a whole file on the disk, or text that is in memory. */
export type ReadingPart =
  | { kind: 'file'; path: string; sizeBytes: number }
  | { kind: 'bytes'; bytes: Uint8Array };

/**
 * Reads whole files that lie end to end, once: each is proved and, with the others, cut into pieces. A piece belongs to the
 * stretch in which it begins; its bytes in the stretch after are read there too, and both say what they saw of them.
 */
export interface StretchTask {
  kind: 'stretch';
  index: number;
  parts: readonly ReadingPart[];
  pieceLength: number;
  /** First bytes, which end a piece of the stretch before. */
  headBytes: number;
  /** What the last piece goes on with. */
  overlap: readonly ReadingPart[];
  /** Zeros after all that. */
  paddingBytes: number;
}

/** Reads the last, short piece of a file. */
export interface TailTask {
  kind: 'tail';
  index: number;
  path: string;
  sizeBytes: number;
  pieceLength: number;
  /** What the piece goes on with. */
  overlap: readonly ReadingPart[];
  /** Zeros after all that. */
  paddingBytes: number;
}

export type ReadingTask = StretchTask | TailTask;

/** What a thread says: how far it came, and at the end one of the others. */
export type ReadingMessage =
  | { kind: 'progress'; addedBytes: number }
  | {
      kind: 'stretch';
      index: number;
      /** SHA-1 of each part in hex; null for text, and for a file that is not there or of another size. */
      sha1s: (string | null)[];
      /** 20 bytes for each piece that begins here; of no use unless every file was right. */
      pieces: Uint8Array;
      /** SHA-1 of the first `headBytes`, and of what was read in the stretch after. */
      headSha1: string;
      overlapSha1: string;
    }
  /** What the file has of the piece, and the whole piece; null when the file is not there or of another size. */
  | {
      kind: 'tail';
      index: number;
      digests: { short: Uint8Array; whole: Uint8Array } | null;
      overlapSha1: string;
    }
  | { kind: 'failed'; path: string; message: string };

// Large enough for any disk, small enough to be hashed twice while still in the processor's cache.
const READ_BYTES = 2 ** 20;
/** Often enough for a moving progress bar. */
const TELL_EVERY_BYTES = 64 * 2 ** 20;

/** The threads' own hands: blocking calls, since a thread of its own has nobody to wait for. */
function createReader(say: (message: ReadingMessage) => void) {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const zeros = Buffer.alloc(READ_BYTES);
  let untoldBytes = 0;

  const tell = (addedBytes: number, atLeast: number): void => {
    untoldBytes += addedBytes;
    if (untoldBytes < atLeast) return;
    say({ kind: 'progress', addedBytes: untoldBytes });
    untoldBytes = 0;
  };

  /** Gives the bytes from `offset` up to `end`. @returns false when the file is not there or not `sizeBytes` long */
  function readFile(
    { path, sizeBytes }: { path: string; sizeBytes: number },
    range: { offset: number; end: number },
    take: (bytes: Uint8Array) => void,
  ): boolean {
    let fd = -1;
    try {
      fd = openSync(path, 'r');
      const facts = fstatSync(fd);
      if (!facts.isFile()) throw new Error('it is not a regular file');
      if (facts.size !== sizeBytes) return false;
      for (let at = range.offset; at < range.end; ) {
        const count = readSync(fd, buffer, 0, Math.min(buffer.length, range.end - at), at);
        if (count === 0) return false;
        take(buffer.subarray(0, count));
        at += count;
        tell(count, TELL_EVERY_BYTES);
      }
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw Object.assign(error as Error, { path });
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  }

  function zeroFill(hash: (bytes: Uint8Array) => void, count: number): void {
    for (let left = count; left > 0; left -= zeros.length)
      hash(zeros.subarray(0, Math.min(left, zeros.length)));
  }

  /** The first `missingBytes` of what follows. */
  function readOverlap(
    parts: readonly ReadingPart[],
    missingBytes: number,
    take: (bytes: Uint8Array) => void,
  ): void {
    let left = missingBytes;
    const count = (bytes: Uint8Array): void => {
      take(bytes);
      left -= bytes.length;
    };
    for (const part of parts) {
      if (part.kind === 'bytes') count(part.bytes.subarray(0, left));
      else readFile(part, { offset: 0, end: Math.min(part.sizeBytes, left) }, count);
    }
  }

  function readStretch(task: StretchTask): ReadingMessage {
    const pieces: Buffer[] = [];
    const head = createHash('sha1');
    const overlap = createHash('sha1');
    let headLeft = task.headBytes;
    let piece: Hash | null = null;
    let filled = 0;
    const closePiece = (): void => {
      if (piece !== null) pieces.push(piece.digest());
      piece = null;
      filled = 0;
    };
    const cut = (bytes: Uint8Array): void => {
      const ofHead = Math.min(headLeft, bytes.length);
      if (ofHead > 0) head.update(bytes.subarray(0, ofHead));
      headLeft -= ofHead;
      for (let at = ofHead; at < bytes.length; ) {
        const count = Math.min(bytes.length - at, task.pieceLength - filled);
        piece ??= createHash('sha1');
        piece.update(bytes.subarray(at, at + count));
        filled += count;
        at += count;
        if (filled === task.pieceLength) closePiece();
      }
    };
    const sha1s = task.parts.map((part) => {
      if (part.kind === 'bytes') {
        cut(part.bytes);
        return null;
      }
      const whole = createHash('sha1');
      const isWhole = readFile(part, { offset: 0, end: part.sizeBytes }, (bytes) => {
        whole.update(bytes);
        cut(bytes);
      });
      return isWhole ? whole.digest('hex') : null;
    });
    readOverlap(task.overlap, filled === 0 ? 0 : task.pieceLength - filled, (bytes) => {
      overlap.update(bytes);
      cut(bytes);
    });
    zeroFill(cut, task.paddingBytes);
    closePiece();
    return {
      kind: 'stretch',
      index: task.index,
      sha1s,
      pieces: new Uint8Array(Buffer.concat(pieces)),
      headSha1: head.digest('hex'),
      overlapSha1: overlap.digest('hex'),
    };
  }

  function readTail({
    index,
    path,
    sizeBytes,
    pieceLength,
    overlap,
    paddingBytes,
  }: TailTask): ReadingMessage {
    const tailBytes = sizeBytes % pieceLength;
    const hash = createHash('sha1');
    const isWhole = readFile(
      { path, sizeBytes },
      { offset: sizeBytes - tailBytes, end: sizeBytes },
      (bytes) => hash.update(bytes),
    );
    const short = hash.copy().digest();
    const seen = createHash('sha1');
    readOverlap(overlap, pieceLength - tailBytes, (bytes) => {
      seen.update(bytes);
      hash.update(bytes);
    });
    zeroFill((bytes) => hash.update(bytes), paddingBytes);
    const digests = isWhole ? { short, whole: hash.digest() } : null;
    return { kind: 'tail', index, digests, overlapSha1: seen.digest('hex') };
  }

  return (task: ReadingTask): void => {
    try {
      const result = task.kind === 'stretch' ? readStretch(task) : readTail(task);
      tell(0, 1);
      say(result);
    } catch (error) {
      const { path = '', message } = error as NodeJS.ErrnoException;
      say({ kind: 'failed', path, message });
    }
  };
}

if (parentPort !== null) {
  const port = parentPort;
  const read = createReader((message) => port.postMessage(message));
  port.on('message', read);
}
