import { Worker } from 'node:worker_threads';
import { Interrupted, minutes, seconds, threadScript } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type {
  SwarmAnswer,
  SwarmLimits,
  SwarmMessage,
  SwarmRequest,
  SwarmSettings,
  SwarmWish,
} from './swarm-protocol.ts';

/** Trackers answer within seconds; the DHT and a first handshake take longer. */
export const SWARM_LIMITS: SwarmLimits = {
  findPeersMs: seconds(60),
  afterTrackersMs: seconds(10),
  stallMs: seconds(30),
  pieceMs: minutes(30),
  idleMs: minutes(2),
};

/** Goodbyes to trackers that do not answer. */
const STOP_DEADLINE_MS = seconds(5);

/** Other seeders of our torrents, as those who lack bytes see them. The thread behind it lives only while it is asked. */
export interface Swarm {
  /**
   * Joins the swarm of a torrent, takes the pieces that cover some bytes of a file, and gives these bytes. A swarm that cannot be
   * asked has nothing, and the log says why. @throws Interrupted
   */
  take(wish: SwarmWish, signal: AbortSignal): Promise<SwarmAnswer>;
  /** Leaves every swarm, at most about 5 s later. Idempotent; a later `take` begins anew. */
  stop(): Promise<void>;
}

/** What asking swarms needs. */
export interface SwarmDeps {
  settings: SwarmSettings;
  clock: Clock;
  log: Log;
  /** Of our own seeder now; null = none runs. */
  ownPeerId: () => string | null;
}

interface Life {
  worker: Worker;
  pending: Map<number, (answer: SwarmAnswer) => void>;
  ended: Promise<void>;
}

const NOTHING: SwarmAnswer = { bytes: null, peers: 0 };

/** See `Swarm`. */
export function createSwarm({ settings, clock, log, ownPeerId }: SwarmDeps): Swarm {
  let life: Life | null = null;
  let nextId = 1;
  let cancelIdle = (): void => {};

  function launch(): Life {
    const worker = new Worker(threadScript(import.meta.url, 'swarm'), { workerData: settings });
    const pending: Life['pending'] = new Map();
    let cause: string | null = null;
    const ended = new Promise<void>((resolve) => {
      worker.on('exit', () => {
        if (cause !== null) log.error({ room: 'seeding', reason: cause }, 'the swarm thread ended');
        if (life === born) life = null;
        for (const settle of pending.values()) settle(NOTHING);
        resolve();
      });
    });
    const born: Life = { worker, pending, ended };
    worker.on('error', (error) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    worker.on('message', (message: SwarmMessage) => {
      if (message.kind === 'fatal') {
        cause = message.message;
        void worker.terminate();
      } else if (message.kind === 'peerRefused') {
        const { infoHash: infohash, address, reason } = message;
        log.warn({ room: 'seeding', infohash, address, reason }, 'a peer is not asked for pieces any more');
      } else {
        const settle = pending.get(message.id);
        if (message.kind === 'refusal')
          log.warn({ room: 'seeding', reason: message.message }, 'a swarm could not be asked for pieces');
        settle?.(message.kind === 'answer' ? message.answer : NOTHING);
      }
    });
    return born;
  }

  async function end(dying: Life): Promise<void> {
    if (life === dying) life = null;
    dying.worker.postMessage({ kind: 'stop' } satisfies SwarmRequest);
    const deadline = new AbortController();
    await Promise.race([dying.ended, clock.sleep(STOP_DEADLINE_MS, deadline.signal).catch(() => {})]);
    deadline.abort();
    await dying.worker.terminate();
  }

  return {
    async take(wish, signal) {
      if (signal.aborted) throw new Interrupted();
      cancelIdle();
      life ??= launch();
      const { worker, pending } = life;
      const id = nextId++;
      let onAbort = (): void => {};
      try {
        return await new Promise<SwarmAnswer>((resolve, reject) => {
          pending.set(id, resolve);
          onAbort = () => {
            worker.postMessage({ kind: 'cancel', id } satisfies SwarmRequest);
            reject(new Interrupted());
          };
          signal.addEventListener('abort', onAbort, { once: true });
          worker.postMessage({ kind: 'fetch', id, wish, ownPeerId: ownPeerId() } satisfies SwarmRequest);
        });
      } finally {
        signal.removeEventListener('abort', onAbort);
        pending.delete(id);
        const idle = life;
        if (idle !== null && idle.pending.size === 0) {
          cancelIdle();
          cancelIdle = clock.after(settings.limits.idleMs, () => void end(idle));
        }
      }
    },

    async stop() {
      cancelIdle();
      if (life !== null) await end(life);
    },
  };
}
