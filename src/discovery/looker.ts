import { setImmediate as nextTurn } from 'node:timers/promises';
import type { SourceName, Wiki } from '../catalog/index.ts';
import { describeError, Interrupted, RetryableError, UnavailableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import { inParts } from './in-parts.ts';
import { parseListing, runDatesOf } from './listing.ts';
import {
  createLookContexts,
  type LookContext,
  type LookContextDeps,
  type LookRequest,
  type ScanMemory,
} from './look-context.ts';
import { createRunWriter, type RunWriterDeps } from './run-writer.ts';
import type { ScanEnd } from './source.ts';
import { noteUnlisted } from './unlisted.ts';

/** A wiki that has to be asked for on its own. */
export interface AskSingly {
  wikiDbName: string;
  isInIndex: boolean | null;
}

/** What a scan leaves to do, and what is to be remembered once all of it is written down. */
export interface ScanResult {
  askSingly: AskSingly[];
  runs: number;
  files: number;
  /** To be handed to `remember` together with the end of the job; null: nothing new. */
  memory: ScanMemory | null;
}

/** Looks at runs and writes down what it finds, run by run: a thousand of them in one transaction would stop everything else. */
export interface Looker {
  scan(request: LookRequest): Promise<ScanResult>;
  askOne(request: LookRequest, wiki: AskSingly): Promise<{ files: number }>;
  /** The last attempt of a single look failed. What is known stays; a run that was never seen is at least unfinished. */
  recordUnreadable(request: LookRequest, wiki: AskSingly, error: unknown): void;
  remember(memory: ScanMemory): void;
  /** True once a scan of this source got to its end, under the present configuration. */
  hasScanned(cycleDate: string, source: SourceName): boolean;
  /** Epoch ms at which the last scan of this source got to its end; 0 = never. */
  scannedAt(cycleDate: string, source: SourceName): number;
  /** Before a cycle is sealed all the same: wikis that no look ever told of are written down as unfinished, so that they become gaps. */
  noteUnseen(cycleDate: string, source: SourceName): void;
  /** Ends what sources that are switched off left open in cycles that take files. */
  releaseSwitchedOff(): Promise<void>;
}

/** What a looker needs. */
export interface LookerDeps extends LookContextDeps, RunWriterDeps {
  /** Which wikis are taken, sorted by name. */
  wantedWikis(): Wiki[];
}

const SAMPLED_KEY = 'discovery:retention_sampled_at';
/** Thirty days: upstream changes how long it keeps runs once in years. */
const SAMPLE_EVERY_MS = 30 * 24 * 60 * 60_000;

/** Wires the looks. */
export function createLooker(deps: LookerDeps): Looker {
  const { catalog, state, log } = deps;
  const { contextOf, knownRun, scanTime } = createLookContexts(deps);
  const { apply, judgeStored, release } = createRunWriter(deps);

  /** Reads a few listings now and then: the oldest dates in them tell how long upstream keeps its runs. */
  async function sampleRetention({ look }: LookContext, wanted: readonly Wiki[]): Promise<void> {
    const now = deps.clock.now();
    if (now - Number(state.get(SAMPLED_KEY) ?? 0) < SAMPLE_EVERY_MS) return;
    state.set(SAMPLED_KEY, String(now), now);
    // Large wikis are kept for a shorter time than small ones, so one of each end and one of the middle.
    const bySize = wanted.toSorted((a, b) => (b.pageCount ?? 0) - (a.pageCount ?? 0));
    const places = new Set([0, Math.floor(bySize.length / 2), bySize.length - 1]);
    for (const place of places) {
      const wikiDbName = bySize[place]?.wikiDbName;
      if (wikiDbName === undefined) continue;
      try {
        const listing = await look.upstream.text(`${deps.baseUrl}/${wikiDbName}/`, look.signal);
        if (listing !== null) look.onListing(wikiDbName, runDatesOf(parseListing(listing, wikiDbName)));
      } catch (error) {
        // The order of work does without; everything else of the scan is written down already.
        if (!(error instanceof RetryableError)) throw error;
        log.warn({ wiki: wikiDbName, err: describeError(error) }, 'a listing could not be read');
      }
    }
  }

  /** Wikis without any copy first, then small before large, as far as anybody knows: so their downloads begin in that order. */
  async function inOrder(ask: readonly AskSingly[], wanted: readonly Wiki[]): Promise<AskSingly[]> {
    const pages = new Map(wanted.map(({ wikiDbName, pageCount }) => [wikiDbName, pageCount]));
    const keyed: { wiki: AskSingly; isCovered: number; pages: number }[] = [];
    await inParts(ask, (wiki) => {
      const isCovered = catalog.isCovered(wiki.wikiDbName) ? 1 : 0;
      keyed.push({ wiki, isCovered, pages: pages.get(wiki.wikiDbName) ?? Number.MAX_SAFE_INTEGER });
    });
    keyed.sort((a, b) => a.isCovered - b.isCovered || a.pages - b.pages);
    return keyed.map(({ wiki }) => wiki);
  }

  /** Ends what a wiki that is not wanted any more left open in this cycle. */
  function releaseUnwanted(context: LookContext, wanted: readonly Wiki[]): void {
    const names = new Set(wanted.map((wiki) => wiki.wikiDbName));
    const { source, look, cycle } = context;
    for (const wikiDbName of catalog.unsettledWikis(cycle.cycleDate, source.name)) {
      if (names.has(wikiDbName)) continue;
      const run = { wikiDbName, source: source.name, runDate: look.runDate, cycleDate: cycle.cycleDate };
      release(run, 'excluded by the configuration');
    }
  }

  return {
    async scan(request) {
      const context = contextOf(request, true);
      if (context === null) return { askSingly: [], runs: 0, files: 0, memory: null };
      const { look, source, cycle, memoryKey, fingerprint, isNew } = context;
      // Each of these reads what there is of a thousand wikis.
      await nextTurn();
      const wanted = deps.wantedWikis();
      await nextTurn();
      if (look.signal.aborted) throw new Interrupted();
      releaseUnwanted(context, wanted);
      await nextTurn();
      // Of all others nothing is left to do as long as they are as they were: of a thousand runs that is almost all of them.
      const restless = catalog.restlessWikis(cycle.cycleDate, source.name);
      const askSingly: AskSingly[] = [];
      let runs = 0;
      let files = 0;
      const sightings = source.scan(look, wanted, (name) => {
        const known = knownRun(source.name, look.runDate, name);
        // Absent may have been our own judgement.
        return isNew && known?.status === 'absent' ? { ...known, status: 'in_progress' } : known;
      });
      let end: ScanEnd;
      for (;;) {
        const next = await sightings.next();
        if (next.done === true) {
          end = next.value;
          break;
        }
        const sighting = next.value;
        if (sighting.kind === 'ask') {
          // Its own document may be as it was: then only this look judges it by the new configuration.
          if (isNew) await judgeStored(context, sighting.wikiDbName);
          askSingly.push({ wikiDbName: sighting.wikiDbName, isInIndex: sighting.isInIndex });
          continue;
        }
        runs += 1;
        try {
          files += await apply(context, sighting, restless);
        } catch (error) {
          // One wiki must not end the look at all others: it gets a look of its own.
          if (!(error instanceof RetryableError) || error instanceof UnavailableError) throw error;
          const { wikiDbName } = sighting;
          log.warn({ wiki: wikiDbName, err: describeError(error) }, 'a run could not be judged in the scan');
          askSingly.push({ wikiDbName, isInIndex: true });
        }
      }
      if (source.name === 'classic') await sampleRetention(context, wanted);
      step('discovery:looked');
      await nextTurn();
      if (end.listedNames.length > 0) catalog.noteDumped(end.listedNames);
      await nextTurn();
      for (const notice of noteUnlisted(state, source.name, catalog.wikis(), end, deps.clock.now()))
        log.warn({ source: source.name }, notice);
      const validators = end.validators ?? (end.isUnchanged ? look.scanned : null);
      return {
        askSingly: await inOrder(askSingly, wanted),
        runs,
        files,
        memory: {
          key: memoryKey,
          value: { validators, fingerprint, readAt: end.isUnchanged ? context.readAt : look.nowMs },
        },
      };
    },
    async askOne(request, wiki) {
      const context = contextOf(request);
      if (context === null) return { files: 0 };
      const { source, look } = context;
      const known = knownRun(source.name, look.runDate, wiki.wikiDbName);
      const sighting = await source.askOne(look, wiki, known);
      // "As it was" is an answer too: whoever asks within the hour would hear the same.
      if (sighting.kind === 'unchanged')
        catalog.noteRead({ wikiDbName: wiki.wikiDbName, source: source.name, runDate: look.runDate });
      const files = await apply(context, sighting);
      step('discovery:looked');
      return { files };
    },
    scannedAt: (cycleDate, source) => scanTime(cycleDate, source),
    hasScanned(cycleDate, source) {
      const context = contextOf({ cycleDate, source, attempt: 1, signal: new AbortController().signal });
      // With another choice of wikis or files than at the last scan it is as if nobody had looked.
      return context === null || !context.isNew;
    },
    noteUnseen(cycleDate, source) {
      const context = contextOf({ cycleDate, source, attempt: 1, signal: new AbortController().signal });
      if (context === null) return;
      const seen = new Set(
        catalog.runs(cycleDate).flatMap((run) => (run.source === source ? [run.wikiDbName] : [])),
      );
      for (const { wikiDbName } of deps.wantedWikis()) {
        if (seen.has(wikiDbName)) continue;
        const run = { wikiDbName, source, runDate: context.look.runDate, cycleDate };
        const notices = [{ dumpType: '*', reason: 'upstream gave no answer about this run' }];
        const nothing = { files: [], listedNames: null, document: null };
        catalog.recordRun({ ...run, status: 'in_progress', notices, ...nothing });
      }
    },
    async releaseSwitchedOff() {
      for (const { cycleDate } of catalog.cycles()) {
        if (!catalog.takesFiles(cycleDate)) continue;
        // A cycle has a few thousand runs.
        await nextTurn();
        const off = catalog
          .runs(cycleDate)
          .filter((run) => !deps.sources.some(({ name }) => name === run.source));
        for (const source of new Set(off.map((run) => run.source))) {
          const unsettled = new Set(catalog.unsettledWikis(cycleDate, source));
          for (const { wikiDbName, runDate } of off.filter((run) => run.source === source))
            if (unsettled.has(wikiDbName))
              release(
                { wikiDbName, source, runDate, cycleDate },
                'discovery.sources does not name this source any more',
              );
        }
      }
    },
    recordUnreadable(request, { wikiDbName }, error) {
      const context = contextOf(request);
      if (context === null) return;
      const { source, look, cycle } = context;
      const run = { wikiDbName, source: source.name, runDate: look.runDate };
      if (catalog.run(wikiDbName, look.runDate, source.name) !== null) return;
      const reason = `its status could not be read: ${describeError(error)}`;
      const notices = [{ dumpType: '*', reason }];
      const nothing = { files: [], listedNames: null, document: null };
      catalog.recordRun({ ...run, cycleDate: cycle.cycleDate, status: 'in_progress', notices, ...nothing });
    },
    remember: ({ key, value }) => state.set(key, JSON.stringify(value), deps.clock.now()),
  };
}
