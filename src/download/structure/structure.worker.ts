import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { BrokenStructure } from './broken-structure.ts';
import { checkBzip2 } from './check-bzip2.ts';
import { checkGzip } from './check-gzip.ts';
import { checkSevenZip } from './check-seven-zip.ts';
import type { StructureMessage, StructureTask } from './protocol.ts';
import { assertEnding, createTextEnd, type TextEnd } from './text-end.ts';
import { unpackSevenZip } from './unpack-seven-zip.ts';

/** Checks one file and ends. Runs only inside a thread that `check-structure.ts` started. */

const READ_BYTES = 1024 * 1024;
/** Often enough for a moving progress bar. */
const TELL_EVERY_BYTES = 4 * 1024 * 1024;

async function check(
  { path, container, ending }: StructureTask,
  onProgress: (checkedBytes: number) => void,
): Promise<void> {
  const end = createTextEnd();
  if (container === 'gz')
    await checkGzip(createReadStream(path, { highWaterMark: READ_BYTES }), onProgress, end);
  else checkBlocking({ path, container }, onProgress, end);
  if (container === '7z') await unpackSevenZip({ path, readAt }, end, onProgress);
  if (ending !== null) assertEnding(end, ending);
}

const readAt = (fd: number, target: Uint8Array, position: number): number =>
  readSync(fd, target, 0, target.length, position);

/** Blocking reads: a thread of its own has nobody to wait for. */
function checkBlocking(
  { path, container }: Pick<StructureTask, 'path' | 'container'>,
  onProgress: (checkedBytes: number) => void,
  end: TextEnd,
): void {
  const fd = openSync(path, 'r');
  try {
    if (container === 'bz2')
      checkBzip2({ read: (target) => readSync(fd, target, 0, target.length, null) }, onProgress, end);
    else
      checkSevenZip({
        sizeBytes: fstatSync(fd).size,
        readAt: (target, position) => readAt(fd, target, position),
      });
  } finally {
    closeSync(fd);
  }
}

async function serve(): Promise<void> {
  const port = parentPort;
  if (port === null) return;
  const say = (message: StructureMessage): void => port.postMessage(message);
  let toldBytes = 0;
  try {
    await check(workerData as StructureTask, (checkedBytes) => {
      if (checkedBytes - toldBytes < TELL_EVERY_BYTES) return;
      toldBytes = checkedBytes;
      say({ kind: 'progress', checkedBytes });
    });
    say({ kind: 'sound' });
  } catch (error) {
    if (error instanceof BrokenStructure) {
      say({ kind: 'broken', reason: error.message, where: error.where ?? null });
      return;
    }
    const { code, message } = error as NodeJS.ErrnoException;
    say({ kind: 'failed', code: code ?? 'unknown', message });
  }
}

void serve();
