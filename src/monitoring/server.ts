import { createAdaptorServer } from '@hono/node-server';
import type { Db } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { describeError, errorCode, WikiSeedError } from '../lib/index.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import { type Control, problemOfToken } from './control-api.ts';
import type { WikiJudge } from './coverage-queries.ts';
import { createLiveFeed, type LiveFeed } from './live-feed.ts';
import { createRoutes } from './routes.ts';
import type { StatusQueries } from './status-queries.ts';
import type { Halt, SeedingFact, StorageFacts } from './types.ts';
import type { Webseed } from './webseed-routes.ts';

/** What the room needs. */
export interface MonitoringDeps {
  db: Db;
  clock: Clock;
  disk: Disk;
  log: Log;
  bus: Bus;
  layout: Layout;
  queries: StatusQueries;
  /** May be slow: it is asked at most every 5 s. */
  storage: () => Promise<StorageFacts>;
  seeding?: () => Promise<SeedingFact[]>;
  /** What the queue holds in memory. */
  halts?: () => readonly Halt[];
  /** Which wikis are wanted; default: all that are not private. */
  judgeWiki?: WikiJudge;
  /** Lets operators with a token change the queue; without it everything only shows. */
  control?: Control;
  /** Serves the files of torrents below `/webseed/`; without it they are not served. */
  webseed?: Webseed;
  /** Port 0 = any free one. */
  config: { host: string; port: number };
  version: string;
}

/** The status page. */
export interface MonitoringRoom {
  /**
   * Listens; calling it again gives the same address.
   * @throws WikiSeedError `port_taken`, or `listen_failed` for any other refusal of the operating system
   */
  start(): Promise<{ url: string }>;
  /** Closes every connection at once; safe before `start` and twice. */
  stop(): Promise<void>;
}

/** Measuring our tree walks it: one walk for everybody who asks within this time. */
const STORAGE_FRESH_MS = 5000;

/** Builds the room; nothing listens before `start`. */
export function createMonitoring(deps: MonitoringDeps): MonitoringRoom {
  const { clock, bus, config } = deps;
  const log = deps.log.child({ room: 'monitoring' });
  let running: Promise<{ url: string; close: () => Promise<void> }> | null = null;

  async function listen(): Promise<{ url: string; close: () => Promise<void> }> {
    const feed: LiveFeed = createLiveFeed({ bus, clock });
    const app = createRoutes({
      ...deps,
      log,
      feed,
      storage: shareFor(clock, STORAGE_FRESH_MS, deps.storage),
      startedAt: clock.now(),
    });
    // Otherwise the adapter puts its own Request and Response in the place of Node's, for the whole process.
    const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false });
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(config.port, config.host, () => resolve());
      });
    } catch (error) {
      feed.close();
      throw cannotListen(error, config);
    }
    server.on('error', (error) => log.error({ err: error }, 'the status page server reported an error'));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : config.port;
    const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}/`;
    log.info({ url }, 'status page is open');
    if (deps.control !== undefined) announce(deps.control, url);
    return {
      url,
      close: () =>
        new Promise((resolve) => {
          feed.close();
          server.close(() => resolve());
          if ('closeAllConnections' in server) server.closeAllConnections();
        }),
    };
  }

  /** Without it commands on this machine need WIKISEED_ADMIN_TOKEN; the work goes on either way. */
  function announce(control: Control, url: string): void {
    const problem = problemOfToken(control.tokenByHand);
    if (problem !== null) log.warn({}, problem);
    try {
      control.announce({ url, token: control.token });
    } catch (error) {
      log.warn({ err: describeError(error) }, 'commands cannot be told how to reach this process');
    }
  }

  return {
    async start() {
      running ??= listen();
      const mine = running;
      try {
        return { url: (await mine).url };
      } catch (error) {
        // A later start may try again, when the port is free.
        if (running === mine) running = null;
        throw error;
      }
    },
    async stop() {
      const mine = running;
      running = null;
      const open = await mine?.catch(() => null);
      await open?.close();
    },
  };
}

function cannotListen(error: unknown, config: { host: string; port: number }): WikiSeedError {
  const subject = { host: config.host, port: config.port };
  const code = errorCode(error);
  if (code === 'EADDRINUSE')
    return new WikiSeedError(
      'port_taken',
      `The status page cannot open ${config.host}:${config.port} because another program uses that port.`,
      {
        cause: error,
        subject,
        hint: 'Stop that program, or set monitoring.port to another number (0 = any free port).',
      },
    );
  const hint =
    code === 'EACCES'
      ? 'Ports below 1024 need a privilege: set monitoring.port to a higher number.'
      : 'Check that monitoring.host is an address of this machine.';
  return new WikiSeedError(
    'listen_failed',
    `The status page cannot open ${config.host}:${config.port} (${code}).`,
    { cause: error, subject, hint },
  );
}

/** Everybody who asks within `freshMs` of the last question shares its answer; a failure is not kept. */
function shareFor<T>(clock: Clock, freshMs: number, ask: () => Promise<T>): () => Promise<T> {
  let shared: { answer: Promise<T>; askedAt: number } | null = null;
  return () => {
    const now = clock.monotonicMs();
    if (shared !== null && now - shared.askedAt < freshMs) return shared.answer;
    const mine = { answer: ask(), askedAt: now };
    shared = mine;
    mine.answer.catch(() => {
      if (shared === mine) shared = null;
    });
    return mine.answer;
  };
}
