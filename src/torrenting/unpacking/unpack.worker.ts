import { createHash } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { BrokenStructure, type UnpackedSink } from '../../lib/containers/broken-structure.ts';
import { readBzip2 } from '../../lib/containers/bzip2.ts';
import { readGzip } from '../../lib/containers/gzip.ts';
import { unpackSevenZip } from '../../lib/containers/seven-zip.ts';
import { checkSevenZip } from '../../lib/containers/seven-zip-frame.ts';
import type { UnpackedFacts, UnpackMessage, UnpackTask } from './protocol.ts';

/**
 * Unpacks files, one after the other, in bounded memory: what comes out is hashed and written at once. Blocking calls, since a
 * thread of its own has nobody to wait for.
 */

const READ_BYTES = 2 ** 20;
/** Often enough for a moving progress bar, and for a promise of room that shrinks as it is kept. */
const TELL_EVERY_BYTES = 32 * 2 ** 20;
/** Nobody writes to what is seeded. */
const READ_ONLY = 0o444;

/** More came out than may. */
class TooLarge extends Error {}

type Tell = (facts: { readBytes?: number; writtenBytes?: number }) => void;

/** True when the file is what is recorded. What is unpacked comes from proved bytes, and what is no container was none at the origin either. */
function isAsRecorded(fd: number, { sizeBytes, sha1 }: UnpackTask): boolean {
  if (fstatSync(fd).size !== sizeBytes) return false;
  const hash = createHash('sha1');
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let position = 0; ; ) {
    const count = readSync(fd, buffer, 0, buffer.length, position);
    if (count === 0) break;
    hash.update(buffer.subarray(0, count));
    position += count;
  }
  return hash.digest('hex') === sha1;
}

/** Writes what it gets, and knows the hashes of all of it. */
function createOutput(fd: number, { maxBytes }: UnpackTask, tell: Tell) {
  const hashes = (['md5', 'sha1', 'sha256'] as const).map((name) => createHash(name));
  let sizeBytes = 0;
  const sink: UnpackedSink = {
    add(bytes) {
      if (sizeBytes + bytes.length > maxBytes) throw new TooLarge();
      for (const hash of hashes) hash.update(bytes);
      for (let done = 0; done < bytes.length; )
        done += writeSync(fd, bytes, done, bytes.length - done, sizeBytes + done);
      sizeBytes += bytes.length;
      tell({ writtenBytes: sizeBytes });
    },
  };
  return {
    sink,
    facts(): UnpackedFacts {
      const [md5 = '', sha1 = '', sha256 = ''] = hashes.map((hash) => hash.digest('hex'));
      return { sizeBytes, md5, sha1, sha256 };
    },
  };
}

/**
 * No stream: one that is left before its end closes the descriptor by itself, later, whatever file bears that number by then. Each chunk is a
 * buffer of its own, since the decoder may still hold the one before.
 */
async function* chunksOf(
  readAt: (target: Uint8Array, position: number) => number,
): AsyncGenerator<Buffer, void, undefined> {
  for (let position = 0; ; ) {
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    const count = readAt(chunk, position);
    if (count === 0) return;
    position += count;
    yield chunk.subarray(0, count);
  }
}

/** @throws BrokenStructure, TooLarge, and what the disk says */
async function readContainer(
  source: number,
  task: UnpackTask,
  sink: UnpackedSink,
  tell: Tell,
): Promise<void> {
  const onProgress = (readBytes: number): void => tell({ readBytes });
  const readAt = (target: Uint8Array, position: number): number =>
    readSync(source, target, 0, target.length, position);
  switch (task.container) {
    case 'bz2': {
      let position = 0;
      const read = (target: Uint8Array): number => {
        const count = readAt(target, position);
        position += count;
        return count;
      };
      return readBzip2({ read }, onProgress, sink);
    }
    case 'gz': {
      return await readGzip(chunksOf(readAt), onProgress, sink);
    }
    case '7z': {
      const archive = { sizeBytes: task.sizeBytes, readAt };
      checkSevenZip(archive);
      return await unpackSevenZip(archive, onProgress, sink);
    }
  }
}

/** The file gets its name only when all of it is on the disk. */
async function unpack(task: UnpackTask, tell: Tell): Promise<UnpackMessage> {
  const { index, target } = task;
  const temporary = `${target}.tmp`;
  let [source, output] = [-1, -1];
  let path = task.source;
  try {
    source = openSync(task.source, 'r');
    if (!isAsRecorded(source, task)) return { kind: 'not_as_recorded', index };
    path = temporary;
    rmSync(temporary, { force: true });
    output = openSync(temporary, 'wx');
    const { sink, facts } = createOutput(output, task, tell);
    await readContainer(source, task, sink, tell);
    fchmodSync(output, READ_ONLY);
    fsyncSync(output);
    const { mtimeMs } = fstatSync(output);
    renameSync(temporary, target);
    syncFolder(dirname(target));
    return { kind: 'unpacked', index, facts: facts(), mtimeMs };
  } catch (error) {
    if (error instanceof TooLarge) return { kind: 'too_large', index };
    if (error instanceof BrokenStructure) return { kind: 'broken', index, reason: error.message };
    const { code = 'unknown', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && source < 0) return { kind: 'not_as_recorded', index };
    return { kind: 'failed', index, path, code, message };
  } finally {
    for (const fd of [source, output]) if (fd >= 0) closeSync(fd);
    // Whatever ended it: what is not whole leaves no byte behind.
    if (output >= 0) rmSync(temporary, { force: true });
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  port.on('message', async (task: UnpackTask) => {
    let [readBytes, writtenBytes, toldRead, toldWritten] = [0, 0, 0, 0];
    const say = (): void => {
      const addedBytes = readBytes - toldRead;
      port.postMessage({
        kind: 'progress',
        index: task.index,
        addedBytes,
        writtenBytes,
      } satisfies UnpackMessage);
      toldRead = readBytes;
      toldWritten = writtenBytes;
    };
    const answer = await unpack(task, (facts) => {
      readBytes = Math.max(readBytes, Math.min(facts.readBytes ?? 0, task.sizeBytes));
      writtenBytes = facts.writtenBytes ?? writtenBytes;
      if (readBytes - toldRead >= TELL_EVERY_BYTES || writtenBytes - toldWritten >= TELL_EVERY_BYTES) say();
    });
    // However it ended, nothing more of this file is to be done.
    readBytes = task.sizeBytes;
    say();
    port.postMessage(answer);
  });
}
