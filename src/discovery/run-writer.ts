import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Catalog, Cycle, RunDocument, SourceName } from '../catalog/index.ts';
import { describeError, Interrupted, RetryableError, UnavailableError } from '../lib/index.ts';
import type { Log } from '../ports/index.ts';
import type { LookContext } from './look-context.ts';
import { begunOf, type Selection, type Sighting } from './source.ts';
import { addHashes, needsHashes } from './sums.ts';

/** What writing runs down needs. */
export interface RunWriterDeps {
  catalog: Catalog;
  log: Log;
  /** Root of the dump site, without a slash at its end. */
  baseUrl: string;
  selectionFor(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): Selection;
  /** Refuses a run by its size, in small-wiki mode; null: it is taken. */
  refuseSize(facts: { sizeBytes: number; isFinished: boolean }): { reason: string; isFinal: boolean } | null;
  /** Asks for what is wanted of a run that was just written down. */
  askForDownloads(run: { wikiDbName: string; source: SourceName; runDate: string }): Promise<void>;
}

/** Judges what was seen of a run, and writes it down. */
export interface RunWriter {
  /**
   * @param restless wikis of which something is left to do although they are as they were; null: nobody knows
   * @returns how many files of it are expected
   * @throws RetryableError `torn_status`; UnavailableError and HaltPipelineError of checksum lists; Interrupted
   */
  apply(
    context: LookContext,
    sighting: Exclude<Sighting, { kind: 'ask' }>,
    restless?: ReadonlySet<string> | null,
  ): Promise<number>;
  /** Judges the last description of a run again; nothing happens when there is none. */
  judgeStored(context: LookContext, wikiDbName: string): Promise<void>;
  /** Nothing more is taken of a run: what is missing ends with the reason, what is held stays. */
  release(
    run: { wikiDbName: string; source: SourceName; runDate: string; cycleDate: string },
    reason: string,
  ): void;
}

/** Wires it. */
export function createRunWriter(deps: RunWriterDeps): RunWriter {
  const { catalog, log } = deps;

  /** Of a run that is as it was only what could not be fetched before is asked for again. */
  async function writeUnchanged(run: {
    wikiDbName: string;
    source: SourceName;
    runDate: string;
  }): Promise<void> {
    catalog.touchRun(run);
    await deps.askForDownloads(run);
  }

  /**
   * The same description may come to something else by now: checksum lists may have what it lacks, and near the deadline
   * nobody waits for a form that is preferred.
   */
  function mayDiffer(
    { cycle }: LookContext,
    run: { wikiDbName: string; source: SourceName; runDate: string },
  ): boolean {
    if (catalog.lacksHashes(run)) return true;
    return (
      catalog.takesNextBest(cycle.cycleDate) &&
      catalog.run(run.wikiDbName, run.runDate, run.source)?.status === 'in_progress'
    );
  }

  /** Writes down what was seen of one wiki. @returns how many files of it are expected */
  async function apply(
    context: LookContext,
    sighting: Exclude<Sighting, { kind: 'ask' }>,
    restless: ReadonlySet<string> | null = null,
  ): Promise<number> {
    const { source, look, cycle } = context;
    const { wikiDbName } = sighting;
    if (look.signal.aborted) throw new Interrupted();
    const { runDate } = look;
    const identity = { wikiDbName, source: source.name, runDate };
    if (sighting.kind === 'unchanged') {
      const isJudged = context.isNew || mayDiffer(context, identity);
      const run = isJudged ? catalog.run(wikiDbName, runDate, source.name) : null;
      const stored = run === null ? null : catalog.runDocument(run.id);
      if (stored !== null) return applyDocument(context, wikiDbName, stored);
      if (restless?.has(wikiDbName) !== false) await writeUnchanged(identity);
      return 0;
    }
    if (sighting.kind === 'document') {
      const { etag = null, lastModified = null } = sighting.validators ?? {};
      const document = { text: sighting.document, etag, lastModified };
      const isJudged = !context.isNew && catalog.isLastDocument(identity, document);
      // One document tells of all wikis, and most of them are as they were.
      if (!isJudged || mayDiffer(context, identity)) return applyDocument(context, wikiDbName, document);
      catalog.noteRead(identity);
      if (restless?.has(wikiDbName) !== false) await writeUnchanged(identity);
      return 0;
    }
    const status = sighting.kind === 'absent' ? 'absent' : 'in_progress';
    const notices = [{ dumpType: '*', reason: sighting.reason }];
    const base = { ...identity, cycleDate: cycle.cycleDate };
    catalog.recordRun({ ...base, status, notices, files: [], listedNames: null, document: null });
    return 0;
  }

  /** A checksum list, null when it cannot be had: files without a hash wait, which is no reason to end a look. */
  async function readSums({ look }: LookContext, wikiDbName: string, name: string): Promise<string | null> {
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
    context: LookContext,
    wikiDbName: string,
    document: RunDocument,
  ): Promise<number> {
    const { source, look, cycle } = context;
    const { runDate } = look;
    const identity = { wikiDbName, source: source.name, runDate };
    const base = { ...identity, cycleDate: cycle.cycleDate };
    // Whoever calls has just read the description, or had it digested.
    await nextTurn();
    if (look.signal.aborted) throw new Interrupted();
    const begun = begunOf(catalog.fileStates(identity));
    const decision = source.decide(document.text, { wikiDbName, runDate }, deps.selectionFor(cycle), begun);
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
    // Judging the largest run takes a turn of some 15 ms, writing it down another one, and asking for its files more.
    await nextTurn();
    if (look.signal.aborted) throw new Interrupted();
    const { replaced } = catalog.recordRun({
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
    await nextTurn();
    await deps.askForDownloads(identity);
    for (const { filename, kind } of replaced)
      log.warn(
        { wiki: wikiDbName, runDate, filename },
        kind === 'replaced' ? 'upstream published a held file anew' : 'upstream withdrew a held file',
      );
    return files.length;
  }

  /** Nothing more is taken of a run: what is missing ends with the reason, what is held stays. */
  function release(
    run: { wikiDbName: string; source: SourceName; runDate: string; cycleDate: string },
    reason: string,
  ): void {
    const notices = [{ dumpType: '*', reason }];
    catalog.recordRun({ ...run, status: 'absent', notices, files: [], listedNames: null, document: null });
  }

  async function judgeStored(context: LookContext, wikiDbName: string): Promise<void> {
    const run = catalog.run(wikiDbName, context.look.runDate, context.source.name);
    const stored = run === null ? null : catalog.runDocument(run.id);
    if (stored !== null) await applyDocument(context, wikiDbName, stored);
  }

  return { apply, judgeStored, release };
}
