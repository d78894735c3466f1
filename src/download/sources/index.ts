import type { Db } from '../../db/index.ts';
import type { Bus } from '../../events/index.ts';
import type { Clock, Http, Log, Random } from '../../ports/index.ts';
import { type BandwidthConfig, createBandwidth, type RatesByHand } from '../bandwidth.ts';
import { createMirrorStore } from './mirror-store.ts';
import { createRangeClient } from './range-client.ts';
import { createSourceBook } from './source-book.ts';
import { createTraffic } from './traffic.ts';
import type { RangeClient, SourceBook } from './types.ts';

export { SourceFault } from './source-fault.ts';
export type * from './types.ts';

/** What the sources need. `http` must already limit connections for each host. */
export interface SourcesDeps {
  db: Db;
  http: Http;
  clock: Clock;
  log: Log;
  random: Random;
  /** With it: an alert when the origin refuses us, and rests end when an operator resumes the target `dumps`. */
  bus?: Bus;
  config: SourcesConfig;
  /** Rates set by hand; `onChange` registers who is told when one changes, and returns what takes that back. */
  ratesByHand?: RatesByHand & { onChange(listener: () => void): () => void };
}

/** Settings of the sources; all of section `download`. */
export interface SourcesConfig {
  /** `mirrors`; default none. */
  mirrors?: readonly string[];
  /** `per_host_connections`; default 2. */
  connections?: number;
  /** `bandwidth_limit` and `per_host_bandwidth_limit`; default unlimited. */
  bandwidth?: BandwidthConfig;
}

const UNLIMITED: BandwidthConfig = {
  total: { defaultBytesPerSecond: null, windows: [] },
  perHost: { defaultBytesPerSecond: null, windows: [] },
};

/** Where bytes come from, how they are asked for, and what was learned of who gave them. */
export interface Sources {
  readonly client: RangeClient;
  readonly book: SourceBook;
  /** Writes what was learned; call it after the last job ended. */
  stop(): void;
}

/** Reads what earlier processes learned. */
export function createSources(deps: SourcesDeps): Sources {
  const { http, clock, config, ratesByHand } = deps;
  const log = deps.log.child({ room: 'download' });
  const traffic = createTraffic();
  const bandwidth = createBandwidth({
    clock,
    config: config.bandwidth ?? UNLIMITED,
    ...(ratesByHand === undefined ? {} : { byHand: ratesByHand }),
  });
  const forget = ratesByHand?.onChange(() => bandwidth.changed());
  const book = createSourceBook({
    ...deps,
    log,
    traffic,
    store: createMirrorStore({ db: deps.db, clock, log }),
    config: { mirrors: config.mirrors ?? [], connections: config.connections ?? 2 },
  });
  return {
    client: createRangeClient({ http, clock, bandwidth, traffic }),
    book,
    stop() {
      forget?.();
      book.stop();
    },
  };
}
