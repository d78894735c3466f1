import { Worker } from 'node:worker_threads';
import { HaltPipelineError, Interrupted, minutes, RetryableError } from '../../lib/index.ts';
import type { Reply, Results, Task } from './protocol.ts';

/** Scripts, one for each task: a thread loads no more than it needs, since its start is part of what a backup takes. */
const SCRIPTS: Readonly<Record<Task['kind'], URL>> = {
  copy: new URL('./copy.worker.ts', import.meta.url),
  check: new URL('./check.worker.ts', import.meta.url),
  pack: new URL('./pack.worker.ts', import.meta.url),
  join: new URL('./join.worker.ts', import.meta.url),
  unpack: new URL('./unpack.worker.ts', import.meta.url),
  migrate: new URL('./migrate.worker.ts', import.meta.url),
};

/** What a caller may want beside the result. */
export interface ThreadOptions {
  signal: AbortSignal;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** A task that could not be done; `code` is Node's or SQLite's word. Unless it tells of damage, the trouble may pass. */
export class ThreadError extends RetryableError {}

/**
 * Does one task in a thread of its own. When it settles the thread has ended, so its files may be removed.
 * @throws Interrupted when `signal` aborts; HaltPipelineError `disk_full`; else ThreadError
 */
export function runInThread<T extends Task>(task: T, options: ThreadOptions): Promise<Results[T['kind']]> {
  return runWhenReady<T>(task.kind, Promise.resolve(task), options);
}

/**
 * The same for a task that somebody else prepares: the thread starts meanwhile, so that its start delays nobody.
 * @throws also what `task` rejects with
 */
export async function runWhenReady<T extends Task>(
  kind: T['kind'],
  task: Promise<T>,
  options: ThreadOptions,
): Promise<Results[T['kind']]> {
  const { signal } = options;
  // Whoever ends this thread early does not look at the task any more.
  task.catch(() => {});
  if (signal.aborted) throw new Interrupted();
  const worker = new Worker(SCRIPTS[kind], { name: `backup-${kind}` });
  let onAbort = (): void => {};
  try {
    return await new Promise((resolve, reject) => {
      onAbort = () => reject(new Interrupted());
      signal.addEventListener('abort', onAbort, { once: true });
      worker.on('message', (reply: Reply) => {
        if (reply.kind === 'progress') options.onProgress?.(reply.doneBytes, reply.totalBytes);
        else if (reply.kind === 'done') resolve(reply.result as Results[T['kind']]);
        else reject(isDiskFull(reply.code) ? diskFull(reply.message) : toError(reply));
      });
      worker.on('error', reject);
      worker.on('exit', () => reject(new RetryableError('backup_thread', 'a thread ended before its work')));
      task.then((ready) => worker.postMessage(ready), reject);
    });
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
    (/^(SQLITE_(CORRUPT|NOTADB)|Z_)/.test(error.code) || error.code === 'ERR_ZLIB_INITIALIZATION_FAILED')
  );
}
