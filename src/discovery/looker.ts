import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  Catalog,
  Cycle,
  RunChanges,
  RunDocument,
  RunFacts,
  SourceName,
  Wiki,
} from '../catalog/index.ts';
import type { SystemState } from '../db/index.ts';
import { assert, describeError, Interrupted, RetryableError, UnavailableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Clock, Log } from '../ports/index.ts';
import { parseListing, runDatesOf } from './listing.ts';
import type { DumpSource, KnownRun, Look, ScanEnd, Selection, Sighting } from './source.ts';
import { addHashes, needsHashes } from './sums.ts';
import { noteUnlisted } from './unlisted.ts';
import type { Upstream, Validators } from './upstream.ts';

/** One look at one source of one cycle, over all wikis or one. */
export interface LookRequest {
  cycleDate: string;
  source: SourceName;
  attempt: number;
  signal: AbortSignal;
}

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

/** Lets the next scan of this cycle ask only for news. */
export interface ScanMemory {
  key: string;
  /** `readAt`: when the document behind the validators was last read as a whole, epoch ms. */
  value: { validators: Validators | null; fingerprint: string; readAt: number };
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
  /** Before a cycle is sealed all the same: wikis that no look ever told of are written down as unfinished, so that they become gaps. */
  noteUnseen(cycleDate: string, source: SourceName): void;
  /** Ends what sources that are switched off left open in cycles that take files. */
  releaseSwitchedOff(): void;
}

/** What a looker needs. */
export interface LookerDeps {
  catalog: Catalog;
  state: SystemState;
  upstream: Upstream;
  clock: Clock;
  log: Log;
  sources: readonly DumpSource[];
  /** Root of the dump site, without a slash at its end. */
  baseUrl: string;
  selectionFor(cycle: Pick<Cycle, 'includesHistory'>): Selection;
  /** Everything of the configuration that decides about files, and the names of the wanted wikis; compared as JSON. */
  judgedBy(cycle: Cycle): unknown;
  /** Which wikis are taken, sorted by name. */
  wantedWikis(): Wiki[];
  /** Refuses a run by its size, in small-wiki mode; null: it is taken. */
  refuseSize(facts: { sizeBytes: number; isFinished: boolean }): { reason: string; isFinal: boolean } | null;
  /** Writes a run down and asks for its downloads, in one transaction. */
  record(facts: RunFacts): RunChanges;
  /** The same for a run that is as it was: what could not be fetched before is asked for again. */
  recordUnchanged(run: { wikiDbName: string; source: SourceName; runDate: string }): void;
}

const SAMPLED_KEY = 'discovery:retention_sampled_at';
/** Upstream keeps seven runs of the largest wikis and ten of the others, in practice one fewer. */
const TELLING_RUNS = 5;
/** Checksum lists read in one look, so that a thousand wikis without hashes do not cost tens of thousands of requests. */
const SUMS_REQUESTS_MAX = 200;
const UNCHANGED_MAX_MS = 2 * 24 * 60 * 60_000;
/** Thirty days: upstream changes how long it keeps runs once in years. */
const SAMPLE_EVERY_MS = 30 * 24 * 60 * 60_000;

const memoryKeyOf = (cycleDate: string, source: SourceName): string => `scan:${cycleDate}:${source}`;

/** Wires the looks. */
export function createLooker(deps: LookerDeps): Looker {
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
  ): {
    cycle: Cycle;
    source: DumpSource;
    look: Look;
    memoryKey: string;
    /** What the judgement of a run depends on beside its document. */
    fingerprint: string;
    /** It is another one than at the last scan: everything is judged anew. */
    isNew: boolean;
    readAt: number;
  } | null {
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
    const document = catalog.runDocumentFacts(run.id);
    const { etag = null, lastModified = null } = document ?? {};
    // Its hashes may still come, or what failed may be run again: for a source that is a run to be asked for.
    const isWaiting =
      run.status === 'finished' && (run.mayChange || catalog.lacksHashes({ wikiDbName, source, runDate }));
    return {
      status: isWaiting ? 'in_progress' : run.status,
      checkedAt: run.checkedAt,
      hasDocument: document !== null,
      askedAt: document?.askedAt ?? null,
      validators: etag === null && lastModified === null ? null : { etag, lastModified },
    };
  }

  /** Writes down what was seen of one wiki. @returns how many files of it are expected */
  async function apply(
    context: NonNullable<ReturnType<typeof contextOf>>,
    sighting: Exclude<Sighting, { kind: 'ask' }>,
    restless: ReadonlySet<string> | null = null,
  ): Promise<number> {
    const { source, look, cycle } = context;
    const { wikiDbName } = sighting;
    if (look.signal.aborted) throw new Interrupted();
    const { runDate } = look;
    const identity = { wikiDbName, source: source.name, runDate };
    if (sighting.kind === 'unchanged') {
      // The checksum lists may have what the description lacks.
      const isJudged = context.isNew || catalog.lacksHashes(identity);
      const run = isJudged ? catalog.run(wikiDbName, runDate, source.name) : null;
      const stored = run === null ? null : catalog.runDocument(run.id);
      if (stored !== null) return applyDocument(context, wikiDbName, stored);
      if (restless?.has(wikiDbName) !== false) deps.recordUnchanged(identity);
      return 0;
    }
    if (sighting.kind === 'document') {
      const { etag = null, lastModified = null } = sighting.validators ?? {};
      const document = { text: sighting.document, etag, lastModified };
      const isJudged = !context.isNew && catalog.isLastDocument(identity, document);
      // One document tells of all wikis, and most of them are as they were. Hashes may come without it.
      if (!isJudged || catalog.lacksHashes(identity)) return applyDocument(context, wikiDbName, document);
      catalog.noteRead(identity);
      if (restless?.has(wikiDbName) !== false) deps.recordUnchanged(identity);
      return 0;
    }
    const status = sighting.kind === 'absent' ? 'absent' : 'in_progress';
    const notices = [{ dumpType: '*', reason: sighting.reason }];
    const base = { ...identity, cycleDate: cycle.cycleDate };
    deps.record({ ...base, status, notices, files: [], listedNames: null, document: null });
    return 0;
  }

  /** A checksum list, null when it cannot be had: files without a hash wait, which is no reason to end a look. */
  async function readSums(
    { look }: NonNullable<ReturnType<typeof contextOf>>,
    wikiDbName: string,
    name: string,
  ): Promise<string | null> {
    if (look.sumsLeft <= 0) return null;
    look.sumsLeft -= 1;
    try {
      return await look.upstream.text(`${deps.baseUrl}/${wikiDbName}/${look.runDate}/${name}`, look.signal);
    } catch (error) {
      if (!(error instanceof RetryableError) || error instanceof UnavailableError) throw error;
      log.warn({ wiki: wikiDbName, name, err: describeError(error) }, 'a checksum list could not be read');
      return null;
    }
  }

  async function applyDocument(
    context: NonNullable<ReturnType<typeof contextOf>>,
    wikiDbName: string,
    document: RunDocument,
  ): Promise<number> {
    const { source, look, cycle } = context;
    const { runDate } = look;
    const identity = { wikiDbName, source: source.name, runDate };
    const base = { ...identity, cycleDate: cycle.cycleDate };
    const decision = source.decide(document.text, { wikiDbName, runDate }, deps.selectionFor(cycle));
    for (const refused of decision.refused)
      log.warn({ wiki: wikiDbName, runDate, ...refused }, 'refused a file of a run, the rest goes on');
    let files = decision.files.flatMap((each) => (each.action === 'take' ? [each.file] : []));
    const notices = [...decision.notices];
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    const refusal = deps.refuseSize({ sizeBytes, isFinished: decision.isFinished });
    if (refusal !== null) {
      files = [];
      notices.splice(0, notices.length, { dumpType: '*', reason: refusal.reason });
    }
    // Classic documents name hashes job by job; what is missing may stand in the checksum lists already.
    if (source.name === 'classic' && needsHashes(files)) {
      files = await addHashes(files, { wikiDbName, runDate }, (name) => readSums(context, wikiDbName, name));
      if (look.signal.aborted) throw new Interrupted();
    }
    // Judging the largest run takes a turn of some 15 ms, writing it down another one.
    await nextTurn();
    if (look.signal.aborted) throw new Interrupted();
    const { replaced } = deps.record({
      ...base,
      status: refusal?.isFinal === true ? 'absent' : decision.isFinished ? 'finished' : 'in_progress',
      notices,
      mayChange: decision.mayChange && refusal === null,
      files,
      // While jobs run, or when one failed, a file that is not listed may only be on its way: nothing was withdrawn then.
      listedNames:
        decision.isFinished && !decision.mayChange
          ? new Set(decision.files.map(({ filename }) => filename))
          : null,
      document,
    });
    for (const { filename, kind } of replaced)
      log.warn(
        { wiki: wikiDbName, runDate, filename },
        kind === 'replaced' ? 'upstream published a held file anew' : 'upstream withdrew a held file',
      );
    return files.length;
  }

  /** Reads a few listings now and then: the oldest dates in them tell how long upstream keeps its runs. */
  async function sampleRetention(
    { look }: NonNullable<ReturnType<typeof contextOf>>,
    wanted: readonly Wiki[],
  ): Promise<void> {
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

  /** Nothing more is taken of a run: what is missing ends with the reason, what is held stays. */
  function release(
    run: { wikiDbName: string; source: SourceName; runDate: string; cycleDate: string },
    reason: string,
  ): void {
    const notices = [{ dumpType: '*', reason }];
    deps.record({ ...run, status: 'absent', notices, files: [], listedNames: null, document: null });
  }

  /** Wikis without any copy first, then small before large, as far as anybody knows: so their downloads begin in that order. */
  function inOrder(ask: readonly AskSingly[], wanted: readonly Wiki[]): AskSingly[] {
    const pages = new Map(wanted.map(({ wikiDbName, pageCount }) => [wikiDbName, pageCount]));
    const keyed = ask.map((wiki) => ({
      wiki,
      isCovered: catalog.isCovered(wiki.wikiDbName) ? 1 : 0,
      pages: pages.get(wiki.wikiDbName) ?? Number.MAX_SAFE_INTEGER,
    }));
    keyed.sort((a, b) => a.isCovered - b.isCovered || a.pages - b.pages);
    return keyed.map(({ wiki }) => wiki);
  }

  /** Ends what a wiki that is not wanted any more left open in this cycle. */
  function releaseUnwanted(
    context: NonNullable<ReturnType<typeof contextOf>>,
    wanted: readonly Wiki[],
  ): void {
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
      const wanted = deps.wantedWikis();
      releaseUnwanted(context, wanted);
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
      if (end.listedNames.length > 0) catalog.noteDumped(end.listedNames);
      for (const notice of noteUnlisted(state, source.name, catalog.wikis(), end, deps.clock.now()))
        log.warn({ source: source.name }, notice);
      const validators = end.validators ?? (end.isUnchanged ? look.scanned : null);
      return {
        askSingly: inOrder(askSingly, wanted),
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
      const files = await apply(context, await source.askOne(look, wiki, known));
      step('discovery:looked');
      return { files };
    },
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
    releaseSwitchedOff() {
      for (const { cycleDate } of catalog.cycles()) {
        if (!catalog.takesFiles(cycleDate)) continue;
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
      deps.record({ ...run, cycleDate: cycle.cycleDate, status: 'in_progress', notices, ...nothing });
    },
    remember: ({ key, value }) => state.set(key, JSON.stringify(value), deps.clock.now()),
  };
}
