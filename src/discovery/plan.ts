import type { Catalog, Cycle, DumpFile, DumpRun, RunNotice, SourceName, Wiki } from '../catalog/index.ts';
import { WikiSeedError } from '../lib/index.ts';
import { crossCheckNotices } from './cross-check.ts';
import {
  factsOfRow,
  type PlanRow,
  planDecided,
  planFile,
  planUnwanted,
  type RowFacts,
  refuse,
  type Terms,
  wholeRun,
  wholeType,
} from './plan-file.ts';
import { begunOf, type DumpSource, type RunDecision, type Selection } from './source.ts';
import type { UnlistedWiki } from './unlisted.ts';

/** What would be done for a cycle, and why. */
export interface CyclePlan {
  cycleDate: string;
  /** By wiki, then by source, then as upstream lists them. */
  files: PlanRow[];
  /** Every wiki we know, sorted by name. */
  wikis: { wikiDbName: string; included: boolean; reason: string }[];
  notices: string[];
}

/** What a plan is made from: no clock, no network. */
export interface PlanDeps {
  catalog: Pick<
    Catalog,
    'wikis' | 'run' | 'runDocument' | 'dumpFiles' | 'replacement' | 'takesFiles' | 'mayGoWithoutHash'
  >;
  sources: readonly DumpSource[];
  selection: Selection;
  judge: (wiki: Wiki) => { included: boolean; reason: string };
  /** Refuses a run by the size of what would be taken of it, in small-wiki mode. Default: none is refused. */
  refuseSize?: (facts: {
    sizeBytes: number;
    isFinished: boolean;
  }) => { reason: string; isFinal: boolean } | null;
  cycle: Pick<Cycle, 'cycleDate' | 'includesHistory' | 'status'>;
  /** Dumped, but not named by the site matrix. Default: none. */
  unlisted?: readonly UnlistedWiki[];
}

/**
 * Says what becomes of every file of a cycle, by what was stored at the last looks and by the judge that acts
 * (`DumpSource.decide`). Nothing is asked and nothing changes; a run that nobody looked at waits.
 */
export function planCycle(deps: PlanDeps): CyclePlan {
  const { catalog, sources, cycle } = deps;
  const { cycleDate } = cycle;
  const terms: Terms = {
    isOpen: cycle.status === 'open',
    takesFiles: catalog.takesFiles(cycleDate),
    mayGoWithoutHash: catalog.mayGoWithoutHash(cycleDate),
  };
  const known = groupRows(catalog.dumpFiles(cycleDate));
  const plan: CyclePlan = { cycleDate, files: [], wikis: [], notices: [] };
  const add = (run: Pick<PlanRow, 'wikiDbName' | 'source' | 'runDate'>, rows: RowFacts[]): void => {
    for (const row of rows) plan.files.push({ ...run, ...endWaiting(row, terms) });
  };
  for (const source of sources)
    if (source.runDate(cycle) === null)
      plan.notices.push(`${source.name} has no run that belongs to the cycle ${cycleDate}`);
  const wikis = catalog.wikis();
  plan.notices.push(...disagreements(wikis, deps.unlisted ?? []));
  for (const wiki of wikis) {
    const { wikiDbName } = wiki;
    const verdict = deps.judge(wiki);
    plan.wikis.push({ wikiDbName, included: verdict.included, reason: verdict.reason });
    const runs = known.get(wikiDbName) ?? new Map<string, Group>();
    for (const source of verdict.included ? sources : []) {
      const runDate = source.runDate(cycle);
      if (runDate === null) continue;
      const key = `${source.name}/${runDate}`;
      const rows = runs.get(key)?.rows ?? new Map<string, DumpFile>();
      runs.delete(key);
      add(
        { wikiDbName, source: source.name, runDate },
        planRun({ ...deps, terms, source, wikiDbName, runDate, rows }),
      );
    }
    // What was expected once, of a wiki or a source that is not wanted any more.
    const reason = verdict.included ? 'its source is not configured any more' : verdict.reason;
    for (const { source, runDate, rows } of runs.values())
      add(
        { wikiDbName, source, runDate },
        [...rows.values()].map((row) => planUnwanted(row, reason, catalog)),
      );
  }
  return plan;
}

/** Nobody waits in a cycle that takes nothing any more. */
function endWaiting(row: RowFacts, { takesFiles }: Terms): RowFacts {
  if (takesFiles || row.action !== 'wait') return row;
  return { ...row, action: 'skip', reason: `${row.reason}; the cycle takes no late files any more` };
}

/** What should be taken, or known, and is not, because the site matrix and the dumps disagree. */
function disagreements(wikis: readonly Wiki[], unlisted: readonly UnlistedWiki[]): string[] {
  const privateButDumped = wikis.filter((wiki) => wiki.isPrivate && wiki.dumpedSeenAt !== null);
  return crossCheckNotices({
    notInMatrix: [...unlisted],
    privateButDumped: privateButDumped.map(({ wikiDbName }) => wikiDbName),
    ...{ dumped: [], notDumped: [], vanishedButDumped: [] },
  });
}

interface Group {
  source: SourceName;
  runDate: string;
  rows: Map<string, DumpFile>;
}

function groupRows(files: readonly DumpFile[]): Map<string, Map<string, Group>> {
  const wikis = new Map<string, Map<string, Group>>();
  for (const file of files) {
    const { wikiDbName, source, runDate, filename } = file;
    const runs = wikis.get(wikiDbName) ?? new Map<string, Group>();
    wikis.set(wikiDbName, runs);
    const key = `${source}/${runDate}`;
    const group = runs.get(key) ?? { source, runDate, rows: new Map<string, DumpFile>() };
    runs.set(key, group);
    group.rows.set(filename, file);
  }
  return wikis;
}

function planRun(
  facts: PlanDeps & {
    terms: Terms;
    source: DumpSource;
    wikiDbName: string;
    runDate: string;
    /** By file name; taken out as they are planned. */
    rows: Map<string, DumpFile>;
  },
): RowFacts[] {
  const { catalog, source, wikiDbName, runDate, rows, terms } = facts;
  const run = catalog.run(wikiDbName, runDate, source.name);
  const asTheyStand = (): RowFacts[] =>
    [...rows.values()].map((row) => planFile(row.filename, row, factsOfRow(row), '', terms, catalog));
  if (run === null) return [wholeRun('wait', 'nobody has looked at it yet'), ...asTheyStand()];
  if (run.status === 'absent') {
    const gone = withoutDocument(run);
    const reason = gone[0]?.reason ?? '';
    return [...gone, ...[...rows.values()].map((row) => planUnwanted(row, reason, catalog))];
  }
  const document = catalog.runDocument(run.id);
  if (document === null) return [...withoutDocument(run), ...asTheyStand()];
  let decision: RunDecision;
  try {
    decision = source.decide(document.text, { wikiDbName, runDate }, facts.selection, begunOf(rows.values()));
  } catch (error) {
    if (!(error instanceof WikiSeedError)) throw error;
    return [wholeRun('wait', `its description cannot be read: ${error.message}`), ...asTheyStand()];
  }
  const sizeBytes = decision.files.reduce(
    (sum, file) => sum + (file.action === 'take' ? file.file.sizeBytes : 0),
    0,
  );
  const refusal = facts.refuseSize?.({ sizeBytes, isFinished: decision.isFinished }) ?? null;
  const planned = decision.files.map((file) => {
    const row = rows.get(file.filename);
    rows.delete(file.filename);
    const isRefused = refusal !== null && file.action === 'take';
    return planDecided(isRefused ? refuse(file, refusal) : file, row, terms, catalog);
  });
  const named = new Set(planned.map(({ dumpType }) => dumpType));
  const missing = decision.notices
    .filter(({ dumpType }) => !named.has(dumpType))
    .map((notice) => wholeType(notice, 'skip'));
  const unlisted = [...rows.values()].map((row) =>
    planUnwanted(row, 'upstream does not list it any more', catalog),
  );
  return [...planned, ...missing, ...unlisted];
}

/** A run without a description: there is none yet, it is gone, or its cycle is over and nobody will judge it again. */
function withoutDocument(run: DumpRun): RowFacts[] {
  const notices = JSON.parse(run.notices) as RunNotice[];
  if (run.status === 'in_progress')
    return notices.length === 0
      ? [wholeRun('wait', 'the run has not begun yet')]
      : notices.map((notice) => wholeType(notice, 'wait'));
  if (notices.length === 0 && run.status === 'absent')
    return [wholeRun('skip', 'upstream has no run of this date')];
  return notices.map((notice) => wholeType(notice, 'skip'));
}
