import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import type { CareAnswer, CareOrder, CareThreadFacts } from './care.worker.ts';
import type { StepNote } from './pace.ts';
import { careError } from './sqlite-trouble.ts';
import type { CareTask, CareTasks } from './tasks.ts';

/** A thread that takes care of one database. It is started by the first call and again after it died. */
export interface CareThread {
  /**
   * Runs one task; calls do not overlap, whoever has several asks one after the other.
   * @throws Interrupted when the signal aborts; RetryableError `care_thread_ended` when the thread died;
   *   HaltPipelineError `disk_full`, `disk_error`, `database_corrupt`; RetryableError `database_busy`
   */
  call<K extends CareTask>(
    task: K,
    input: CareTasks[K]['input'],
    options?: { signal?: AbortSignal; onStep?: (note: StepNote) => void },
  ): Promise<CareTasks[K]['output']>;
  /** Ends the thread; resolves when it is gone. A read that takes long ends first: SQLite cannot be stopped inside it. */
  close(): Promise<void>;
}

/** What a care thread is made from. */
export interface CareThreadDeps {
  databasePath: string;
  clock: Clock;
  /** Starts the thread; a test keeps it in hand to kill it. */
  spawn?: (facts: CareThreadFacts) => Worker;
}

/** Tasks that are one call of SQLite, which cannot be stopped inside it. */
const UNSTOPPABLE: ReadonlySet<CareTask> = new Set(['integrity', 'statistics', 'checkpoint', 'look']);

/** Starts the real thread. */
export function spawnCareWorker(facts: CareThreadFacts): Worker {
  return new Worker(threadScript(import.meta.url, 'care'), { workerData: facts });
}

/** See `CareThread`. */
export function createCareThread(deps: CareThreadDeps): CareThread {
  const spawn = deps.spawn ?? spawnCareWorker;
  let worker: Worker | null = null;
  let lastId = 0;
  let reject: ((error: Error) => void) | null = null;
  let onAnswer: ((answer: CareAnswer) => void) | null = null;

  function thread(): Worker {
    if (worker !== null) return worker;
    const started = spawn({ databasePath: deps.databasePath });
    const ended = (cause?: Error): void => {
      if (worker === started) worker = null;
      const failure = cause as (Error & { code?: string }) | undefined;
      // The file cannot be opened: that is SQLite's own word and means what it says.
      reject?.(
        failure?.code?.startsWith('SQLITE_')
          ? careError({ code: failure.code, message: failure.message })
          : new RetryableError('care_thread_ended', 'the thread that takes care of the database ended', {
              cause,
            }),
      );
    };
    started.on('message', (answer: CareAnswer) => onAnswer?.(answer));
    started.on('error', (error: Error) => ended(error));
    started.on('exit', () => ended());
    // What waits for it has its own reference: an idle thread keeps no process alive.
    started.unref();
    worker = started;
    return started;
  }

  return {
    async call(task, input, options = {}) {
      const { signal } = options;
      if (signal?.aborted) throw new Interrupted();
      if (reject !== null) throw new Error('a care thread does one task at a time');
      lastId += 1;
      const id = lastId;
      let onAbort = (): void => {};
      try {
        return await new Promise((resolve, fail) => {
          reject = fail;
          const port = thread();
          port.ref();
          onAbort = () => {
            port.postMessage({ id, stop: true } satisfies CareOrder);
            // One long read hears nothing; whoever waits for it need not wait.
            if (UNSTOPPABLE.has(task)) fail(new Interrupted());
          };
          signal?.addEventListener('abort', onAbort, { once: true });
          onAnswer = (answer) => {
            if (answer.id !== id) return;
            if ('step' in answer) options.onStep?.(answer.step);
            else if ('failure' in answer) fail(careError(answer.failure));
            else resolve(answer.result as CareTasks[typeof task]['output']);
          };
          port.postMessage({ id, task, input, now: deps.clock.now() } satisfies CareOrder);
        });
      } finally {
        signal?.removeEventListener('abort', onAbort);
        reject = null;
        onAnswer = null;
        (worker as Worker | null)?.unref();
      }
    },
    async close() {
      const last = worker;
      worker = null;
      await last?.terminate();
    },
  };
}
