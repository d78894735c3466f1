import type { SourceName, Torrent } from '../catalog/index.ts';
import { assert } from '../lib/index.ts';

/** What a torrent is made of: a whole cycle, one run of one wiki, or of a cycle one project or one language. */
export const GROUPINGS = ['cycle', 'wiki_run', 'project', 'language'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** Everything current, everything with full history, or the current files unpacked. */
export const VARIANTS = ['regular', 'history', 'uncompressed'] as const;
export type Variant = (typeof VARIANTS)[number];

/** Names one torrent. */
export interface WhichTorrent {
  cycleDate: string;
  variant: Variant;
  /** 0 = the cycle's own; 1, 2, … = what settled later. A run of a wiki has no supplements: what settles late is in the cycle's. */
  supplement: number;
  grouping: Grouping;
  /** The wiki (`wiki_run`), the project or the language; null = of the whole cycle. */
  scope: string | null;
  /** Of the run, for `wiki_run` alone. */
  source: SourceName | null;
  runDate: string | null;
  /** 0 = all of it, or not decided yet; 1, 2, … = what one torrent cannot hold, in order. */
  part: number;
}

/** A torrent of a whole cycle. */
export function ofCycle(cycleDate: string, facts: Partial<WhichTorrent> = {}): WhichTorrent {
  return {
    ...{ cycleDate, variant: 'regular', supplement: 0, grouping: 'cycle', part: 0 },
    ...{ scope: null, source: null, runDate: null },
    ...facts,
  };
}

/** Only that; what else the value has is left out. */
export function whichOf(which: WhichTorrent): WhichTorrent {
  const { cycleDate, variant, supplement, grouping, scope, source, runDate, part } = which;
  return { cycleDate, variant, supplement, grouping, scope, source, runDate, part };
}

/** Which torrent a recorded one is. */
export function whichIs(torrent: WhichRow): WhichTorrent {
  const { cycleDate, supplement, part, scope, source, runDate } = torrent;
  return {
    ...{ cycleDate, supplement, part, scope, source, runDate },
    grouping: torrent.grouping,
    variant: torrent.isUncompressed ? 'uncompressed' : torrent.isHistory ? 'history' : 'regular',
  };
}

type WhichRow = Pick<
  Torrent,
  | 'cycleDate'
  | 'supplement'
  | 'part'
  | 'grouping'
  | 'scope'
  | 'source'
  | 'runDate'
  | 'isHistory'
  | 'isUncompressed'
>;

/**
 * Name on this host, and of the .torrent file:
 *
 * - `wikimedia-dumps-2026-11-20`, `wikimedia-dumps-history-2026-11-20`, `wikimedia-dumps-uncompressed-2026-11-20`
 * - `wikimedia-dumps-project-wikipedia-2026-11-20`, `wikimedia-dumps-language-en-history-2026-11-20`
 * - `enwiki-20261120`, `enwiki-history-20261120`, `enwiki-content-current-2026-11-01`
 *
 * followed by `-supplement-1` and `-part-1` where there are several.
 */
export function torrentName(which: WhichTorrent): string {
  const { supplement, part } = which;
  return `${wholeName(which)}${supplement === 0 ? '' : `-supplement-${supplement}`}${part === 0 ? '' : `-part-${part}`}`;
}

/** Name in the info dictionary and of the folder: a run of a wiki lies in the folder of the wiki, as it does on every mirror. */
export function infoNameOf(which: WhichTorrent): string {
  return which.grouping === 'wiki_run' ? scopeOf(which) : torrentName(which);
}

function wholeName(which: WhichTorrent): string {
  const { cycleDate, variant, grouping } = which;
  const ofVariant = variant === 'regular' ? '' : `${variant}-`;
  switch (grouping) {
    case 'cycle':
      return `wikimedia-dumps-${ofVariant}${cycleDate}`;
    case 'project':
    case 'language':
      return `wikimedia-dumps-${grouping}-${scopeOf(which)}-${ofVariant}${cycleDate}`;
    case 'wiki_run': {
      const { source, runDate } = which;
      assert(source !== null && runDate !== null, 'a torrent of a run names its run');
      if (source === 'classic') return `${scopeOf(which)}-${ofVariant}${runDate}`;
      // Whether it is history is said by the source.
      return `${scopeOf(which)}-${source.replace('_', '-')}-${runDate}`;
    }
  }
}

function scopeOf({ scope, grouping }: WhichTorrent): string {
  assert(scope !== null, `a torrent of a ${grouping} names it`);
  return scope;
}

/** The same in words, for people who look at the .torrent file. */
export function commentOf(which: WhichTorrent): string {
  const { variant, grouping, cycleDate, supplement, part } = which;
  const what = { regular: '', history: ' with full history', uncompressed: ', unpacked' }[variant];
  const parts = part === 0 ? '' : `, part ${part}`;
  if (grouping === 'wiki_run')
    return `Wikimedia database dumps of ${which.scope}${what}, run of ${which.runDate}${parts}; the files are laid out as on https://dumps.wikimedia.org.`;
  const whose = grouping === 'cycle' ? '' : ` of the ${grouping} ${which.scope}`;
  const supplements = supplement === 0 ? '' : `, supplement ${supplement}`;
  return `Wikimedia database dumps${whose}${what}, cycle of ${cycleDate}${supplements}${parts}; start with README.txt.`;
}
