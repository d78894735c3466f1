/** One measured number, as `--json` prints it (bench/README.md). */
export interface Figure {
  name: string;
  /** Median over the rounds; of what must never be exceeded the worst round. */
  ours: number;
  /** The same of the peer or of the case compared with; null when there is none or it is not installed. */
  theirs: number | null;
  /** ours / theirs. */
  ratio: number | null;
  unit: string;
  /** Bound in words, such as `<= 1.2`; of the ratio where something is compared, else of `ours`. Null = none is named. */
  target: string | null;
  /** Null when there is no target, or when what it is about could not be measured. */
  met: boolean | null;
}

/** A figure with what only the table shows. */
export interface MeasuredFigure extends Figure {
  /** Worst of our rounds. */
  worst: number;
  worstOfTheirs: number | null;
}

/** What a benchmark hands over: raw rounds of one question. */
export interface Rounds {
  name: string;
  unit: string;
  /** Which end of the rounds is the bad one: times are worst when high, speeds when low. */
  better: 'low' | 'high';
  ours: readonly number[];
  /** Rounds of the peer; null or absent = nothing to compare with. */
  theirs?: readonly number[] | null;
  /** `worst`: it must never be exceeded, so the worst round is what counts. */
  target?: { of: 'ours' | 'ratio' | 'worst'; bound: string };
}

/** Condenses rounds to median and worst and judges the target on the unrounded number. */
export function figureOf(rounds: Rounds): MeasuredFigure {
  const { better, target } = rounds;
  const theirRounds = rounds.theirs ?? null;
  const ours = target?.of === 'worst' ? worst(rounds.ours, better) : median(rounds.ours);
  const theirs = theirRounds === null ? null : median(theirRounds);
  const ratio = theirs === null ? null : ours / theirs;
  const judged = target?.of === 'ratio' ? ratio : ours;
  return {
    name: rounds.name,
    ours: significant(ours),
    theirs: theirs === null ? null : significant(theirs),
    ratio: ratio === null ? null : significant(ratio),
    unit: rounds.unit,
    target: target?.bound ?? null,
    met: target === undefined || judged === null ? null : isWithin(judged, target.bound),
    worst: significant(worst(rounds.ours, better)),
    worstOfTheirs: theirRounds === null ? null : significant(worst(theirRounds, better)),
  };
}

/** Exactly the keys that bench/README.md names. */
export function plainFigure({ worst: _worst, worstOfTheirs: _theirs, ...figure }: MeasuredFigure): Figure {
  return figure;
}

/** Middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2;
}

/** Nearest-rank percentile: the smallest value that at least `percent` of all values do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
}

function worst(values: readonly number[], better: 'low' | 'high'): number {
  return better === 'low' ? Math.max(...values) : Math.min(...values);
}

/** Four digits: no round repeats the fifth. */
function significant(value: number): number {
  return Number(value.toPrecision(4));
}

function isWithin(value: number, bound: string): boolean {
  const match = /^(<=|<|>=|>) (\d+(?:\.\d+)?)$/.exec(bound);
  if (match === null) throw new Error(`a bound must look like "<= 1.2", not "${bound}"`);
  const limit = Number(match[2]);
  if (match[1] === '<=') return value <= limit;
  if (match[1] === '<') return value < limit;
  if (match[1] === '>=') return value >= limit;
  return value > limit;
}
