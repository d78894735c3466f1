import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import type { Log } from '../../ports/index.ts';
import type { HashLibrary, HashReply, HashRequest, HashRole, HashState, RoleState } from './protocol.ts';

/** All digests of one file, from one pass over its bytes. */
export interface FileDigests {
  md5: string;
  sha1: string;
  sha256: string;
  /** SHA-1 of each piece, 20 bytes each; empty for an empty file. */
  pieceSha1s: Buffer;
}

/** Hashes one file at a time in threads that read it behind its writer. */
export interface HashLane {
  /** Forgets everything and starts a file; `from` is continued where it fits. */
  begin(file: { path: string; pieceLengthBytes: number; library: HashLibrary; from: HashState | null }): void;
  /** The file is complete from 0 up to there; never less than before. */
  upTo(bytes: number): void;
  /** Bytes that every thread has done. */
  hashedBytes(): number;
  /** Resolves when the threads are at most so many bytes behind what `upTo` said. @throws Error with Node's `code` when the file cannot be read */
  within(lagBytes: number): Promise<void>;
  /** What a later `begin` may go on from; null when nothing can be saved. */
  state(): HashState | null;
  /**
   * Digests of everything up to the last `upTo`.
   * @throws Interrupted, RetryableError `hash_worker`, or an Error with Node's `code` when the file cannot be read
   */
  finish(signal: AbortSignal): Promise<FileDigests>;
  /** Lets go of the file. */
  drop(): void;
}

/** A lane with what its owner needs. */
export interface OwnedLane extends HashLane {
  isUsable(): boolean;
  setBusy(isBusy: boolean): void;
  end(): Promise<void>;
}

const ROLES: readonly HashRole[] = ['md5', 'sha'];

interface Thread {
  worker: Worker;
  bytes: number;
  saved: { bytes: number; states: string[]; pieces: Buffer[] } | null;
  result: { digests: string[]; pieceSha1s: Uint8Array } | null;
}

/** Starts the two threads of a lane. */
export function startLane(log: Log): OwnedLane {
  let file = 0;
  let endBytes = 0;
  /** A thread is gone: the lane is of no use any more. */
  let broken: Error | null = null;
  /** The file of the moment cannot be read. */
  let failure: Error | null = null;
  let waiting: { isMet(): boolean; resolve(): void; reject(error: Error): void }[] = [];
  const threads = {} as Record<HashRole, Thread>;

  const settle = (): void => {
    const error = broken ?? failure;
    const [over, left] = [[] as typeof waiting, [] as typeof waiting];
    for (const one of waiting) (error !== null || one.isMet() ? over : left).push(one);
    waiting = left;
    for (const one of over) error === null ? one.resolve() : one.reject(error);
  };
  const when = (isMet: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting.push({ isMet, resolve, reject });
      settle();
    });
  const post = (request: HashRequest): void => {
    for (const role of ROLES) threads[role].worker.postMessage(request);
  };
  const hear = (thread: Thread, reply: HashReply): void => {
    if (reply.file !== file) return;
    if (reply.kind === 'at') thread.bytes = reply.bytes;
    else if (reply.kind === 'from_zero') {
      thread.bytes = 0;
      thread.saved = null;
    } else if (reply.kind === 'state') {
      const pieces = [...(thread.saved?.pieces ?? []), Buffer.from(reply.newPieceSha1s)];
      thread.saved = { bytes: reply.bytes, states: reply.states, pieces };
    } else if (reply.kind === 'digests') {
      thread.bytes = endBytes;
      thread.result = reply;
    } else failure = Object.assign(new Error(reply.message), { code: reply.code });
    settle();
  };
  for (const role of ROLES) {
    const worker = new Worker(threadScript(import.meta.url, 'hash'), {
      workerData: role,
      execArgv: [],
      name: `hash-${role}`,
    });
    const thread: Thread = { worker, bytes: 0, saved: null, result: null };
    threads[role] = thread;
    worker
      .on('message', (reply: HashReply) => hear(thread, reply))
      .on('error', (cause) => {
        log.error({ room: 'download', err: cause }, 'a hashing thread failed');
        broken ??= new RetryableError('hash_worker', 'a hashing thread failed', { cause });
        settle();
      })
      .on('exit', () => {
        broken ??= new Interrupted();
        settle();
      });
  }
  const hashedBytes = (): number => Math.min(...ROLES.map((role) => threads[role].bytes));

  return {
    begin({ path, pieceLengthBytes, library, from }) {
      file += 1;
      endBytes = 0;
      failure = null;
      for (const role of ROLES) {
        const thread = threads[role];
        const saved = library === 'wasm' ? (from?.[role] ?? null) : null;
        thread.bytes = saved?.bytes ?? 0;
        thread.saved = saved && { ...saved, pieces: [Buffer.from(saved.pieceSha1s, 'base64')] };
        thread.result = null;
        thread.worker.postMessage({ kind: 'begin', file, path, pieceLengthBytes, library, from: saved });
      }
    },
    upTo(bytes) {
      if (bytes <= endBytes) return;
      endBytes = bytes;
      post({ kind: 'upTo', file, bytes });
    },
    hashedBytes,
    within: (lagBytes) => when(() => endBytes - hashedBytes() <= lagBytes),
    state() {
      const saved = ROLES.map((role) => threads[role].saved);
      if (saved.every((one) => one === null)) return null;
      const [md5, sha] = saved.map((one): RoleState | null =>
        one === null
          ? null
          : {
              bytes: one.bytes,
              states: one.states,
              pieceSha1s: Buffer.concat(one.pieces).toString('base64'),
            },
      );
      return { md5: md5 ?? null, sha: sha ?? null };
    },
    async finish(signal) {
      if (signal.aborted) throw new Interrupted();
      post({ kind: 'finish', file });
      const over = when(() => ROLES.every((role) => threads[role].result !== null) || signal.aborted);
      signal.addEventListener('abort', settle, { once: true });
      await over.finally(() => signal.removeEventListener('abort', settle));
      const [md5, sha] = [threads.md5.result, threads.sha.result];
      if (md5 === null || sha === null) throw new Interrupted();
      return {
        md5: md5.digests[0]!,
        sha1: sha.digests[0]!,
        sha256: sha.digests[1]!,
        pieceSha1s: Buffer.from(sha.pieceSha1s),
      };
    },
    drop() {
      post({ kind: 'drop', file });
      file += 1;
    },
    isUsable: () => broken === null,
    // A thread between files must not keep the process alive; one at work must.
    setBusy: (isBusy) => {
      for (const role of ROLES) isBusy ? threads[role].worker.ref() : threads[role].worker.unref();
    },
    async end() {
      await Promise.all(ROLES.map((role) => threads[role].worker.terminate()));
    },
  };
}
