import { Worker } from 'node:worker_threads';
import { HaltPipelineError, Interrupted, minutes, RetryableError, threadScript } from '../../lib/index.ts';
import { type Reply, type Results, type Task, UNPACKS_TO_TOO_MUCH } from './protocol.ts';

/** What a thread can do. Each loads no more than it needs: its start is part of what a backup takes. */
type Trade = 'database' | 'pack' | 'unpack' | 'migrate';

const SCRIPTS: Readonly<Record<Trade, URL>> = {
  database: threadScript(import.meta.url, 'database'),
  pack: threadScript(import.meta.url, 'pack'),
  unpack: threadScript(import.meta.url, 'unpack'),
  migrate: threadScript(import.meta.url, 'migrate'),
};

const TRADES: Readonly<Record<Task['kind'], Trade>> = {
  copy: 'database',
  check: 'database',
  pack: 'pack',
  join: 'pack',
  unpack: 'unpack',
  migrate: 'migrate',
};

/** What a caller may want beside the result. */
export interface ThreadOptions {
  signal: AbortSignal;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** A task that could not be done; `code` is Node's or SQLite's word. Unless it tells of damage, the trouble may pass. */
export class ThreadError extends RetryableError {}

/** A thread that is there, for one task after the other. */
export interface Thread {
  /** @throws HaltPipelineError `disk_full`; else ThreadError */
  run<T extends Task>(task: T, onProgress?: ThreadOptions['onProgress']): Promise<Results[T['kind']]>;
}

/**
 * Does one task in a thread of its own. When it settles the thread has ended, so its files may be removed.
 * @throws Interrupted when `signal` aborts; HaltPipelineError `disk_full`; else ThreadError
 */
export function runInThread<T extends Task>(task: T, options: ThreadOptions): Promise<Results[T['kind']]> {
  return withThread(TRADES[task.kind], options.signal, (thread) => thread.run(task, options.onProgress));
}

/**
 * The same for several tasks, or for one that is not ready yet: the thread starts meanwhile.
 * @param use is given up when `signal` aborts, whatever it waits for
 */
export async function withThread<R>(
  trade: Trade,
  signal: AbortSignal,
  use: (thread: Thread) => Promise<R>,
): Promise<R> {
  if (signal.aborted) throw new Interrupted();
  const worker = new Worker(SCRIPTS[trade], { name: `backup-${trade}` });
  const ended = Promise.withResolvers<never>();
  const onAbort = (): void => ended.reject(new Interrupted());
  signal.addEventListener('abort', onAbort, { once: true });
  worker.on('error', ended.reject);
  worker.on('exit', () =>
    ended.reject(new RetryableError('backup_thread', 'a thread ended before its work')),
  );
  const run: Thread['run'] = <T extends Task>(task: T, onProgress?: ThreadOptions['onProgress']) =>
    new Promise<Results[T['kind']]>((resolve, reject) => {
      const onReply = (reply: Reply): void => {
        if (reply.kind === 'progress') {
          onProgress?.(reply.doneBytes, reply.totalBytes);
          return;
        }
        worker.off('message', onReply);
        if (reply.kind === 'done') resolve(reply.result as Results[T['kind']]);
        else reject(isDiskFull(reply.code) ? diskFull(reply.message) : toError(reply));
      };
      worker.on('message', onReply);
      worker.postMessage(task);
    });
  try {
    return await Promise.race([use({ run }), ended.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await worker.terminate();
  }
}

const toError = (reply: { code: string; message: string }): ThreadError =>
  new ThreadError(reply.code, reply.message);

/** Words of Node and SQLite for a disk that takes no more. */
export function isDiskFull(code: string): boolean {
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL';
}

/** The one error for a disk that cannot take a copy of the database, whether foreseen or met. */
export function diskFull(message: string): HaltPipelineError {
  return new HaltPipelineError('disk_full', message, {
    pauseMs: minutes(5),
    scope: 'disk',
    isNeverOwnFault: true,
    hint: 'Free some space on the disk that holds wikiseed.data_dir; scheduled backups go on by themselves, a command is to be given again.',
  });
}

/** True for what says that the bytes of a backup or a database are wrong, and not that this machine has trouble. */
export function isDamage(error: unknown): error is ThreadError {
  return (
    error instanceof ThreadError &&
    (/^(SQLITE_(CORRUPT|NOTADB)|Z_)/.test(error.code) ||
      error.code === 'ERR_ZLIB_INITIALIZATION_FAILED' ||
      error.code === UNPACKS_TO_TOO_MUCH)
  );
}
