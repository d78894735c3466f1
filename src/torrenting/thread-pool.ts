import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError } from '../lib/index.ts';

/** More threads than this only make a disk seek. */
const THREADS_MAX = 8;

/**
 * Gives tasks to threads that live for this call only; each thread has one task at a time.
 * @param options.script the thread; it answers every task with one or more messages
 * @param options.tasks all of them, or what gives the next one; null: there is none
 * @param options.onMessage says whether the task is done; what it throws ends the call
 * @throws Interrupted when the signal aborts, RetryableError `hash_thread_ended`
 */
export async function runInThreads<Task, Message>(options: {
  script: URL;
  workerData?: unknown;
  tasks: readonly Task[] | (() => Promise<Task | null>);
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
  try {
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Interrupted());
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const finished = Array.from({ length: threads }, () => {
      const worker = new Worker(options.script, { workerData: options.workerData });
      workers.push(worker);
      return drain(worker, take, options.onMessage);
    });
    await Promise.race([Promise.all(finished), aborted]);
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
