import type { Candidate } from './classify-files.ts';
import { type DumpStatus, isSettled, type StatusJob } from './dump-status.ts';
import type { Selection } from './source.ts';

/* Which forms of a dump type a run offers, and how far each of them is. */

/** Job names of dump types that are not simply called `<type>table`. */
const JOBS_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  'pages-articles': ['articlesdump'],
  'pages-articles-multistream': ['articlesmultistreamdump'],
  'pages-meta-current': ['metacurrentdump'],
  'pages-meta-history': ['metahistory7zdump', 'metahistorybz2dump'],
  'stub-articles': ['xmlstubsdump'],
  'stub-meta-current': ['xmlstubsdump'],
  'stub-meta-history': ['xmlstubsdump'],
  abstract: ['abstractsdump'],
  'all-titles': ['allpagetitlesdump'],
  'all-titles-in-ns0': ['pagetitlesdump'],
  'pages-logging': ['xmlpagelogsdump'],
  'siteinfo-namespaces': ['namespaces'],
  'siteinfo2-namespacesv2': ['namespacesv2'],
  flow: ['xmlflowdump'],
  flowhistory: ['xmlflowhistorydump'],
  change_tag: ['changetagstable'],
};

/** Jobs that make one and the same content in two formats. */
export const FORMAT_OF_JOB: Readonly<Record<string, string>> = {
  metahistory7zdump: '7z',
  metahistorybz2dump: 'bz2',
};

/** One way to have all of a type: whole or in parts, in one format. */
export interface Offer {
  form: 'whole' | 'parts';
  /** null: the type comes in one format only. */
  format: string | null;
  files: Candidate[];
  /** A job that may bring it is not settled and lists nothing of it yet. */
  hasOpenJob: boolean;
}

/** Jobs that list files of the type, and those that would but have nothing to list yet. */
export function jobsOf(
  dumpType: string,
  all: readonly Candidate[],
  status: DumpStatus,
): [string, StatusJob][] {
  const bases = JOBS_OF_TYPE[dumpType] ?? [`${dumpType.replaceAll('_', '')}table`];
  const names = new Set([...bases, ...bases.map((base) => `${base}recombine`)]);
  for (const { jobName } of all) names.add(jobName);
  return [...status.jobs].filter(([name]) => names.has(name));
}

export function formatsOf(dumpType: string, { historyFormat }: Selection): (string | null)[] {
  if (dumpType !== 'pages-meta-history') return [null];
  return historyFormat === 'bz2' ? ['bz2', '7z'] : ['7z', 'bz2'];
}

export function offersOf(
  format: string | null,
  all: readonly Candidate[],
  jobs: readonly [string, StatusJob][],
  status: DumpStatus,
  selection: Selection,
): Offer[] {
  const forms = selection.splitFiles === 'prefer_whole' ? WHOLE_FIRST : PARTS_FIRST;
  const listing = new Set(all.map(({ jobName }) => jobName));
  const silent = jobs.filter(
    ([name, job]) =>
      !listing.has(name) && !isSettled(job) && (format === null || FORMAT_OF_JOB[name] === format),
  );
  return forms.map((form) => ({
    form,
    format,
    files: all.filter((file) => file.form === form && (format === null || file.packing === format)),
    // `articlesdumprecombine` exists only on wikis whose `articlesdump` gives parts.
    hasOpenJob: silent.some(([name]) =>
      name.endsWith('recombine')
        ? form === 'whole'
        : form === 'parts' || !status.jobs.has(`${name}recombine`),
    ),
  }));
}

const WHOLE_FIRST = ['whole', 'parts'] as const;
const PARTS_FIRST = ['parts', 'whole'] as const;

export const isOpen = ({ files, hasOpenJob }: Offer): boolean =>
  hasOpenJob || files.some((f) => f.state === 'open');
export const hasReady = ({ files }: Offer): boolean => files.some((file) => file.state === 'ready');

export function isComplete(offer: Offer): boolean {
  return hasReady(offer) && !isOpen(offer) && offer.files.every((file) => file.state === 'ready');
}

/** A done job without a size may be a moment between two writes of upstream's: the run's end tells. */
export function isComing(offer: Offer, isFinished: boolean): boolean {
  return isOpen(offer) || (!isFinished && offer.files.some((file) => file.state === 'missing'));
}
