/** What the name of a torrent says of it. */
export interface NamedTorrent {
  grouping: 'cycle' | 'wiki_run' | 'project' | 'language';
  scope: string | null;
  source: 'classic' | 'content_current' | 'content_history' | null;
  runDate: string | null;
  /** null: that of its run, which the name does not say. */
  cycleDate: string | null;
  isHistory: boolean;
  isUncompressed: boolean;
  supplement: number;
  part: number;
  /** Name of the folder, and in the info dictionary. */
  infoName: string;
}

const ENDING = '(?:-supplement-(?<supplement>\\d{1,4}))?(?:-part-(?<part>\\d{1,4}))?$';
const OF_CYCLE = new RegExp(
  `^wikimedia-dumps-(?:(?<grouping>project|language)-(?<scope>.+?)-)?(?:(?<variant>history|uncompressed)-)?(?<cycle>\\d{4}-\\d{2}-\\d{2})${ENDING}`,
);
const OF_RUN = new RegExp(
  `^(?<scope>[a-z0-9_]+)-(?:(?<variant>history-)?(?<classic>\\d{8})|content-(?<kind>current|history)-(?<content>\\d{4}-\\d{2}-\\d{2}))${ENDING}`,
);

/** Takes the name of a torrent of ours apart; null = it is none. What the names are is written in `torrenting/which-torrent.ts`. */
export function parseTorrentName(name: string): NamedTorrent | null {
  const cycle = OF_CYCLE.exec(name)?.groups;
  if (cycle !== undefined)
    return {
      grouping: (cycle.grouping as 'project' | 'language' | undefined) ?? 'cycle',
      scope: cycle.scope ?? null,
      ...{ source: null, runDate: null, cycleDate: cycle.cycle ?? null },
      isHistory: cycle.variant === 'history',
      isUncompressed: cycle.variant === 'uncompressed',
      ...endingOf(cycle),
      infoName: name,
    };
  const run = OF_RUN.exec(name)?.groups;
  if (run === undefined) return null;
  const isHistory = run.variant !== undefined || run.kind === 'history';
  return {
    ...{ grouping: 'wiki_run', scope: run.scope ?? null, cycleDate: null, isHistory, isUncompressed: false },
    source:
      run.kind === undefined ? 'classic' : run.kind === 'current' ? 'content_current' : 'content_history',
    runDate: run.classic ?? run.content ?? null,
    ...endingOf(run),
    infoName: run.scope ?? '',
  };
}

function endingOf({ supplement, part }: Record<string, string | undefined>): {
  supplement: number;
  part: number;
} {
  return { supplement: Number(supplement ?? 0), part: Number(part ?? 0) };
}
