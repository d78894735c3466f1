import { gravest, type NoticeKind } from '../catalog/index.ts';
import type { Candidate } from './classify-files.ts';
import type { DumpStatus, StatusJob } from './dump-status.ts';
import {
  FORMAT_OF_JOB,
  formatsOf,
  hasReady,
  isComing,
  isComplete,
  isOpen,
  jobsOf,
  type Offer,
  offersOf,
} from './form-offers.ts';
import type { Begun, Selection } from './source.ts';

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

/** What a choice depends on beside what upstream has. */
export interface Terms {
  selection: Selection;
  /** Nothing of the run will change by itself. */
  isFinished: boolean;
  /** What we have of it already. */
  begun: Begun;
}

/**
 * Chooses between whole and parts, and between the formats of the history. A form that may still come is waited for; the next
 * best is taken only when the better one never comes, or when it is complete and the deadline is near. A job that failed counts
 * as one that never comes: it may be run again, but the parts are there now, and upstream removes its runs. What was begun is
 * gone on with as long as it is complete and its files can be had: a better form that comes later would be the same content twice.
 */
export function chooseForm(
  dumpType: string,
  all: readonly Candidate[],
  status: DumpStatus,
  terms: Terms,
): Choice {
  const { selection } = terms;
  const jobs = jobsOf(dumpType, all, status);
  const formats = formatsOf(dumpType, selection);
  const groups = selection.historyFormat === 'both' ? formats.map((format) => [format]) : [formats];
  const verdicts: Choice['verdicts'] = new Map();
  const lacks: Lack[] = [];
  for (const group of groups) {
    const offers = group.flatMap((format) => offersOf(format, all, jobs, status, selection));
    const own = jobs.filter(([name]) => group.includes(FORMAT_OF_JOB[name] ?? group[0] ?? null));
    const lack = decideOffers(offers, own, terms, verdicts);
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

/** Complete, some of it is ours, and none of it was asked for in vain: then another form may be all that can be had. */
function isBegun(offer: Offer, { taken, failed }: Begun): boolean {
  const names = offer.files.map(({ filename }) => filename);
  return (
    isComplete(offer) && names.some((name) => taken.has(name)) && !names.some((name) => failed.has(name))
  );
}

function decideOffers(
  offers: readonly Offer[],
  jobs: readonly [string, StatusJob][],
  terms: Terms,
  verdicts: Choice['verdicts'],
): Lack | null {
  const { isFinished, selection, begun } = terms;
  const best =
    offers.find((offer) => isBegun(offer, begun)) ??
    (selection.isUrgent ? offers.find(isComplete) : undefined) ??
    offers.find((offer) => isComplete(offer) || isComing(offer, isFinished));
  const chosen = best ?? offers.find(hasReady) ?? null;
  // With nothing else to choose from, what is ready of a set is taken before its last file is there.
  const isAlone = offers.every(
    (offer) => offer === chosen || (offer.files.length === 0 && !offer.hasOpenJob),
  );
  const isTaken =
    chosen !== null && (best === undefined || isComplete(chosen) || (isAlone && !isOpen(chosen)));
  for (const offer of offers) {
    for (const file of offer.files) {
      verdicts.set(file, verdictOn(file, { offer, chosen, offers, isTaken, isFinished }));
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
}

function verdictOn(
  file: Candidate,
  { offer, chosen, offers, isTaken, isFinished }: Standpoint,
): { action: 'take' | 'wait' | 'skip'; reason: string } {
  const isLost = file.state === 'dead' || (file.state === 'missing' && isFinished);
  const why = file.state === 'missing' && isFinished ? 'upstream gives no size or address' : file.why;
  if (offer === chosen) {
    if (isLost) return { action: 'skip', reason: why };
    if (file.state !== 'ready') return { action: 'wait', reason: why };
    return isTaken
      ? { action: 'take', reason: whyTaken(offer, offers, isFinished) }
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
  if (isBetter) {
    const lack = lackOf([offer], isFinished);
    const itsLack = lack === NEVER_COMES ? 'its set is not complete' : `it ${lack}`;
    return { action: 'skip', reason: `${itsLack}: ${name} ${is} taken` };
  }
  if (offer.format !== chosen.format) return { action: 'skip', reason: `${name} is preferred` };
  return {
    action: 'skip',
    reason:
      offer.form === 'parts'
        ? 'parts are not needed: the whole file is taken'
        : 'the whole file is not needed: its parts are taken',
  };
}

function whyTaken(offer: Offer, offers: readonly Offer[], isFinished: boolean): string {
  const first = offers[0] as Offer;
  if (offer === first) return 'its type is configured';
  const isOther = offer.format !== first.format;
  const better = isOther ? offers.filter(({ format }) => format === first.format) : [first];
  const lack = lackOf(better, isFinished);
  if (isOther) return `${offer.format} is taken: ${first.format} ${lack}`;
  if (offer.form === 'parts')
    return first.files.length === 0 && !first.hasOpenJob
      ? 'its parts are taken: upstream makes no whole file'
      : `its parts are taken: the whole file ${lack}`;
  return lack === NEVER_COMES ? 'its type is configured' : `the whole file is taken: its parts ${lack}`;
}

const NEVER_COMES = 'does not come';

/** What is wrong with a form that would have been preferred. */
function lackOf(better: readonly Offer[], isFinished: boolean): string {
  if (better.some(isComplete)) return 'came later';
  return better.some((offer) => isComing(offer, isFinished)) ? 'may come too late' : NEVER_COMES;
}

function whyNothing(jobs: readonly [string, StatusJob][]): Lack {
  const states = new Set(jobs.map(([, job]) => job.status));
  if (states.has('failed')) return { kind: 'failed', reason: 'failed upstream' };
  if (states.has('skipped')) return { kind: 'skipped', reason: 'skipped by upstream in this run' };
  if (states.has('done')) return { kind: 'lacking', reason: 'upstream lists it as done, but gives no file' };
  return { kind: 'not_offered', reason: 'not offered by this wiki' };
}
