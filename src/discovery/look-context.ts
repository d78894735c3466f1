import { createHash } from 'node:crypto';
import type { Catalog, Cycle, SourceName } from '../catalog/index.ts';
import type { SystemState } from '../db/index.ts';
import { assert } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { DumpSource, KnownRun, Look } from './source.ts';
import type { Upstream, Validators } from './upstream.ts';

/** One look at one source of one cycle, over all wikis or one. */
export interface LookRequest {
  cycleDate: string;
  source: SourceName;
  attempt: number;
  signal: AbortSignal;
}

/** Lets the next scan of this cycle ask only for news. */
export interface ScanMemory {
  key: string;
  /** `readAt`: when the document behind the validators was last read as a whole, epoch ms. */
  value: { validators: Validators | null; fingerprint: string; readAt: number };
}

/** Everything that one look works with. */
export interface LookContext {
  cycle: Cycle;
  source: DumpSource;
  look: Look;
  memoryKey: string;
  /** What the judgement of a run depends on beside its document. */
  fingerprint: string;
  /** It is another one than at the last scan: everything is judged anew. */
  isNew: boolean;
  readAt: number;
}

/** What the looks of a room share. */
export interface LookContextDeps {
  catalog: Catalog;
  state: SystemState;
  upstream: Upstream;
  clock: Clock;
  log: Log;
  sources: readonly DumpSource[];
  /** Everything of the configuration that decides about files, and the names of the wanted wikis; compared as JSON. */
  judgedBy(cycle: Cycle): unknown;
}

/** Prepares looks, and tells what earlier ones found. */
export interface LookContexts {
  /** null: the source was switched off since, or has no run for this cycle. `isScan`: the configuration is read anew. */
  contextOf(request: LookRequest, isScan?: boolean): LookContext | null;
  knownRun(source: SourceName, runDate: string, wikiDbName: string): KnownRun | null;
  /** Epoch ms at which the last scan got to its end; 0 = never. */
  scanTime(cycleDate: string, source: SourceName): number;
}

/** Upstream keeps seven runs of the largest wikis and ten of the others, in practice one fewer. */
const TELLING_RUNS = 5;
/** Checksum lists read in one look, so that a thousand wikis without hashes do not cost tens of thousands of requests. */
const SUMS_REQUESTS_MAX = 200;
/** Two days. */
const UNCHANGED_MAX_MS = 2 * 24 * 60 * 60_000;

const memoryKeyOf = (cycleDate: string, source: SourceName): string => `scan:${cycleDate}:${source}`;

/** Wires it. */
export function createLookContexts(deps: LookContextDeps): LookContexts {
  const { catalog, state, log } = deps;

  /** By memory key, of the last scan: to read all wikis again for each single look would cost more than the look. */
  const fingerprints = new Map<string, string>();

  function fingerprintOf(cycle: Cycle, memoryKey: string, isScan: boolean): string {
    const known = isScan ? undefined : fingerprints.get(memoryKey);
    if (known !== undefined) return known;
    const fingerprint = createHash('sha256')
      .update(JSON.stringify(deps.judgedBy(cycle)))
      .digest('hex');
    fingerprints.set(memoryKey, fingerprint);
    return fingerprint;
  }

  function contextOf(
    { cycleDate, source, attempt, signal }: LookRequest,
    isScan = false,
  ): LookContext | null {
    const cycle = catalog.cycle(cycleDate);
    const found = deps.sources.find(({ name }) => name === source);
    assert(cycle !== null, `cycle ${cycleDate} is not known`);
    const runDate = found?.runDate(cycle) ?? null;
    // A source that was switched off since, or has no run for this cycle: nothing to look at.
    if (found === undefined || runDate === null) return null;
    const memoryKey = memoryKeyOf(cycleDate, source);
    // What was read is only good for the same wikis and the same choice of files.
    const fingerprint = fingerprintOf(cycle, memoryKey, isScan);
    const stored = state.get(memoryKey);
    const before = stored === null ? null : (JSON.parse(stored) as ScanMemory['value']);
    const isNew = before?.fingerprint !== fingerprint;
    const readAt = before?.readAt ?? 0;
    const isStale = deps.clock.now() - readAt > UNCHANGED_MAX_MS;
    const look: Look = {
      cycle,
      runDate,
      attempt,
      nowMs: deps.clock.now(),
      isOpen: cycle.sealedAt === null,
      sumsLeft: SUMS_REQUESTS_MAX,
      signal,
      upstream: deps.upstream,
      log,
      // Believed for two days: a server whose answer is always "unchanged" must not hide a whole cycle.
      scanned: isNew || isStale ? null : (before?.validators ?? null),
      onListing(wikiDbName, runDates) {
        // Of a new wiki nothing was deleted yet: its first run says nothing about how long runs are kept.
        const oldest = [...runDates].sort()[0];
        if (oldest !== undefined && runDates.length >= TELLING_RUNS)
          catalog.noteOldestRun(wikiDbName, oldest);
      },
    };
    return { cycle, source: found, look, memoryKey, fingerprint, isNew, readAt };
  }

  function knownRun(source: SourceName, runDate: string, wikiDbName: string): KnownRun | null {
    const run = catalog.run(wikiDbName, runDate, source);
    if (run === null) return null;
    const identity = { wikiDbName, source, runDate };
    const document = catalog.runDocumentFacts(run.id);
    const { etag = null, lastModified = null } = document ?? {};
    // Its hashes may still come, what failed may be run again, or it may be gone when a file of it is: for a source that is a run to be asked for.
    const isWaiting =
      run.status === 'finished' &&
      (run.mayChange || catalog.lacksHashes(identity) || catalog.lacksFiles(identity));
    return {
      status: isWaiting ? 'in_progress' : run.status,
      checkedAt: run.checkedAt,
      hasDocument: document !== null,
      askedAt: document?.askedAt ?? null,
      validators: etag === null && lastModified === null ? null : { etag, lastModified },
    };
  }

  return {
    contextOf,
    knownRun,
    scanTime: (cycleDate, source) => state.list(memoryKeyOf(cycleDate, source))[0]?.updatedAt ?? 0,
  };
}
