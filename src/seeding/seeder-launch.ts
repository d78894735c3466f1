import { RetryableError } from '../lib/index.ts';
import {
  type Lack,
  NOT_LOADABLE,
  type SeederAnswers,
  type SeederMessage,
  type SeederRequest,
  type SeederSettings,
} from './protocol.ts';
import { openSeederPlace, type SeederPlace } from './seeder-place.ts';

/** One life of the embedded client, in a thread or in a process. */
export interface LaunchedSeeder {
  readonly kind: SeederPlace['kind'];
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
  /** @param why said as the cause of its end, unless it gives one itself */
  terminate(why?: string): Promise<void>;
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

/** Starts a thread or a process, as the settings want it. */
export function launchSeeder(deps: {
  settings: SeederSettings;
  onNews: (from: LaunchedSeeder, news: News) => void;
  onListening: (port: number) => void;
  /** It is over; `cause` in one sentence. */
  onEnded: (launched: LaunchedSeeder, cause: string) => void;
  /** The error of those who wait for an answer when it ends. */
  down: (message: string) => RetryableError;
}): LaunchedSeeder {
  const place = openSeederPlace(deps.settings);
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let port: number | null = null;
  let peerId: string | null = null;
  let cause: string | null = null;
  const listens = Promise.withResolvers<void>();
  listens.promise.catch(() => {});

  const launched: LaunchedSeeder = {
    kind: place.kind,
    ask: (request) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        pending.set(id, { resolve, reject });
        place.post({ ...request, id } as unknown as SeederRequest);
      }),
    get port() {
      return port;
    },
    get peerId() {
      return peerId;
    },
    listening: listens.promise,
    terminate(why) {
      cause ??= why ?? null;
      return place.terminate();
    },
  };

  place.onMessage((message: SeederMessage) => {
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
        deps.onNews(launched, message);
        void place.terminate();
        return;
      default:
        deps.onNews(launched, message);
    }
  });
  place.onError((error) => {
    cause = error.message;
  });
  place.onExit((lastWords) => {
    const why = cause ?? lastWords ?? 'it ended by itself';
    const error = deps.down(`the seeding ${place.kind} ended: ${why}`);
    for (const waiting of pending.values()) waiting.reject(error);
    pending.clear();
    listens.reject(error);
    deps.onEnded(launched, why);
  });
  return launched;
}

/** What a refusal says of a file. */
export function refusalOf(error: unknown): { code: string; path: string | null } {
  if (!(error instanceof RetryableError)) return { code: '', path: null };
  const path = error.subject.path;
  return { code: error.code, path: typeof path === 'string' ? path : null };
}

/** What the operator must know when the embedded client could not listen; null for other errors. */
export function portTrouble({ port, host }: SeederSettings, code: string | null): string | null {
  const where = `port ${port}${host === null ? '' : ` on ${host}`}`;
  if (code === 'EADDRINUSE')
    return `Nothing is seeded: ${where} is taken by another program; stop that program, or set seeding.port to a free port (WikiSeed goes on trying).`;
  if (code === 'EACCES')
    return `Nothing is seeded: this user may not listen on ${where}; set seeding.port to a port above 1023 (WikiSeed goes on trying).`;
  return null;
}

/** What the operator must know of a way to peers that is closed, while everything else goes on. */
export function lackTrouble({ port, host }: SeederSettings, { what, code, message }: Lack): string {
  if (code === NOT_LOADABLE) {
    const [name, key] = what === 'utp' ? ['uTP', 'seeding.utp'] : ['WebRTC', 'seeding.webrtc'];
    return `There is no ${name}: its native library cannot be loaded here (${message}); set ${key} to false, or run WikiSeed where that library exists (everything else goes on).`;
  }
  const where = `UDP port ${port}${host === null ? '' : ` on ${host}`}`;
  const why = code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be had (${message})`;
  const effect = what === 'dht' ? 'Peers without a tracker do not find us' : 'There is no uTP';
  return `${effect}: ${where} ${why}; stop that program or set seeding.port to a free port, and start WikiSeed again (everything else goes on).`;
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
