import { Worker } from 'node:worker_threads';
import { RetryableError, threadScript } from '../lib/index.ts';
import type { SeederAnswers, SeederMessage, SeederRequest, SeederSettings } from './protocol.ts';

/** One life of the seeding thread. */
export interface SeederThread {
  /**
   * Asks it something.
   * @throws RetryableError with the code of a refusal, and `path` in its subject; what `down` makes when it ends before it answers
   */
  ask<K extends SeederRequest['kind']>(request: Question<K>): Promise<SeederAnswers[K]>;
  /** null while it does not listen. */
  readonly port: number | null;
  readonly peerId: string | null;
  /** Resolves when it listens, rejects when it ended before. */
  readonly listening: Promise<void>;
  terminate(): Promise<void>;
}

/** A question without its number. */
export type Question<K extends SeederRequest['kind']> =
  Extract<SeederRequest, { kind: K }> extends infer R ? Omit<R, 'id'> : never;

/** What it says unasked. */
export type News = Exclude<SeederMessage, { kind: 'answer' | 'refusal' | 'listening' }>;

interface Pending {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** Starts a thread. */
export function launchSeederThread(deps: {
  settings: SeederSettings;
  onNews: (from: SeederThread, news: News) => void;
  onListening: (port: number) => void;
  /** It is over; `cause` in one sentence. */
  onEnded: (thread: SeederThread, cause: string) => void;
  /** The error of those who wait for an answer when it ends. */
  down: (message: string) => RetryableError;
}): SeederThread {
  const worker = new Worker(threadScript(import.meta.url, 'seeder'), { workerData: deps.settings });
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let port: number | null = null;
  let peerId: string | null = null;
  let cause = 'it ended by itself';
  const listens = Promise.withResolvers<void>();
  listens.promise.catch(() => {});

  const thread: SeederThread = {
    ask: (request) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        pending.set(id, { resolve, reject });
        worker.postMessage({ ...request, id });
      }),
    get port() {
      return port;
    },
    get peerId() {
      return peerId;
    },
    listening: listens.promise,
    terminate: async () => void (await worker.terminate()),
  };

  worker.on('message', (message: SeederMessage) => {
    switch (message.kind) {
      case 'listening':
        port = message.port;
        peerId = message.peerId;
        deps.onListening(message.port);
        listens.resolve();
        return;
      case 'answer':
      case 'refusal': {
        const waiting = pending.get(message.id);
        pending.delete(message.id);
        if (message.kind === 'answer') waiting?.resolve(message.value as never);
        else waiting?.reject(refusal(message));
        return;
      }
      case 'fatal':
        cause = message.message;
        deps.onNews(thread, message);
        void worker.terminate();
        return;
      default:
        deps.onNews(thread, message);
    }
  });
  worker.on('error', (error) => {
    cause = error instanceof Error ? error.message : String(error);
  });
  worker.on('exit', () => {
    const error = deps.down(`the seeding thread ended: ${cause}`);
    for (const waiting of pending.values()) waiting.reject(error);
    pending.clear();
    listens.reject(error);
    deps.onEnded(thread, cause);
  });
  return thread;
}

/** What a refusal says of a file. */
export function refusalOf(error: unknown): { code: string; path: string | null } {
  if (!(error instanceof RetryableError)) return { code: '', path: null };
  const path = error.subject.path;
  return { code: error.code, path: typeof path === 'string' ? path : null };
}

/** What the operator must know when the thread could not listen; null for other errors. */
export function portTrouble({ port, host }: SeederSettings, code: string | null): string | null {
  const where = `port ${port}${host === null ? '' : ` on ${host}`}`;
  if (code === 'EADDRINUSE')
    return `Nothing is seeded: ${where} is taken by another program; stop that program, or set seeding.port to a free port (WikiSeed goes on trying).`;
  if (code === 'EACCES')
    return `Nothing is seeded: this user may not listen on ${where}; set seeding.port to a port above 1023 (WikiSeed goes on trying).`;
  return null;
}

/** What the operator must know when the distributed hash table has no port. */
export function dhtTrouble(
  { port, host }: SeederSettings,
  reason: { code: string | null; message: string },
): string {
  const where = `UDP port ${port}${host === null ? '' : ` on ${host}`}`;
  const why =
    reason.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be had (${reason.message})`;
  return `Peers without a tracker do not find us: ${where} ${why}; stop that program or set seeding.port to a free port, and start WikiSeed again (everything else goes on).`;
}

function refusal(message: { code: string; message: string; path: string | null }): Error {
  return new RetryableError(message.code.toLowerCase(), message.message, {
    subject: message.path === null ? {} : { path: message.path },
    hint: hintOf(message.code),
  });
}

function hintOf(code: string): string | undefined {
  if (code === 'seed_folder_missing') return FOLDER_HINT;
  return code.startsWith('seed_file') ? FILE_HINT : undefined;
}

/** What an operator can do about a disk that is away. */
export const FOLDER_HINT =
  'Mount the disk, or put the folder back: what lies there is seeded again by itself within some minutes.';

/** What an operator can do about a file that is not served. */
export const FILE_HINT =
  'The file was moved, changed or is on a disk that is not mounted; a changed one is read again and repaired, and once it is as it was, it is seeded again by itself.';
