import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { Reply, Results, Task } from './protocol.ts';

/** Often enough for a moving bar. */
const TELL_EVERY_BYTES = 4 * 2 ** 20;

/** Below the threads that do the work of the day; on Linux 0 names the calling thread, elsewhere it would be the process. */
const NICE = 5;

/** Waits for the one task this thread was started for, does it, and answers. */
export async function answer<K extends Task['kind']>(
  work: (
    task: Extract<Task, { kind: K }>,
    tell: (doneBytes: number, totalBytes: number) => void,
  ) => Promise<Results[K]> | Results[K],
): Promise<void> {
  const say = (reply: Reply): void => parentPort?.postMessage(reply);
  let toldBytes = 0;
  const tell = (doneBytes: number, totalBytes: number): void => {
    if (doneBytes - toldBytes < TELL_EVERY_BYTES && doneBytes < totalBytes) return;
    toldBytes = doneBytes;
    say({ kind: 'progress', doneBytes, totalBytes });
  };
  try {
    if (process.platform === 'linux') setPriority(0, Math.min(19, getPriority(0) + NICE));
    if (parentPort === null) throw new Error('this script runs in a thread');
    const [task] = (await once(parentPort, 'message')) as [Extract<Task, { kind: K }>];
    say({ kind: 'done', result: await work(task, tell) });
  } catch (error) {
    const { code = 'unknown', message = String(error) } = error as NodeJS.ErrnoException;
    say({ kind: 'failed', code, message });
  }
}
