import { Worker } from 'node:worker_threads';
import { Interrupted, minutes, RetryableError, seconds } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type {
  RenewedFile,
  SeederAnswers,
  SeederMessage,
  SeederRequest,
  SeederSettings,
  SeedSpec,
  TorrentActivity,
} from './protocol.ts';

const BACKOFF_MIN_MS = seconds(1);
const BACKOFF_MAX_MS = seconds(60);
/** A thread that lived this long was healthy: the next crash starts again with the shortest wait. */
const HEALTHY_AFTER_MS = minutes(1);
/** A disk that was not mounted may come back. */
const RETRY_MISSING_MS = minutes(5);
const STOP_DEADLINE_MS = seconds(5);
const SNAPSHOT_DEADLINE_MS = seconds(2);
/** Said of a file of another size or time; what is missing altogether is another matter. */
const CHANGED = 'seed_file_changed';
/** A start of the program waits no longer than this; the rest goes on beside it. */
const START_DEADLINE_MS = seconds(10);
/** The same complaint of the same torrent is logged once in this time, with a count. */
const REPEAT_MS = minutes(60);

/** The seeding thread as the rest of the room sees it: always the same, however often the thread was replaced. */
export interface Seeder {
  /**
   * Starts the thread, and from then on keeps one running and every wanted torrent in it. Resolves when it listens and
   * has tried all torrents, when its first start failed (it goes on trying), or after 10 s (it goes on beside). Idempotent.
   */
  start(wanted: readonly SeedSpec[]): Promise<void>;
  /** Says goodbye to the swarm for at most 5 s, then ends the thread. Idempotent; safe before `start`. */
  stop(): Promise<void>;
  /**
   * Serves a torrent; resolves when it is ready and the port listens. Serving it twice is a no-op.
   * @throws RetryableError `seed_file_missing`, `seed_file_changed`, `seeding_port_taken`, `seeder_down`, …;
   * Interrupted
   */
  add(spec: SeedSpec, signal: AbortSignal): Promise<void>;
  /** Serves a torrent no more, at most after 5 s; one that is not served is no error. */
  remove(infoHash: string): Promise<void>;
  /** Serves a file of a served torrent again that was refused. Never fails. */
  renew(file: RenewedFile): Promise<void>;
  /** What is known now, or was last known if the thread is too busy to answer within 2 s. */
  snapshot(): Promise<TorrentActivity[]>;
  /** null while nothing listens. */
  port(): number | null;
  /** By which other peers know it; null while nothing listens. */
  peerId(): string | null;
  /** How often the thread had to be replaced. */
  restarts(): number;
}

interface Pending {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** One life of the thread. */
interface Life {
  worker: Worker;
  startedMs: number;
  pending: Map<number, Pending>;
  served: Set<string>;
  port: number | null;
  peerId: string | null;
  /** Resolves when it listens, rejects when it ended before. */
  listening: Promise<void>;
}

/** Creates the supervisor; no thread runs before `start`. */
export function createSeeder(deps: {
  settings: SeederSettings;
  clock: Clock;
  log: Log;
  /** A file is of another size or time than when its torrent was made or added. Called at each look. */
  onChanged?: (infoHash: string, path: string) => void;
}): Seeder {
  const { clock, log } = deps;
  const wanted = new Map<string, SeedSpec>();
  const complaints = new Map<string, { count: number; loggedMs: number }>();
  let life: Life | null = null;
  let isStopped = true;
  let backoffMs = BACKOFF_MIN_MS;
  let restarts = 0;
  let nextId = 1;
  let cancelTimer = (): void => {};
  let lastSnapshot: TorrentActivity[] = [];
  /** Why we cannot listen, in one sentence; null once we could. */
  let portProblem: string | null = null;

  function ask<K extends SeederRequest['kind']>(
    target: Life,
    request: Extract<SeederRequest, { kind: K }> extends infer R ? Omit<R, 'id'> : never,
  ): Promise<SeederAnswers[K]> {
    return new Promise((resolve, reject) => {
      const id = nextId++;
      target.pending.set(id, { resolve, reject });
      target.worker.postMessage({ ...request, id });
    });
  }

  function down(message: string): RetryableError {
    return portProblem === null
      ? new RetryableError('seeder_down', message)
      : new RetryableError('seeding_port_taken', portProblem);
  }

  function launch(): Life {
    const worker = new Worker(new URL('./seeder.worker.ts', import.meta.url), { workerData: deps.settings });
    let onListening = (): void => {};
    let onEnded = (_error: Error): void => {};
    const listening = new Promise<void>((resolve, reject) => {
      onListening = resolve;
      onEnded = reject;
    });
    listening.catch(() => {});
    const born: Life = {
      worker,
      startedMs: clock.monotonicMs(),
      pending: new Map(),
      served: new Set(),
      port: null,
      peerId: null,
      listening,
    };
    let cause = 'it ended by itself';
    worker.on('message', (message: SeederMessage) => {
      if (message.kind === 'listening') {
        born.port = message.port;
        born.peerId = message.peerId;
        portProblem = null;
        log.info({ room: 'seeding', port: message.port }, 'listening for peers');
        onListening();
      } else if (message.kind === 'fatal') {
        cause = message.message;
        const problem = portTrouble(deps.settings, message.code);
        // Told once: it is asked again every minute, and only the operator can change it.
        if (problem !== null && portProblem === null)
          log.error({ room: 'seeding', port: deps.settings.port, reason: cause }, problem);
        portProblem = problem;
        void worker.terminate();
      } else {
        hear(born, message);
      }
    });
    worker.on('error', (error) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    worker.on('exit', () => {
      const error = down(`the seeding thread ended: ${cause}`);
      for (const pending of born.pending.values()) pending.reject(error);
      onEnded(error);
      if (life === born) ended(born, cause);
    });
    return born;
  }

  function hear(from: Life, message: Exclude<SeederMessage, { kind: 'listening' | 'fatal' }>): void {
    switch (message.kind) {
      case 'answer':
      case 'refusal': {
        const pending = from.pending.get(message.id);
        from.pending.delete(message.id);
        if (message.kind === 'answer') pending?.resolve(message.value as never);
        else pending?.reject(refusal(message));
        return;
      }
      case 'warning':
        complain('warn', message.infoHash, message.message, 'a tracker or peer source does not answer');
        return;
      case 'fileRefused':
        if (message.code === CHANGED) deps.onChanged?.(message.infoHash, message.path);
        complain('error', message.infoHash, message.message, 'a file changed and is no longer served');
        return;
      case 'torrentLost':
        from.served.delete(message.infoHash);
        complain('error', message.infoHash, message.message, 'a torrent is no longer served');
        if (life === from) later(RETRY_MISSING_MS, () => serveMissing(from));
    }
  }

  function tellChanged({ infoHash }: SeedSpec, error: unknown): void {
    const { code, path } = refusalOf(error);
    if (code === CHANGED && path !== null) deps.onChanged?.(infoHash, path);
  }

  function complain(level: 'warn' | 'error', infohash: string, reason: string, text: string): void {
    const key = `${infohash} ${reason}`;
    const known = complaints.get(key) ?? { count: 0, loggedMs: Number.NEGATIVE_INFINITY };
    known.count += 1;
    complaints.set(key, known);
    if (clock.monotonicMs() - known.loggedMs < REPEAT_MS) return;
    log[level]({ room: 'seeding', infohash, reason, count: known.count }, text);
    known.loggedMs = clock.monotonicMs();
  }

  function ended(dead: Life, cause: string): void {
    life = null;
    if (isStopped) return;
    restarts += 1;
    if (clock.monotonicMs() - dead.startedMs >= HEALTHY_AFTER_MS) backoffMs = BACKOFF_MIN_MS;
    log[portProblem === null ? 'error' : 'debug'](
      { room: 'seeding', reason: cause, delayMs: backoffMs },
      'the seeding thread ended; starting another',
    );
    later(backoffMs, () => void begin());
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
  }

  /** One timer is enough: it restarts, or it looks again for what is missing. */
  function later(delayMs: number, action: () => void): void {
    cancelTimer();
    cancelTimer = clock.after(delayMs, () => {
      if (!isStopped) action();
    });
  }

  async function begin(): Promise<void> {
    const born = launch();
    life = born;
    try {
      await born.listening;
    } catch {
      // `ended` has logged it and starts another.
      return;
    }
    await serveMissing(born);
  }

  /** Adds what should be served and is not; one after the other, so that a start does not open everything at once. */
  async function serveMissing(target: Life): Promise<void> {
    let missing = 0;
    for (const spec of [...wanted.values()]) {
      if (life !== target || isStopped) return;
      if (target.served.has(spec.infoHash)) continue;
      try {
        await ask<'add'>(target, { kind: 'add', spec });
        target.served.add(spec.infoHash);
      } catch (error) {
        missing += 1;
        tellChanged(spec, error);
        const reason = error instanceof Error ? error.message : String(error);
        complain('error', spec.infoHash, reason, 'a torrent cannot be seeded');
      }
    }
    if (missing > 0 && life === target) later(RETRY_MISSING_MS, () => void serveMissing(target));
  }

  return {
    async start(specs) {
      for (const spec of specs) wanted.set(spec.infoHash, spec);
      if (!isStopped) return;
      isStopped = false;
      const deadline = new AbortController();
      const late = clock.sleep(START_DEADLINE_MS, deadline.signal).then(
        () => 'late',
        () => 'stopped',
      );
      if ((await Promise.race([begin(), late])) === 'late')
        log.warn({ room: 'seeding' }, 'the seeding thread is slow to start; going on without waiting for it');
      deadline.abort();
    },

    async stop() {
      isStopped = true;
      cancelTimer();
      const dying = life;
      life = null;
      if (dying === null) return;
      const deadline = new AbortController();
      await Promise.race([
        ask<'stop'>(dying, { kind: 'stop' }).catch(() => {}),
        clock.sleep(STOP_DEADLINE_MS, deadline.signal).catch(() => {}),
      ]);
      deadline.abort();
      await dying.worker.terminate();
    },

    async add(spec, signal) {
      const target = life;
      if (target === null) throw down('the seeding thread is not running');
      await orAbort(target.listening, signal);
      const added = ask<'add'>(target, { kind: 'add', spec });
      added.catch((error: unknown) => tellChanged(spec, error));
      await orAbort(added, signal);
      wanted.set(spec.infoHash, spec);
      target.served.add(spec.infoHash);
    },

    async remove(infoHash) {
      wanted.delete(infoHash);
      const target = life;
      if (target === null) return;
      target.served.delete(infoHash);
      const deadline = new AbortController();
      await Promise.race([
        ask<'remove'>(target, { kind: 'remove', infoHash }).catch(() => {}),
        clock.sleep(STOP_DEADLINE_MS, deadline.signal).catch(() => {}),
      ]);
      deadline.abort();
    },

    async renew(file) {
      const target = life;
      if (target?.served.has(file.infoHash))
        await ask<'renew'>(target, { kind: 'renew', file }).catch(() => {});
    },

    async snapshot() {
      const target = life;
      if (target?.port == null) return [];
      const deadline = new AbortController();
      const late = clock.sleep(SNAPSHOT_DEADLINE_MS, deadline.signal).then(
        () => lastSnapshot,
        () => lastSnapshot,
      );
      lastSnapshot = await Promise.race([
        ask<'snapshot'>(target, { kind: 'snapshot' }).catch(() => []),
        late,
      ]);
      deadline.abort();
      return lastSnapshot;
    },

    port: () => life?.port ?? null,
    peerId: () => life?.peerId ?? null,
    restarts: () => restarts,
  };
}

/** What a refusal says of a file. */
function refusalOf(error: unknown): { code: string; path: string | null } {
  if (!(error instanceof RetryableError)) return { code: '', path: null };
  const path = error.subject.path;
  return { code: error.code, path: typeof path === 'string' ? path : null };
}

/** What the operator must know when the thread could not listen; null for other errors. */
function portTrouble({ port, host }: SeederSettings, code: string | null): string | null {
  const where = `port ${port}${host === null ? '' : ` on ${host}`}`;
  if (code === 'EADDRINUSE')
    return `Nothing is seeded: ${where} is taken by another program; stop that program, or set seeding.port to a free port (WikiSeed goes on trying).`;
  if (code === 'EACCES')
    return `Nothing is seeded: this user may not listen on ${where}; set seeding.port to a port above 1023 (WikiSeed goes on trying).`;
  return null;
}

function refusal(message: { code: string; message: string; path: string | null }): Error {
  return new RetryableError(message.code.toLowerCase(), message.message, {
    subject: message.path === null ? {} : { path: message.path },
    hint: message.code.startsWith('seed_file')
      ? 'The file was moved, changed or is on a disk that is not mounted; a changed one is read again and repaired, and once it is as it was, it is seeded again by itself.'
      : undefined,
  });
}

/** The thread goes on; only the waiting ends. */
async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw new Interrupted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Interrupted());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
