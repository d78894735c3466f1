import { Worker } from 'node:worker_threads';
import { containerOf } from '../../catalog/index.ts';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import type { BrokenPlace, StructureMessage, StructureTask } from './protocol.ts';
import { endingOf } from './text-end.ts';

/** What a look at the container of a file says; broken: whatever is not proved to be whole. */
export type StructureVerdict = { isSound: true } | { isSound: false; reason: string; where: BrokenPlace };

/** One file to check. */
export interface StructureCheck {
  path: string;
  /** Its real name: the last ending says how it is packed. */
  name: string;
  signal: AbortSignal;
  /** Called now and then with the bytes read so far. */
  onProgress?(checkedBytes: number): void;
}

/**
 * Reads the container of a file in a thread of its own, in bounded memory: gzip, bzip2 and 7z from the first byte to the last
 * with all their checksums, and of XML whether its last element is closed. A file that is none of these has nothing to check,
 * so nothing of it is proved.
 *
 * Takes as long as unpacking: a file of 25 GB more than an hour.
 * @throws Interrupted when the signal aborts, RetryableError when the file cannot be read
 */
export async function checkStructure(check: StructureCheck): Promise<StructureVerdict> {
  if (check.signal.aborted) throw new Interrupted();
  const container = containerOf(check.name);
  if (container === null)
    return { isSound: false, reason: 'it is not packed in a way that could be checked', where: null };
  const worker = new Worker(threadScript(import.meta.url, 'structure'), {
    workerData: { path: check.path, container, ending: endingOf(check.name) } satisfies StructureTask,
    execArgv: [],
    name: 'structure',
  });
  let onAbort = (): void => {};
  try {
    return await new Promise<StructureVerdict>((resolve, reject) => {
      onAbort = () => reject(new Interrupted());
      check.signal.addEventListener('abort', onAbort, { once: true });
      worker
        .on('message', (message: StructureMessage) => {
          if (message.kind === 'progress') check.onProgress?.(message.checkedBytes);
          else if (message.kind === 'sound') resolve({ isSound: true });
          else if (message.kind === 'broken')
            resolve({ isSound: false, reason: message.reason, where: message.where });
          else
            reject(
              new RetryableError(
                'structure_unreadable',
                `${check.path} could not be read: ${message.message}`,
                message.code === 'unknown'
                  ? {}
                  : { hint: 'Look for disk errors in the log of the system (dmesg).' },
              ),
            );
        })
        .on('error', (cause) =>
          reject(new RetryableError('structure_thread', 'the checking thread failed', { cause })),
        )
        .on('exit', () =>
          reject(new RetryableError('structure_thread', 'the checking thread ended before its work')),
        );
    });
  } finally {
    check.signal.removeEventListener('abort', onAbort);
    await worker.terminate();
  }
}
