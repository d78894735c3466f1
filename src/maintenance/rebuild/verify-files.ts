import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Interrupted, threadScript, WikiSeedError } from '../../lib/index.ts';
import { type CheckDeps, type HeldFile, heldFiles, LOST_CODES, setAside } from './check-files.ts';
import type { RebuildReport } from './report.ts';
import type { VerifyMessage, VerifyTask } from './verify.worker.ts';

/** How far the reading of all held files is. */
export interface VerifyProgress {
  doneBytes: number;
  totalBytes: number;
  doneFiles: number;
  totalFiles: number;
}

/** More threads than this only make a disk seek. */
const THREADS_MAX = 4;

/**
 * Reads every held file again, in threads of their own, and compares SHA-1 and MD5 with what is recorded. A file with other
 * bytes is moved aside and becomes pending.
 * @throws WikiSeedError `verify_read_failed` when a file cannot be opened or read for a reason that says nothing of its bytes
 */
export async function verifyFiles(
  deps: CheckDeps & { onProgress?: (progress: VerifyProgress) => void },
  report: RebuildReport,
): Promise<void> {
  const files = heldFiles(deps.db);
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const progress = { doneBytes: 0, totalBytes, doneFiles: 0, totalFiles: files.length };
  const bad: { file: HeldFile; reason: string }[] = [];
  await inThreads(
    files.map((file, index) => ({ index, path: deps.layout.absolute(file.localPath) })),
    deps.signal,
    (message) => {
      if (message.kind === 'progress') {
        progress.doneBytes += message.addedBytes;
        deps.onProgress?.({ ...progress });
        return 'more';
      }
      progress.doneFiles += 1;
      deps.onProgress?.({ ...progress });
      const file = files[message.index] as HeldFile;
      const reason = whyBad(file, message);
      if (reason !== null) bad.push({ file, reason });
      return 'done';
    },
  );
  for (const { file, reason } of bad) await setAside(deps, file, reason, report);
  report.filesVerified = files.length;
}

/** null = these are the recorded bytes. */
function whyBad(file: HeldFile, result: Exclude<VerifyMessage, { kind: 'progress' }>): string | null {
  if (result.kind === 'failed') {
    if (LOST_CODES.includes(result.code)) return `it cannot be read any more (${result.code})`;
    throw new WikiSeedError('verify_read_failed', `cannot read ${file.localPath}: ${result.message}`, {
      hint: 'Run this as the user WikiSeed runs as. No database was made.',
    });
  }
  if (result.sha1 !== file.sha1) return `its SHA-1 is ${result.sha1}, recorded is ${file.sha1}`;
  if (file.md5 !== null && result.md5 !== file.md5)
    return `its MD5 is ${result.md5}, recorded is ${file.md5}`;
  return null;
}

/** Threads live for this call only; each has one file at a time. */
async function inThreads(
  tasks: VerifyTask[],
  signal: AbortSignal,
  onMessage: (message: VerifyMessage) => 'more' | 'done',
): Promise<void> {
  const waiting = [...tasks];
  const workers: Worker[] = [];
  let onAbort = (): void => {};
  try {
    if (signal.aborted) throw new Interrupted();
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Interrupted());
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const count = Math.min(availableParallelism(), THREADS_MAX, waiting.length);
    const finished = Array.from({ length: count }, () => {
      const worker = new Worker(threadScript(import.meta.url, 'verify'), {
        execArgv: [],
        name: 'verify',
      });
      workers.push(worker);
      return new Promise<void>((resolve, reject) => {
        const next = (): void => {
          const task = waiting.shift();
          if (task === undefined) resolve();
          else worker.postMessage(task);
        };
        worker.on('message', (message: VerifyMessage) => {
          try {
            if (onMessage(message) === 'done') next();
          } catch (error) {
            reject(error);
          }
        });
        worker.on('error', reject);
        worker.on('exit', () =>
          reject(new WikiSeedError('verify_thread_ended', 'a hashing thread ended before its work')),
        );
        next();
      });
    });
    await Promise.race([Promise.all(finished), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
