import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { Container } from '../../catalog/index.ts';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk } from '../../ports/index.ts';
import type { Reservation } from '../../storage/index.ts';
import type { ContentFile } from '../payload/content.ts';
import { runInThreads } from '../thread-pool.ts';
import type { JournalEntry } from './journal.ts';
import type { UnpackMessage, UnpackTask } from './protocol.ts';
import { NoRoom, type Room } from './room.ts';

/** One file to be unpacked. */
export interface ToUnpack {
  content: ContentFile;
  container: Container;
  packedSha1: string;
  /** Of the packed file. */
  source: string;
  /** Of the unpacked one. */
  absolutePath: string;
  maxBytes: number;
}

/** A deflate stream never unpacks to more than so many times its size; of the other formats nothing of use is known. */
const GZIP_RATIO_MAX = 1032;

/** A file that is being unpacked. */
interface Running {
  file: ToUnpack;
  reservation: Reservation;
}

/**
 * Unpacks files in threads. Room is promised for each before its first byte; a file that finds none waits for those that run.
 * @param onDone called for each file that is whole, or never will be
 * @returns files whose packed bytes are absent or are not what is recorded
 * @throws NoRoom, Interrupted, RetryableError `unpack_failed`; an error with Node's `code` when the disk is full
 */
export async function unpackFiles(
  deps: {
    disk: Disk;
    room: Room;
    signal: AbortSignal;
    onProgress?: (doneBytes: number, totalBytes: number) => void;
  },
  files: readonly ToUnpack[],
  onDone: (file: ToUnpack, outcome: JournalEntry['outcome']) => void,
): Promise<ContentFile[]> {
  const { disk, room } = deps;
  // The largest first, so that no thread is left alone with it at the end.
  const waiting = [...files].sort((a, b) => b.content.dump.sizeBytes - a.content.dump.sizeBytes);
  const sevenZips = files.filter(isSevenZip).length;
  const totalBytes = files.reduce((sum, { content }) => sum + content.dump.sizeBytes, 0);
  const running = new Map<number, Running>();
  const folders = new Set<string>();
  const suspects: ContentFile[] = [];
  let doneBytes = 0;
  let count = 0;
  let oneEnded = Promise.withResolvers<void>();
  let isOver = false;

  async function promiseFor(file: ToUnpack): Promise<Reservation> {
    for (;;) {
      const ended = oneEnded.promise;
      try {
        return await room.promise(roomFor(file));
      } catch (error) {
        // What the others do not use in the end may be enough.
        if (!(error instanceof NoRoom) || running.size === 0) throw error;
        await ended;
        if (isOver) throw new Interrupted();
      }
    }
  }

  // One asks at a time: of two that were refused at once, each would wait for the other.
  let asking: Promise<unknown> = Promise.resolve();
  function begin(file: ToUnpack): Promise<number> {
    const begun = asking.then(async () => {
      if (isOver) throw new Interrupted();
      const reservation = await promiseFor(file);
      // Nobody is left who would give it back.
      if (isOver) {
        reservation.release();
        throw new Interrupted();
      }
      running.set(count, { file, reservation });
      return count++;
    });
    asking = begun.catch(() => {});
    return begun;
  }

  const next = (thread: number): ToUnpack | undefined => {
    // What reads 7z is WebAssembly: it lives in one thread and no other (docs/decisions/0026-threads-run-javascript.md).
    const first = waiting.findIndex((file) => isSevenZip(file) === (thread === 0));
    if (first >= 0) return waiting.splice(first, 1)[0];
    return thread === 0 ? waiting.shift() : undefined;
  };

  async function take(thread: number): Promise<UnpackTask | null> {
    const file = next(thread);
    if (file === undefined) return null;
    const { source, container, packedSha1, absolutePath, maxBytes, content } = file;
    const index = await begin(file);
    const folder = dirname(absolutePath);
    if (!folders.has(folder)) await disk.makeDirectory(folder);
    folders.add(folder);
    const { sizeBytes } = content.dump;
    return { index, source, container, sizeBytes, sha1: packedSha1, target: absolutePath, maxBytes };
  }

  function end(index: number): void {
    running.get(index)?.reservation.release();
    running.delete(index);
    oneEnded.resolve();
    oneEnded = Promise.withResolvers();
  }

  try {
    await runInThreads<UnpackTask, UnpackMessage>({
      script: threadScript(import.meta.url, 'unpack'),
      tasks: take,
      threads: Math.min(availableParallelism(), Math.min(sevenZips, 1) + files.length - sevenZips),
      signal: deps.signal,
      onMessage(message) {
        const { index } = message;
        const { file, reservation } = running.get(index)!;
        switch (message.kind) {
          case 'progress':
            reservation.written(message.writtenBytes);
            doneBytes += message.addedBytes;
            deps.onProgress?.(doneBytes, totalBytes);
            return 'more';
          case 'failed':
            throw failed(message);
          case 'not_as_recorded':
            suspects.push(file.content);
            break;
          case 'unpacked':
            step('torrenting:file_unpacked');
            onDone(file, { kind: 'unpacked', facts: message.facts, mtimeMs: message.mtimeMs });
            break;
          case 'too_large':
            onDone(file, { kind: 'too_large', maxBytes: file.maxBytes });
            break;
          case 'broken':
            onDone(file, { kind: 'broken' });
            break;
        }
        end(index);
        return 'done';
      },
    });
  } finally {
    isOver = true;
    oneEnded.resolve();
    for (const { reservation } of running.values()) reservation.release();
  }
  return suspects;
}

const isSevenZip = ({ container }: ToUnpack): boolean => container === '7z';

/** As much as may come out. */
function roomFor({ container, maxBytes, content }: ToUnpack): number {
  return container === 'gz' ? Math.min(maxBytes, GZIP_RATIO_MAX * content.dump.sizeBytes) : maxBytes;
}

/** A disk that fails says nothing about the file. */
function failed({ path, code, message }: UnpackMessage & { kind: 'failed' }): Error {
  if (code === 'ENOSPC' || code === 'EDQUOT') return Object.assign(new Error(message), { code });
  return new RetryableError('unpack_failed', `cannot unpack, at ${path}: ${message}`, {
    hint: 'Look for disk errors in the log of the system (dmesg).',
  });
}
