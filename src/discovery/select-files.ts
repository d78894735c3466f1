import type { ExpectedFile, RunNotice } from '../catalog/index.ts';
import { isSafeName } from '../storage/index.ts';
import {
  type DumpStatus,
  isJobUnsettled,
  isRunFinished,
  parseUpdated,
  type StatusJob,
} from './dump-status.ts';

/** What the operator wants of a run. */
export interface Selection {
  regularTypes: readonly string[];
  historyTypes: readonly string[];
  includesHistory: boolean;
  historyFormat: '7z' | 'bz2' | 'both';
  splitFiles: 'prefer_whole' | 'prefer_parts';
}

/** What of it the run gives now. */
export interface SelectedFiles {
  files: ExpectedFile[];
  notices: RunNotice[];
  /** Files that were refused because their name or address is not what it must be. */
  refused: { filename: string; reason: string }[];
  isFinished: boolean;
}

/** Job names of dump types whose files come from several jobs; tables follow a rule. */
const JOBS_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  'pages-articles': ['articlesdumprecombine', 'articlesdump'],
  'pages-articles-multistream': ['articlesmultistreamdumprecombine', 'articlesmultistreamdump'],
  'pages-meta-current': ['metacurrentdumprecombine', 'metacurrentdump'],
  'pages-meta-history': ['metahistory7zdump', 'metahistorybz2dump'],
  'stub-articles': ['xmlstubsdumprecombine', 'xmlstubsdump'],
  'stub-meta-current': ['xmlstubsdumprecombine', 'xmlstubsdump'],
  'stub-meta-history': ['xmlstubsdumprecombine', 'xmlstubsdump'],
  abstract: ['abstractsdumprecombine', 'abstractsdump'],
  'all-titles': ['allpagetitlesdump'],
  'all-titles-in-ns0': ['pagetitlesdump'],
  'pages-logging': ['xmlpagelogsdumprecombine', 'xmlpagelogsdump'],
};

interface Candidate extends ExpectedFile {
  isWhole: boolean;
  isReady: boolean;
  jobName: string;
}

/**
 * Picks the files of one run by configured dump type and by file name, whole or parts by policy. Pure.
 * A type whose preferred form may still come is left open; what the run will never give is a notice.
 */
export function selectFiles(
  status: DumpStatus,
  run: { wikiDbName: string; runDate: string; baseUrl: string },
  selection: Selection,
): SelectedFiles {
  const isFinished = isRunFinished(status);
  const types = new Set([
    ...selection.regularTypes,
    ...(selection.includesHistory ? selection.historyTypes : []),
  ]);
  const refused: SelectedFiles['refused'] = [];
  const files: ExpectedFile[] = [];
  const notices: RunNotice[] = [];
  for (const dumpType of [...types].sort()) {
    const isHistory = !selection.regularTypes.includes(dumpType);
    const candidates = candidatesOf(status, run, dumpType, isHistory, refused);
    const jobs = jobsOf(status, dumpType, candidates);
    const chosen = choose(candidates, jobs, selection, isFinished);
    for (const { isWhole: _whole, isReady: _ready, jobName: _job, ...file } of chosen.files) files.push(file);
    if (chosen.notice !== null) notices.push({ dumpType, reason: chosen.notice });
  }
  const unsafe = refused.map((r) => ({ dumpType: r.filename.slice(0, 80), reason: `refused: ${r.reason}` }));
  return { files, notices: [...notices, ...unsafe], refused, isFinished };
}

function candidatesOf(
  status: DumpStatus,
  run: { wikiDbName: string; runDate: string; baseUrl: string },
  dumpType: string,
  isHistory: boolean,
  refused: SelectedFiles['refused'],
): Candidate[] {
  const prefix = `${run.wikiDbName}-${run.runDate}-`;
  const candidates: Candidate[] = [];
  for (const [jobName, job] of Object.entries(status.jobs)) {
    for (const [filename, facts] of Object.entries(job.files ?? {})) {
      // Not only hostile names: a name we cannot store must not pass for one that is simply of another type.
      if (!isSafeName(filename)) {
        if (!refused.some((r) => r.filename === filename))
          refused.push({ filename, reason: 'the name would leave its folder' });
        continue;
      }
      if (!filename.startsWith(prefix)) continue;
      const form = matchType(filename.slice(prefix.length), dumpType);
      if (form === null) continue;
      const path = `/${run.wikiDbName}/${run.runDate}/${filename}`;
      if (facts.url !== undefined && facts.url !== path) {
        refused.push({ filename, reason: `the address ${facts.url.slice(0, 80)} is not ${path}` });
        continue;
      }
      candidates.push({
        dumpType,
        filename,
        isHistory,
        sizeBytes: facts.size ?? 0,
        upstreamMd5: facts.md5 ?? null,
        upstreamSha1: facts.sha1 ?? null,
        wikimediaUrl: `${run.baseUrl.replace(/\/$/, '')}${path}`,
        wikimediaStatus: job.status,
        wikimediaDate: parseUpdated(job.updated),
        isWhole: form === 'whole',
        isReady: job.status === 'done' && facts.size !== undefined && facts.url !== undefined,
        jobName,
      });
    }
  }
  return candidates;
}

/** `rest` is the file name without `<db>-<date>-`. Base names may end in digits, so the type is matched first. */
export function matchType(rest: string, dumpType: string): 'whole' | 'part' | null {
  if (!rest.startsWith(dumpType)) return null;
  const tail = rest.slice(dumpType.length);
  const match =
    /^(?:-index)?(?<part>[1-9]\d*)?(?:\.(?:xml|sql|txt|json))?(?<range>-p\d+p\d+)?\.(?:bz2|gz|7z)$/.exec(
      tail,
    );
  if (match === null) return null;
  return match.groups?.part === undefined && match.groups?.range === undefined ? 'whole' : 'part';
}

function jobsOf(
  status: DumpStatus,
  dumpType: string,
  candidates: readonly Candidate[],
): [string, StatusJob][] {
  const names = new Set([
    ...(JOBS_OF_TYPE[dumpType] ?? [`${dumpType.replaceAll('_', '')}table`]),
    ...candidates.map((c) => c.jobName),
  ]);
  return Object.entries(status.jobs).filter(([name]) => names.has(name));
}

function choose(
  all: readonly Candidate[],
  jobs: readonly [string, StatusJob][],
  selection: Selection,
  isFinished: boolean,
): { files: Candidate[]; notice: string | null } {
  const inFormat = byFormat(all, jobs, selection.historyFormat);
  const wholes = inFormat.filter((c) => c.isWhole);
  const parts = inFormat.filter((c) => !c.isWhole);
  const isWholeComing =
    jobs.some(([name, job]) => name.includes('recombine') && isJobUnsettled(job)) && !isFinished;
  const orders = selection.splitFiles === 'prefer_whole' ? [wholes, parts] : [parts, wholes];
  for (const form of orders) {
    const ready = form.filter((c) => c.isReady);
    // A set of parts counts only when it is complete: every job that lists one is done, and every part is there.
    if (ready.length > 0 && ready.length === form.length) {
      if (form === parts && isWholeComing && selection.splitFiles === 'prefer_whole')
        return { files: [], notice: null };
      return { files: ready, notice: null };
    }
  }
  const partial = orders.find((form) => form.some((c) => c.isReady));
  const open = jobs.filter(([, job]) => isJobUnsettled(job));
  if (open.length > 0) return { files: partial?.filter((c) => c.isReady) ?? [], notice: null };
  const states = new Set(jobs.map(([, job]) => job.status));
  if (partial !== undefined)
    return { files: partial.filter((c) => c.isReady), notice: 'upstream lacks some of its files' };
  if (states.has('failed')) return { files: [], notice: 'failed upstream' };
  if (states.has('skipped')) return { files: [], notice: 'skipped by upstream in this run' };
  if (states.has('done')) return { files: [], notice: 'upstream lists it as done, but gives no file' };
  return { files: [], notice: isFinished || jobs.length === 0 ? 'not offered by this wiki' : null };
}

/**
 * Only the full history comes in two formats. While the wanted one may still come nothing is taken; the other one is
 * taken when the wanted one is not offered at all.
 */
function byFormat(
  all: readonly Candidate[],
  jobs: readonly [string, StatusJob][],
  format: Selection['historyFormat'],
): readonly Candidate[] {
  const formats = jobs.filter(([name]) => /^metahistory(7z|bz2)dump$/.test(name));
  if (formats.length === 0 || format === 'both') return all;
  const wanted = all.filter((c) => c.filename.endsWith(`.${format}`));
  if (wanted.length > 0) return wanted;
  const isComing = formats.some(([name, job]) => name === `metahistory${format}dump` && isJobUnsettled(job));
  return isComing ? [] : all;
}
