import { availableParallelism } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError } from '../lib/index.ts';

/** More threads than this only make a disk seek. */
const THREADS_MAX = 8;

/**
 * Gives tasks to threads that live for this call only; each thread has one task at a time.
 * @param options.script the thread; it answers every task with one or more messages
 * @param options.tasks all of them, or what gives a thread, by its number from 0, its next one; null: there is none for it
 * @param options.onMessage says whether the task is done; what it throws ends the call
 * @throws Interrupted when the signal aborts, RetryableError `hash_thread_ended`
 */
export async function runInThreads<Task, Message>(options: {
  script: URL;
  workerData?: unknown;
  tasks: readonly Task[] | ((thread: number) => Promise<Task | null>);
  threads?: number;
  signal: AbortSignal;
  onMessage: (message: Message) => 'more' | 'done';
}): Promise<void> {
  const { signal } = options;
  if (signal.aborted) throw new Interrupted();
  const { tasks } = options;
  const waiting = typeof tasks === 'function' ? [] : [...tasks];
  const take = typeof tasks === 'function' ? tasks : async () => waiting.shift() ?? null;
  const wanted = typeof tasks === 'function' ? THREADS_MAX : waiting.length;
  const threads = Math.min(options.threads ?? availableParallelism(), THREADS_MAX, wanted);
  const workers: Worker[] = [];
  let onAbort = (): void => {};
  let onFailure: (error: unknown) => void = () => {};
  try {
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Interrupted());
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const finished: Promise<void>[] = [];
    const failed = new Promise<never>((_, reject) => {
      onFailure = reject;
    });
    // Whoever is told of it is the race below; a thread may fail before the last one runs.
    for (const promise of [aborted, failed]) promise.catch(() => {});
    for (let started = 0; started < threads && !signal.aborted; started += 1) {
      // Starting one takes some 20 ms of this thread.
      if (started > 0) await nextTurn();
      const worker = new Worker(options.script, { workerData: options.workerData });
      workers.push(worker);
      const drained = drain(worker, () => take(started), options.onMessage);
      drained.catch(onFailure);
      finished.push(drained);
    }
    await Promise.race([Promise.all(finished), aborted, failed]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Feeds one thread until there is nothing more to do. */
function drain<Task, Message>(
  worker: Worker,
  take: () => Promise<Task | null>,
  onMessage: (message: Message) => 'more' | 'done',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (): void => {
      take().then((task) => {
        if (task === null) resolve();
        else worker.postMessage(task);
      }, reject);
    };
    worker.on('message', (message: Message) => {
      try {
        if (onMessage(message) === 'done') next();
      } catch (error) {
        reject(error);
      }
    });
    worker.on('error', reject);
    worker.on('exit', () =>
      reject(new RetryableError('hash_thread_ended', 'a hashing thread ended before its work')),
    );
    next();
  });
}
