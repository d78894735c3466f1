import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** Asks for the SHA-1 of one whole file. */
export interface FileHashTask {
  index: number;
  path: string;
}

/** What a thread says: how far it came, and at the end one of the others. */
export type FileHashMessage =
  | { kind: 'progress'; addedBytes: number }
  | { kind: 'hashed'; index: number; sha1: string; sizeBytes: number }
  | { kind: 'absent'; index: number }
  | { kind: 'failed'; path: string; message: string };

const READ_BYTES = 2 ** 20;
/** Often enough for a moving progress bar. */
const TELL_EVERY_BYTES = 64 * 2 ** 20;

/** Reads a file with blocking calls: a thread of its own has nobody to wait for. */
function hashFile(task: FileHashTask, buffer: Buffer, say: (message: FileHashMessage) => void): void {
  let fd = -1;
  try {
    fd = openSync(task.path, 'r');
    const hash = createHash('sha1');
    let sizeBytes = 0;
    let untoldBytes = 0;
    for (;;) {
      const count = readSync(fd, buffer, 0, buffer.length, sizeBytes);
      if (count === 0) break;
      hash.update(buffer.subarray(0, count));
      sizeBytes += count;
      untoldBytes += count;
      if (untoldBytes < TELL_EVERY_BYTES) continue;
      say({ kind: 'progress', addedBytes: untoldBytes });
      untoldBytes = 0;
    }
    say({ kind: 'progress', addedBytes: untoldBytes });
    say({ kind: 'hashed', index: task.index, sha1: hash.digest('hex'), sizeBytes });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') say({ kind: 'absent', index: task.index });
    else say({ kind: 'failed', path: task.path, message });
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  port.on('message', (task: FileHashTask) => hashFile(task, buffer, (message) => port.postMessage(message)));
}
