import { gravest, type NoticeKind } from '../catalog/index.ts';
import type { Candidate } from './classify-files.ts';
import { type DumpStatus, isSettled, type StatusJob } from './dump-status.ts';
import type { Selection } from './source.ts';

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
const FORMAT_OF_JOB: Readonly<Record<string, string>> = {
  metahistory7zdump: '7z',
  metahistorybz2dump: 'bz2',
};

/** What becomes of a wanted type's files. */
export interface Choice {
  verdicts: Map<Candidate, { action: 'take' | 'wait' | 'skip'; reason: string }>;
  /** Why nothing of the type is taken or awaited, or what is lacking; null: nothing to say. */
  notice: Lack | null;
}

interface Lack {
  kind: NoticeKind;
  reason: string;
}

/** One way to have all of a type: whole or in parts, in one format. */
interface Offer {
  form: 'whole' | 'parts';
  /** null: the type comes in one format only. */
  format: string | null;
  files: Candidate[];
  /** A job that may bring it is not settled and lists nothing of it yet. */
  hasOpenJob: boolean;
}

/**
 * Chooses between whole and parts, and between the formats of the history. A form that may still come is waited for; the next
 * best is taken only when the better one never comes. A job that failed counts as one that never comes: it may be run again,
 * but the parts are there now, and upstream removes its runs.
 */
export function chooseForm(
  dumpType: string,
  all: readonly Candidate[],
  status: DumpStatus,
  selection: Selection,
  isFinished: boolean,
): Choice {
  const jobs = jobsOf(dumpType, all, status);
  const formats = formatsOf(dumpType, selection);
  const groups = selection.historyFormat === 'both' ? formats.map((format) => [format]) : [formats];
  const verdicts: Choice['verdicts'] = new Map();
  const lacks: Lack[] = [];
  for (const group of groups) {
    const offers = group.flatMap((format) => offersOf(format, all, jobs, status, selection));
    const own = jobs.filter(([name]) => group.includes(FORMAT_OF_JOB[name] ?? group[0] ?? null));
    const lack = decideOffers(offers, own, isFinished, selection, verdicts);
    if (lack === null) continue;
    const { kind, reason } = lack;
    lacks.push({ kind, reason: groups.length > 1 ? `${reason} (${group[0]})` : reason });
  }
  for (const file of all)
    if (!verdicts.has(file)) verdicts.set(file, { action: 'skip', reason: 'its format is not one we know' });
  const kind = gravest(lacks.map((lack) => lack.kind));
  const notice = kind === null ? null : { kind, reason: lacks.map(({ reason }) => reason).join('; ') };
  return { verdicts, notice };
}

/** Jobs that list files of the type, and those that would but have nothing to list yet. */
function jobsOf(dumpType: string, all: readonly Candidate[], status: DumpStatus): [string, StatusJob][] {
  const bases = JOBS_OF_TYPE[dumpType] ?? [`${dumpType.replaceAll('_', '')}table`];
  const names = new Set([...bases, ...bases.map((base) => `${base}recombine`)]);
  for (const { jobName } of all) names.add(jobName);
  return [...status.jobs].filter(([name]) => names.has(name));
}

function formatsOf(dumpType: string, { historyFormat }: Selection): (string | null)[] {
  if (dumpType !== 'pages-meta-history') return [null];
  return historyFormat === 'bz2' ? ['bz2', '7z'] : ['7z', 'bz2'];
}

function offersOf(
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

const isOpen = ({ files, hasOpenJob }: Offer): boolean => hasOpenJob || files.some((f) => f.state === 'open');
const hasReady = ({ files }: Offer): boolean => files.some((file) => file.state === 'ready');

function isComplete(offer: Offer): boolean {
  return hasReady(offer) && !isOpen(offer) && offer.files.every((file) => file.state === 'ready');
}

/** A done job without a size may be a moment between two writes of upstream's: the run's end tells. */
function isComing(offer: Offer, isFinished: boolean): boolean {
  return isOpen(offer) || (!isFinished && offer.files.some((file) => file.state === 'missing'));
}

function decideOffers(
  offers: readonly Offer[],
  jobs: readonly [string, StatusJob][],
  isFinished: boolean,
  selection: Selection,
  verdicts: Choice['verdicts'],
): Lack | null {
  const best = offers.find((offer) => isComplete(offer) || isComing(offer, isFinished));
  const chosen = best ?? offers.find(hasReady) ?? null;
  // With nothing else to choose from, what is ready of a set is taken before its last file is there.
  const isAlone = offers.every(
    (offer) => offer === chosen || (offer.files.length === 0 && !offer.hasOpenJob),
  );
  const isTaken =
    chosen !== null && (best === undefined || isComplete(chosen) || (isAlone && !isOpen(chosen)));
  for (const offer of offers) {
    for (const file of offer.files) {
      verdicts.set(file, verdictOn(file, { offer, chosen, offers, isTaken, isFinished, selection }));
    }
  }
  if (chosen !== null && !isTaken) return null;
  const why = offers.flatMap((offer) => offer.files).find((file) => file.isRefused)?.why;
  const refused: Lack | null = why === undefined ? null : { kind: 'refused', reason: why };
  if (chosen !== null) {
    if (chosen.files.every((file) => file.state === 'ready')) return null;
    if (refused !== null || !hasReady(chosen)) return refused;
    const mayCome = !isFinished && chosen.files.every((file) => file.state !== 'dead');
    return { kind: mayCome ? 'waiting' : 'lacking', reason: 'upstream lacks some of its files' };
  }
  return refused ?? whyNothing(jobs);
}

interface Standpoint {
  offer: Offer;
  chosen: Offer | null;
  offers: readonly Offer[];
  isTaken: boolean;
  isFinished: boolean;
  selection: Selection;
}

function verdictOn(
  file: Candidate,
  { offer, chosen, offers, isTaken, isFinished, selection }: Standpoint,
): { action: 'take' | 'wait' | 'skip'; reason: string } {
  const isLost = file.state === 'dead' || (file.state === 'missing' && isFinished);
  const why = file.state === 'missing' && isFinished ? 'upstream gives no size or address' : file.why;
  if (offer === chosen) {
    if (isLost) return { action: 'skip', reason: why };
    if (file.state !== 'ready') return { action: 'wait', reason: why };
    return isTaken
      ? { action: 'take', reason: whyTaken(offer, offers, selection) }
      : { action: 'wait', reason: 'upstream is still writing others of its set' };
  }
  if (chosen === null || file.isRefused) return { action: 'skip', reason: why };
  // A better form that never comes whole has reasons of its own.
  const isBetter = offers.indexOf(offer) < offers.indexOf(chosen);
  if (isLost && (isBetter || !isTaken)) return { action: 'skip', reason: why };
  const [does, is] =
    chosen.format === offer.format && chosen.form === 'parts' ? ['do', 'are'] : ['does', 'is'];
  const name =
    chosen.format !== offer.format ? chosen.format : chosen.form === 'whole' ? 'the whole file' : 'parts';
  if (!isTaken) return { action: 'wait', reason: `only needed when ${name} ${does} not come` };
  if (isBetter) return { action: 'skip', reason: `its set is not complete: ${name} ${is} taken` };
  if (offer.format !== chosen.format) return { action: 'skip', reason: `${name} is preferred` };
  return {
    action: 'skip',
    reason:
      offer.form === 'parts'
        ? 'parts are not needed: the whole file is taken'
        : 'the whole file is not needed: its parts are taken',
  };
}

function whyTaken(offer: Offer, offers: readonly Offer[], selection: Selection): string {
  const first = offers[0];
  if (offer.format !== first?.format) return `${offer.format} is taken: ${first?.format} does not come`;
  const whole = offers.find((other) => other.form === 'whole' && other.format === offer.format);
  if (offer.form === 'parts' && selection.splitFiles === 'prefer_whole')
    return whole?.files.length === 0
      ? 'its parts are taken: upstream makes no whole file'
      : 'its parts are taken: the whole file does not come';
  return 'its type is configured';
}

function whyNothing(jobs: readonly [string, StatusJob][]): Lack {
  const states = new Set(jobs.map(([, job]) => job.status));
  if (states.has('failed')) return { kind: 'failed', reason: 'failed upstream' };
  if (states.has('skipped')) return { kind: 'skipped', reason: 'skipped by upstream in this run' };
  if (states.has('done')) return { kind: 'lacking', reason: 'upstream lists it as done, but gives no file' };
  return { kind: 'not_offered', reason: 'not offered by this wiki' };
}
