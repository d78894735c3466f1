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

const NEVER = Number.POSITIVE_INFINITY;

/** A file whose times are not known yet. */
export function newFile(name: string, dumpType: string, form: SimFile['form'], bytes: number): SimFile {
  const sizeBytes = Math.max(43, Math.round(bytes));
  return {
    ...{ name, dumpType, form, listedFrom: 0, listedUntil: NEVER, hashedFrom: NEVER, summedFrom: NEVER },
    versions: [{ from: NEVER, sizeBytes, content: `${name}#1` }],
    wrongUntil: 0,
  };
}
