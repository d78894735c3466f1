import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { BrokenStructure } from '../../lib/containers/broken-structure.ts';
import { readBzip2 } from '../../lib/containers/bzip2.ts';
import { readGzip } from '../../lib/containers/gzip.ts';
import { unpackSevenZip } from '../../lib/containers/seven-zip.ts';
import { checkSevenZip } from '../../lib/containers/seven-zip-frame.ts';
import type { StructureMessage, StructureTask } from './protocol.ts';
import { assertEnding, createTextEnd, type TextEnd } from './text-end.ts';

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
    await readGzip(createReadStream(path, { highWaterMark: READ_BYTES }), onProgress, end);
  else await checkBlocking({ path, container }, onProgress, end);
  if (ending !== null) assertEnding(end, ending);
}

/** Blocking reads: a thread of its own has nobody to wait for. */
async function checkBlocking(
  { path, container }: Pick<StructureTask, 'path' | 'container'>,
  onProgress: (checkedBytes: number) => void,
  end: TextEnd,
): Promise<void> {
  const fd = openSync(path, 'r');
  const readAt = (target: Uint8Array, position: number | null): number =>
    readSync(fd, target, 0, target.length, position);
  try {
    if (container === 'bz2') {
      readBzip2({ read: (target) => readAt(target, null) }, onProgress, end);
      return;
    }
    const archive = { sizeBytes: fstatSync(fd).size, readAt };
    checkSevenZip(archive);
    await unpackSevenZip(archive, onProgress, end);
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
