import type { Catalog, Cycle, SourceName, Wiki } from '../catalog/index.ts';
import type { SystemState } from '../db/index.ts';
import { formatBytes, RetryableError, UnavailableError } from '../lib/index.ts';
import type { Clock, Http, Log } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import { createClassicSource } from './classic-source.ts';
import { createContentSource } from './content-source.ts';
import { judgeWiki } from './cross-check.ts';
import { handleDiscoverWikis } from './jobs/discover-wikis.ts';
import { handleFindDumps } from './jobs/find-dumps.ts';
import { createLooker, type LookerDeps } from './looker.ts';
import { type CyclePlan, planCycle } from './plan.ts';
import type { DumpSource, Selection } from './source.ts';
import { type UnlistedWiki, unlistedWikis } from './unlisted.ts';
import { createUpstream } from './upstream.ts';
import { createWikiFilter, createWikiJudge, type WikiFilter } from './wiki-filter.ts';
import { createWikiReader, type WikiReader } from './wiki-reader.ts';

export { discoverWikis } from './jobs/discover-wikis.ts';
export { findDumps } from './jobs/find-dumps.ts';
export type { CyclePlan } from './plan.ts';
export type { PlanAction, PlanRow } from './plan-file.ts';
export type { DumpSource, FileDecision, RunDecision, Selection } from './source.ts';
export type { UnlistedWiki } from './unlisted.ts';

/** The slice of configuration that decides what is looked for. */
export interface DiscoveryConfig extends Omit<Selection, 'includesHistory' | 'isUrgent'> {
  dumpsBaseUrl: string;
  sitematrixUrl: string;
  /** Null: sizes are not asked for. */
  wikistatsUrl: string | null;
  sources: readonly SourceName[];
  wikis: WikiFilter & { maxSizeBytes: number | null };
  /** Days of the month on which cycles begin, ascending; monthly exports belong to the first one. */
  cycleDays: readonly number[];
}

/** What the room is given. */
export interface DiscoveryDeps {
  catalog: Catalog;
  state: SystemState;
  http: Http;
  clock: Clock;
  log: Log;
  config: DiscoveryConfig;
  /** Asks for what is wanted of a run that was just written down. Default: nothing. */
  askForDownloads?: (run: { wikiDbName: string; source: SourceName; runDate: string }) => Promise<void>;
}

/** Finds wikis and dump runs. */
export interface DiscoveryRoom {
  handlers: readonly AnyJobHandler[];
  /** The configured sources, in the order of the configuration. */
  sources: readonly DumpSource[];
  /** What is taken of a run of this cycle. */
  selectionFor(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): Selection;
  /** Whether a wiki is taken, and why. */
  judgeWiki(wiki: Wiki): { included: boolean; reason: string };
  /** What would be done for a cycle that the catalog knows, and why; asks nothing and changes nothing. */
  plan(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory' | 'status'>): CyclePlan;
  /** Wikis that the last looks found dumped, but that the site matrix does not name, sorted by name. */
  unlistedWikis(): UnlistedWiki[];
  /** Wikis that are taken, sorted by name. */
  wantedWikis(): Wiki[];
  /** Sources that have a run for this cycle. */
  sourcesOf(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): SourceName[];
  /** True once every source of the cycle was looked at to its end. */
  isLookedAt(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): boolean;
  /** Epoch ms of the last whole look at any source of the cycle; 0 = never. */
  lastLookAt(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): number;
  /** Writes down what no look ever told of; to be called before a cycle is sealed at its deadline. */
  noteUnseen(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): void;
  /** Ends what sources that were switched off left open; to be called at start. */
  releaseSwitchedOff(): Promise<void>;
  /** Reads the list of all wikis at once, as the job does. */
  lookForWikis(signal: AbortSignal): Promise<void>;
  /** Looks at every run of a cycle at once, as the jobs do. */
  lookNow(request: {
    cycleDate: string;
    signal: AbortSignal;
    onProgress?: (done: number, total: number) => void;
  }): Promise<void>;
}

/** A look that is made at once does not wait between its attempts. */
const LOOK_ATTEMPTS = 3;

/** Tries again what the next attempt may read, such as a document that was being written. */
async function insist<T>(act: (attempt: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act(attempt);
    } catch (error) {
      const isWorthIt = error instanceof RetryableError && !(error instanceof UnavailableError);
      if (!isWorthIt || attempt === LOOK_ATTEMPTS) throw error;
    }
  }
}

/** Wires the room's two jobs. */
export function createDiscovery(deps: DiscoveryDeps): DiscoveryRoom {
  const { catalog, clock, config } = deps;
  const log = deps.log.child({ room: 'discovery' });
  const upstream = createUpstream(deps);
  const baseUrl = config.dumpsBaseUrl.replace(/\/$/, '');
  const firstDay = config.cycleDays[0] ?? 1;
  const isFirstOfMonth = (cycleDate: string): boolean => Number(cycleDate.slice(8)) === firstDay;
  const sources = config.sources.map((name) =>
    name === 'classic'
      ? createClassicSource({ baseUrl })
      : createContentSource({ baseUrl, kind: name, isFirstOfMonth }),
  );
  const isWanted = createWikiFilter(config.wikis);
  const wantedWikis = (): Wiki[] =>
    catalog.wikis().filter((wiki) => !wiki.isPrivate && isWanted(wiki.wikiDbName));
  const { regularTypes, historyTypes, historyFormat, splitFiles } = config;
  const selectionFor: DiscoveryRoom['selectionFor'] = ({ cycleDate, includesHistory }) => ({
    ...{ regularTypes, historyTypes, historyFormat, splitFiles, includesHistory },
    isUrgent: catalog.takesNextBest(cycleDate),
  });
  const { maxSizeBytes } = config.wikis;
  const refuseSize: LookerDeps['refuseSize'] = ({ sizeBytes, isFinished }) => {
    if (maxSizeBytes === null) return null;
    if (sizeBytes > maxSizeBytes)
      return {
        reason: `small-wiki mode: ${formatBytes(sizeBytes)} are more than discovery.wikis.max_size (${formatBytes(maxSizeBytes)})`,
        isFinal: true,
      };
    if (isFinished) return null;
    return { reason: 'small-wiki mode: its size is known when the run is finished', isFinal: false };
  };
  const looker = createLooker({
    ...{ catalog, state: deps.state, upstream, clock, log, sources, baseUrl, selectionFor, wantedWikis },
    // Without what time alone changes: near the deadline only runs that wait for something are judged anew (run-writer.ts).
    judgedBy: ({ includesHistory }) => [
      { regularTypes, historyTypes, historyFormat, splitFiles, includesHistory },
      maxSizeBytes,
      wantedWikis().map((wiki) => wiki.wikiDbName),
    ],
    refuseSize,
    askForDownloads: deps.askForDownloads ?? (async () => {}),
  });
  const verdictOf = createWikiJudge(config.wikis);
  const judge: DiscoveryRoom['judgeWiki'] = (wiki) => judgeWiki(wiki, verdictOf(wiki.wikiDbName));
  const reader: WikiReader = createWikiReader({ catalog, upstream, log, config });
  const unlisted: DiscoveryRoom['unlistedWikis'] = () =>
    unlistedWikis(deps.state, catalog.wikis(), config.sources);
  const sourcesOf: DiscoveryRoom['sourcesOf'] = (cycle) =>
    sources.filter((source) => source.runDate(cycle) !== null).map(({ name }) => name);
  return {
    sources,
    selectionFor,
    wantedWikis,
    sourcesOf,
    judgeWiki: judge,
    unlistedWikis: unlisted,
    plan: (cycle) =>
      planCycle({
        ...{ catalog, sources, selection: selectionFor(cycle), judge, refuseSize, cycle },
        unlisted: unlisted(),
      }),
    handlers: [handleDiscoverWikis({ reader }), handleFindDumps({ looker })],
    isLookedAt: (cycle) => sourcesOf(cycle).every((source) => looker.hasScanned(cycle.cycleDate, source)),
    lastLookAt: (cycle) =>
      Math.max(0, ...sourcesOf(cycle).map((source) => looker.scannedAt(cycle.cycleDate, source))),
    noteUnseen(cycle) {
      for (const source of sourcesOf(cycle)) looker.noteUnseen(cycle.cycleDate, source);
    },
    releaseSwitchedOff: () => looker.releaseSwitchedOff(),
    async lookForWikis(signal) {
      reader.record(await reader.read(signal));
    },
    async lookNow({ cycleDate, signal, onProgress }) {
      const cycle = catalog.cycle(cycleDate);
      for (const source of cycle === null ? [] : sourcesOf(cycle)) {
        const request = { cycleDate, source, signal };
        const { askSingly, memory } = await insist((attempt) => looker.scan({ ...request, attempt }));
        for (const [done, wiki] of askSingly.entries()) {
          onProgress?.(done, askSingly.length);
          // One wiki whose status cannot be read must not end the look at all the others, as with the jobs.
          await insist((attempt) => looker.askOne({ ...request, attempt }, wiki)).catch((error: unknown) => {
            if (!(error instanceof RetryableError)) throw error;
            looker.recordUnreadable({ ...request, attempt: LOOK_ATTEMPTS }, wiki, error);
          });
        }
        if (memory !== null) looker.remember(memory);
      }
    },
  };
}
