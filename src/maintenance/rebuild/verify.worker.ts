import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** Asks for the hashes of one whole file. */
export interface VerifyTask {
  index: number;
  path: string;
}

/** What a thread says: how far it came, and at the end one of the others. */
export type VerifyMessage =
  | { kind: 'progress'; addedBytes: number }
  | { kind: 'hashed'; index: number; sha1: string; md5: string; sizeBytes: number }
  | { kind: 'failed'; index: number; code: string; message: string };

const READ_BYTES = 2 ** 20;
/** Often enough for a moving progress bar. */
const TELL_EVERY_BYTES = 32 * 2 ** 20;

/** Blocking reads: a thread of its own has nobody to wait for. */
function hashFile(task: VerifyTask, buffer: Buffer, say: (message: VerifyMessage) => void): void {
  let fd = -1;
  try {
    fd = openSync(task.path, 'r');
    const sha1 = createHash('sha1');
    const md5 = createHash('md5');
    let sizeBytes = 0;
    let untoldBytes = 0;
    for (;;) {
      const count = readSync(fd, buffer, 0, buffer.length, sizeBytes);
      if (count === 0) break;
      const part = buffer.subarray(0, count);
      sha1.update(part);
      md5.update(part);
      sizeBytes += count;
      untoldBytes += count;
      if (untoldBytes < TELL_EVERY_BYTES) continue;
      say({ kind: 'progress', addedBytes: untoldBytes });
      untoldBytes = 0;
    }
    say({ kind: 'progress', addedBytes: untoldBytes });
    say({ kind: 'hashed', index: task.index, sha1: sha1.digest('hex'), md5: md5.digest('hex'), sizeBytes });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    say({ kind: 'failed', index: task.index, code: code ?? 'unknown', message });
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  port.on('message', (task: VerifyTask) => hashFile(task, buffer, (message) => port.postMessage(message)));
}
