import { at, compact, DAY, type Dice, dice, HOUR } from './moments.ts';
import type { SimWiki, Size } from './wikis.ts';

/** What a job of upstream's is at. */
export type Phase = 'waiting' | 'in-progress' | 'done' | 'failed' | 'skipped';

/** One file of a run. Times are epoch ms; what never happens is at Infinity. */
export interface SimFile {
  name: string;
  dumpType: string;
  form: 'whole' | 'parts';
  listedFrom: number;
  listedUntil: number;
  /** What lies there, and from when; `content` stands for the bytes. The first one is there as soon as its job is done. */
  versions: { from: number; sizeBytes: number; content: string }[];
  /** When its hashes stand in the status, and in the lists of sums. */
  hashedFrom: number;
  summedFrom: number;
  /** Until then the published hashes are not those of the bytes. */
  wrongUntil: number;
}

export interface SimJob {
  name: string;
  phases: { from: number; phase: Phase }[];
  files: SimFile[];
}

/** One run of one wiki at one source, with everything that will ever happen to it. */
export interface SimRun {
  source: 'classic' | 'content_current';
  wikiDbName: string;
  /** As upstream writes it. */
  runDate: string;
  /** `2026-01-20` */
  batch: string;
  /** Infinity: it is never made. */
  beginsAt: number;
  /** When its folder is removed. */
  removedAt: number;
  jobs: SimJob[];
  /** What goes wrong with it. */
  troubles: Trouble[];
}

export type Trouble =
  | 'never made'
  | 'fails for good'
  | 'fails and is rerun soon'
  | 'fails and is rerun late'
  | 'hangs'
  | 'hashes come late'
  | 'hashes only in the sums'
  | 'hashes never come'
  | 'replaced'
  | 'parts renamed'
  | 'removed early'
  | 'wrong hashes'
  | 'done late';

/** How often things go wrong: share of runs. */
export type Rates = Readonly<Partial<Record<Trouble, number>>>;

/** Some of everything in a year of 24,000 runs. */
export const YEAR_RATES: Rates = {
  'never made': 0.0003,
  'fails for good': 0.002,
  'fails and is rerun soon': 0.002,
  'fails and is rerun late': 0.0008,
  hangs: 0.00015,
  'hashes come late': 0.002,
  'hashes only in the sums': 0.001,
  'hashes never come': 0.0002,
  replaced: 0.0012,
  'parts renamed': 0.05,
  'removed early': 0.0002,
  'wrong hashes': 0.0003,
  'done late': 0.0003,
};

/** Upstream keeps fewer runs of the large ones. */
const KEPT_DAYS: Readonly<Record<Size, number>> = { tiny: 150, medium: 120, large: 105 };

/** The jobs of a run in upstream's order, with their share of its time. */
const ORDER = [
  ['articlesdump', 0.2],
  ['articlesdumprecombine', 0.05],
  ['metacurrentdump', 0.15],
  ['metacurrentdumprecombine', 0.05],
  ['metahistorybz2dump', 0.25],
  ['metahistory7zdump', 0.2],
] as const;

const NEVER = Number.POSITIVE_INFINITY;

/** Everything that will happen to the run of a wiki in a batch; null: the batch does not have this wiki. */
export function planRun(seed: number, wiki: SimWiki, batch: string, rates: Rates): SimRun | null {
  if (wiki.dumped === null || batch < wiki.dumped.from || batch > wiki.dumped.to) return null;
  const throws = dice(seed, `${wiki.wikiDbName}/${batch}`);
  const isFull = batch.endsWith('-01');
  const date = compact(batch);
  const day = at(batch);
  const beginsAt = day + (wiki.size === 'tiny' ? throws.whole(2, 34) : throws.whole(1, 40)) * HOUR;
  const lasts = lengthOf(throws, wiki.size, isFull);
  const jobs: SimJob[] = [];
  let from = beginsAt;
  for (const [name, share] of ORDER) {
    const isRecombine = name.endsWith('recombine');
    // As with Wikidata: of one large wiki in three the current text comes in parts only.
    if (isRecombine && (wiki.size !== 'large' || (name.startsWith('meta') && wiki.language < 'i'))) continue;
    const files = filesOf(wiki, name, date);
    const doneAt = from + Math.max(HOUR, Math.round((lasts * share) / HOUR) * HOUR);
    const isSkipped = !isFull && name.startsWith('metahistory');
    const phases: SimJob['phases'] = isSkipped
      ? [{ from: beginsAt, phase: 'skipped' }]
      : [
          { from: beginsAt, phase: 'waiting' },
          { from, phase: 'in-progress' },
          { from: doneAt, phase: 'done' },
        ];
    for (const file of isSkipped ? [] : files) {
      file.versions[0] = { ...(file.versions[0] as SimFile['versions'][0]), from: doneAt };
      file.hashedFrom = doneAt;
      file.summedFrom = doneAt;
    }
    jobs.push({ name, phases, files: isSkipped ? [] : files });
    if (!isSkipped) from = doneAt;
  }
  const run: SimRun = {
    ...{ source: 'classic', wikiDbName: wiki.wikiDbName, runDate: date, batch, beginsAt, jobs },
    removedAt: day + KEPT_DAYS[wiki.size] * DAY,
    troubles: [],
  };
  for (const trouble of TROUBLES)
    if (throws.hits(rates[trouble] ?? 0) && TROUBLE[trouble](run, wiki, throws)) {
      run.troubles.push(trouble);
      // One at a time: what is seen then has one cause.
      break;
    }
  return run;
}

function lengthOf(throws: Dice, size: Size, isFull: boolean): number {
  if (size === 'tiny') return throws.whole(8, 20) * HOUR;
  if (size === 'medium') return throws.whole(20, isFull ? 120 : 72) * HOUR;
  return isFull ? throws.whole(8, 15) * DAY : throws.whole(3, 6) * DAY;
}

/** Share of the text that a job's content weighs, and what it is. */
const CONTENT: Readonly<Record<string, readonly [name: string, type: string, weight: number]>> = {
  articlesdump: ['pages-articles#.xml~.bz2', 'pages-articles', 1],
  articlesdumprecombine: ['pages-articles.xml.bz2', 'pages-articles', 1],
  metacurrentdump: ['pages-meta-current#.xml~.bz2', 'pages-meta-current', 1.6],
  metacurrentdumprecombine: ['pages-meta-current.xml.bz2', 'pages-meta-current', 1.6],
  metahistorybz2dump: ['pages-meta-history#.xml~.bz2', 'pages-meta-history', 12],
  metahistory7zdump: ['pages-meta-history#.xml~.7z', 'pages-meta-history', 3],
};

function filesOf(wiki: SimWiki, job: string, date: string): SimFile[] {
  const [pattern, dumpType, weight] = CONTENT[job] as (typeof CONTENT)[string];
  const isSplit = wiki.size === 'large' && pattern.includes('#');
  return Array.from({ length: isSplit ? 4 : 1 }, (_, index) => {
    const part = isSplit ? String(index + 1) : '';
    const range = isSplit ? `-p${index * 5000 + 1}p${(index + 1) * 5000}` : '';
    const name = `${wiki.wikiDbName}-${date}-${pattern.replace('#', part).replace('~', range)}`;
    return newFile(
      name,
      dumpType,
      isSplit ? 'parts' : 'whole',
      (wiki.textBytes * weight) / (isSplit ? 4 : 1),
    );
  });
}

/** A file whose times are not known yet. */
export function newFile(name: string, dumpType: string, form: SimFile['form'], bytes: number): SimFile {
  const sizeBytes = Math.max(43, Math.round(bytes));
  return {
    ...{ name, dumpType, form, listedFrom: 0, listedUntil: NEVER, hashedFrom: NEVER, summedFrom: NEVER },
    versions: [{ from: NEVER, sizeBytes, content: `${name}#1` }],
    wrongUntil: 0,
  };
}

const TROUBLES: readonly Trouble[] = [
  'never made',
  'fails for good',
  'fails and is rerun soon',
  'fails and is rerun late',
  'hangs',
  'hashes come late',
  'hashes only in the sums',
  'hashes never come',
  'replaced',
  'parts renamed',
  'removed early',
  'wrong hashes',
  'done late',
];

/** Each changes a run into one that has that trouble; false: it cannot have it. */
const TROUBLE: Readonly<Record<Trouble, (run: SimRun, wiki: SimWiki, throws: Dice) => boolean>> = {
  'never made': (run, wiki) => {
    if (wiki.size !== 'tiny') return false;
    run.beginsAt = NEVER;
    return true;
  },
  'fails for good': (run, _wiki, throws) => {
    const job = someJob(run, throws);
    endOf(job).phase = 'failed';
    delay(job, NEVER);
    return true;
  },
  'fails and is rerun soon': (run, _wiki, throws) => rerun(run, throws, throws.whole(20, 96) * HOUR),
  'fails and is rerun late': (run, _wiki, throws) => rerun(run, throws, throws.whole(14, 26) * DAY),
  hangs: (run, _wiki, throws) => {
    const job = someJob(run, throws);
    job.phases.pop();
    delay(job, NEVER);
    return true;
  },
  'done late': (run, _wiki, throws) => {
    const job = someJob(run, throws);
    endOf(job).from += throws.whole(17, 30) * DAY;
    delay(job, endOf(job).from);
    return true;
  },
  'hashes come late': (run, _wiki, throws) => {
    const hours = throws.whole(20, 120) * HOUR;
    for (const file of someJob(run, throws).files) file.summedFrom = file.hashedFrom += hours;
    return true;
  },
  'hashes only in the sums': (run, _wiki, throws) => {
    for (const file of someJob(run, throws).files) file.hashedFrom = NEVER;
    return true;
  },
  'hashes never come': (run, _wiki, throws) => {
    for (const file of someJob(run, throws).files) file.summedFrom = file.hashedFrom = NEVER;
    return true;
  },
  replaced: (run, _wiki, throws) => {
    const after = throws.whole(20, 360) * HOUR;
    for (const file of someJob(run, throws).files) {
      const [first] = file.versions as [SimFile['versions'][0]];
      const sizeBytes = first.sizeBytes + (throws.hits(0.5) ? 1000 : 0);
      file.versions.push({ from: first.from + after, sizeBytes, content: `${file.name}#2` });
    }
    return true;
  },
  'parts renamed': (run, wiki, throws) => {
    const split = run.jobs.filter((job) => job.files.length > 1 && !isSpare(run, job));
    if (wiki.size !== 'large' || split.length === 0) return false;
    const job = split[throws.whole(0, split.length - 1)] as SimJob;
    const renamedAt = endOf(job).from + throws.whole(30, 200) * HOUR;
    const last = job.files.at(-1) as SimFile;
    last.listedUntil = renamedAt;
    for (const half of [1, 2]) {
      const name = last.name.replace(/-p(\d+)p(\d+)/, (_, first, end) =>
        half === 1 ? `-p${first}p${Number(first) + 1999}` : `-p${Number(first) + 2000}p${end}`,
      );
      const sizeBytes = (last.versions[0]?.sizeBytes ?? 0) / 2;
      const file = newFile(name, last.dumpType, 'parts', sizeBytes);
      file.versions[0] = { ...(file.versions[0] as SimFile['versions'][0]), from: renamedAt };
      job.files.push({ ...file, listedFrom: renamedAt, hashedFrom: renamedAt, summedFrom: renamedAt });
    }
    return true;
  },
  'removed early': (run, _wiki, throws) => {
    run.removedAt = run.beginsAt + throws.whole(20, 140) * HOUR;
    return true;
  },
  'wrong hashes': (run, _wiki, throws) => {
    const forGood = throws.hits(0.3);
    const right = throws.whole(2, 8) * DAY;
    for (const file of someJob(run, throws).files)
      file.wrongUntil = forGood ? NEVER : file.hashedFrom + right;
    return true;
  },
};

/** Parts of what also comes whole are not taken. */
function isSpare(run: SimRun, job: SimJob): boolean {
  return run.jobs.some(({ name }) => name === `${job.name}recombine`) || job.name === 'metahistorybz2dump';
}

/** A job that makes what is taken. */
function someJob(run: SimRun, throws: Dice): SimJob {
  const jobs = run.jobs.filter((job) => job.files.length > 0 && !isSpare(run, job));
  return jobs[throws.whole(0, jobs.length - 1)] as SimJob;
}

function endOf(job: SimJob): SimJob['phases'][0] {
  return job.phases.at(-1) as SimJob['phases'][0];
}

function delay(job: SimJob, until: number): void {
  for (const file of job.files) {
    file.versions[0] = { ...(file.versions[0] as SimFile['versions'][0]), from: until };
    file.hashedFrom = file.summedFrom = until;
  }
}

function rerun(run: SimRun, throws: Dice, afterMs: number): boolean {
  const job = someJob(run, throws);
  const failed = endOf(job);
  failed.phase = 'failed';
  const begun = failed.from + afterMs;
  job.phases.push({ from: begun, phase: 'in-progress' }, { from: begun + 3 * HOUR, phase: 'done' });
  delay(job, begun + 3 * HOUR);
  return true;
}
