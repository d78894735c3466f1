import { DAY } from './moments.ts';
import type { SimFile, SimRun } from './runs.ts';
import type { SimUpstream } from './upstream.ts';
import type { Weather } from './weather.ts';

/** What the checker is told of the world. */
export interface Known {
  upstream: SimUpstream;
  weather: Weather;
  /** Cycles from, and to, that must be whole by now. */
  from: string;
  to: string;
  now: number;
  regularTypes: readonly string[];
  historyTypes: readonly string[];
  historyMonths: readonly number[];
  /** The daemon was down, or dead. */
  downtimes: readonly (readonly [from: number, until: number])[];
  /** Longest time between two looks, ms. */
  lookEvery: number;
}

/** Four weeks: so long a cycle takes late files. */
export const LATE = 28 * DAY;

export interface CycleRow {
  cycleDate: string;
  openedAt: number;
  sealedAt: number;
  includesHistory: 0 | 1;
  isPostponed: 0 | 1;
}
export interface GapRow {
  name: string;
  cycleDate: string;
  supplement: number;
  wikiDbName: string;
  source: SimRun['source'];
  runDate: string;
  dumpType: string;
  filename: string | null;
  state: string;
  reason: string;
  /** When the torrent was made that says so. */
  saidAt: number;
}
export interface CarriedRow {
  name: string;
  cycleDate: string;
  isHistory: 0 | 1;
  supplement: number;
  createdAt: number;
  dumpId: number;
  wikiDbName: string;
  source: SimRun['source'];
  runDate: string;
  dumpType: string;
  filename: string;
  sha1: string;
  verification: string;
  downloadedAt: number;
}

/** What was found; `figures` are for people. */
export interface Findings {
  problems: string[];
  figures: Map<string, number>;
}

/** When a file can first be taken and proved; Infinity: never. */
export function readyAt(file: SimFile): number {
  return Math.max(
    file.versions[0]?.from ?? 0,
    Math.min(file.hashedFrom, file.summedFrom),
    file.wrongUntil,
    file.listedFrom,
  );
}
