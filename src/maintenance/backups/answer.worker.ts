import { getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { Reply, Results, Task } from './protocol.ts';

/** Often enough for a moving bar. */
const TELL_EVERY_BYTES = 4 * 2 ** 20;

/** Below the threads that do the work of the day; on Linux 0 names the calling thread, elsewhere it would be the process. */
const NICE = 5;

/** Tells how far a task is. */
export type Tell = (doneBytes: number, totalBytes: number) => void;

type Work<K extends Task['kind']> = (
  task: Extract<Task, { kind: K }>,
  tell: Tell,
) => Promise<Results[K]> | Results[K];

/** Does the tasks this thread is given, one at a time, and answers each. */
export function answer<K extends Task['kind']>(works: { readonly [P in K]: Work<P> }): void {
  if (process.platform === 'linux') setPriority(0, Math.min(19, getPriority(0) + NICE));
  parentPort?.on(
    'message',
    (task: Extract<Task, { kind: K }>) => void doTask(works[task.kind] as Work<K>, task),
  );
}

async function doTask<K extends Task['kind']>(
  work: Work<K>,
  task: Extract<Task, { kind: K }>,
): Promise<void> {
  const say = (reply: Reply): void => parentPort?.postMessage(reply);
  let toldBytes = 0;
  const tell: Tell = (doneBytes, totalBytes) => {
    if (doneBytes - toldBytes < TELL_EVERY_BYTES && doneBytes < totalBytes) return;
    toldBytes = doneBytes;
    say({ kind: 'progress', doneBytes, totalBytes });
  };
  try {
    say({ kind: 'done', result: await work(task, tell) });
  } catch (error) {
    const { code = 'unknown', message = String(error) } = error as NodeJS.ErrnoException;
    say({ kind: 'failed', code, message });
  }
}
