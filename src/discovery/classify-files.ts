import { isSafeName } from '../storage/index.ts';
import { type DumpStatus, isSettled, type StatusFile, type StatusJob } from './dump-status.ts';
import { dumpTypeOf, isPart, parseFileName, temporarySuffix } from './file-name.ts';
import type { RunId, Selection } from './source.ts';

/**
 * A file of a wanted dump type, and how far upstream is with it. ready: it can be fetched; open: its job is at it, or will
 * be; missing: its job is done, but it has no size or address; dead: its job gave it up, or we refuse it.
 */
export interface Candidate {
  filename: string;
  dumpType: string;
  form: 'whole' | 'parts';
  packing: string | null;
  jobName: string;
  job: StatusJob;
  facts: StatusFile;
  state: 'ready' | 'open' | 'missing' | 'dead';
  /** Why it is not ready; empty when it is. */
  why: string;
  isRefused: boolean;
}

/** What every listed file is, in upstream's order: of a wanted type, or `skip` with the reason. */
export type Classified = { facts: StatusFile } & (
  | { candidate: Candidate }
  | { candidate: null; filename: string; dumpType: string | null; reason: string; isRefused: boolean }
);

/** Looks once at every file of a run. A file that two jobs list is one file. */
export function classifyFiles(status: DumpStatus, run: RunId, selection: Selection): Classified[] {
  const wanted = wantedTypes(selection);
  const classified = new Map<string, Classified>();
  for (const [jobName, job] of status.jobs) {
    for (const [filename, facts] of job.files) {
      const before = classified.get(filename);
      const found = classify({ filename, facts, jobName, job }, run, wanted, selection);
      if (before === undefined || isBetter(found, before)) classified.set(filename, found);
    }
  }
  return [...classified.values()];
}

/** All configured dump types that this cycle takes. */
export function wantedTypes(selection: Selection): ReadonlySet<string> {
  return new Set([...selection.regularTypes, ...(selection.includesHistory ? selection.historyTypes : [])]);
}

/** The one address that a file of this run may have. */
export function pathOf(filename: string, run: RunId): string {
  return `/${run.wikiDbName}/${run.runDate}/${filename}`;
}

function classify(
  listed: { filename: string; facts: StatusFile; jobName: string; job: StatusJob },
  run: RunId,
  wanted: ReadonlySet<string>,
  selection: Selection,
): Classified {
  const { filename, facts, jobName, job } = listed;
  const skip = (reason: string, dumpType: string | null = null): Classified => ({
    ...{ candidate: null, filename, facts, dumpType, reason },
    isRefused: reason.startsWith('refused: '),
  });
  if (!isSafeName(filename)) return skip('refused: the name would leave its folder');
  const suffix = temporarySuffix(filename);
  if (suffix !== null) return skip(`a temporary file of upstream (${suffix})`);
  const name = parseFileName(filename, run.wikiDbName);
  if (name === null) return skip('its name is not that of a dump file of this wiki');
  const dumpType = dumpTypeOf(name);
  if (name.date === 'latest') return skip('a link of upstream to its latest run', dumpType);
  if (name.date !== run.runDate) return skip('its name is that of another run', dumpType);
  if (!wanted.has(dumpType))
    return skip(
      selection.historyTypes.includes(dumpType)
        ? 'history is not taken in this cycle'
        : `its type (${dumpType}) is not configured`,
      dumpType,
    );
  const path = pathOf(filename, run);
  const isRefused = facts.url !== null && facts.url !== path;
  const form = isPart(name) ? 'parts' : 'whole';
  const candidate = { filename, dumpType, form, packing: name.packing, jobName, job, facts } as const;
  const standing = isRefused
    ? ({ state: 'dead', why: `refused: the address ${printable(facts.url ?? '')} is not ${path}` } as const)
    : standingOf(job, facts);
  return { facts, candidate: { ...candidate, ...standing, isRefused } };
}

function standingOf(job: StatusJob, facts: StatusFile): Pick<Candidate, 'state' | 'why'> {
  if (job.status === 'done')
    return facts.size !== null && facts.url !== null
      ? { state: 'ready', why: '' }
      : { state: 'missing', why: 'no size or address yet' };
  if (job.status === 'failed') return { state: 'dead', why: 'its job failed upstream' };
  if (isSettled(job)) return { state: 'dead', why: 'upstream skips it in this run' };
  if (job.status === 'in-progress') return { state: 'open', why: 'upstream is still writing it' };
  if (job.status === 'waiting') return { state: 'open', why: 'upstream has not made it yet' };
  return { state: 'open', why: `upstream says of it "${printable(job.status)}", which is no word we know` };
}

const RANK = { ready: 0, open: 1, missing: 2, dead: 3 } as const;

function isBetter(found: Classified, before: Classified): boolean {
  if (found.candidate === null || before.candidate === null) return false;
  return RANK[found.candidate.state] < RANK[before.candidate.state];
}

/** Text from the network goes to terminals and pages: short, and nothing that moves a cursor. */
function printable(text: string): string {
  return text.slice(0, 80).replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?');
}
