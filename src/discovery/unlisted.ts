import { z } from 'zod';
import type { SourceName } from '../catalog/index.ts';
import type { SystemState } from '../db/index.ts';
import type { EpochMs } from '../ports/index.ts';
import { crossCheck, crossCheckNotices, type WikiState } from './cross-check.ts';

/** A wiki that upstream dumps, but that the site matrix never named: nothing of it is taken. */
export interface UnlistedWiki {
  wikiDbName: string;
  /** Sources whose last look named it. */
  places: string[];
  seenAt: EpochMs;
}

/** What the last look at each source found. Stored: the words never change. */
const PREFIX = 'discovery:unlisted:';

const Stored = z.array(z.object({ wikiDbName: z.string(), places: z.array(z.string()), seenAt: z.number() }));

/**
 * Compares what a look at one source found dumped with the wikis we know, and remembers it in the place of what the look before
 * found.
 * @returns the disagreements as sentences for the log
 */
export function noteUnlisted(
  state: SystemState,
  source: SourceName,
  wikis: readonly WikiState[],
  { listedNames }: { listedNames: readonly string[] },
  now: EpochMs,
): string[] {
  // A list that is unchanged names nothing: what it said before stands.
  if (listedNames.length === 0) return [];
  const check = crossCheck(wikis, [{ place: source, names: listedNames }]);
  const found: UnlistedWiki[] = check.notInMatrix.map((each) => ({ ...each, seenAt: now }));
  state.set(`${PREFIX}${source}`, JSON.stringify(found), now);
  return crossCheckNotices({ ...check, notDumped: [] });
}

/**
 * The wikis that the last looks found dumped, without those that the site matrix has named since; by name.
 * @param sources those that are switched off are not asked any more, so what they found is old
 */
export function unlistedWikis(
  state: SystemState,
  wikis: readonly Pick<WikiState, 'wikiDbName'>[],
  sources: readonly SourceName[],
): UnlistedWiki[] {
  const known = new Set(wikis.map(({ wikiDbName }) => wikiDbName));
  const found = new Map<string, UnlistedWiki>();
  for (const source of sources) {
    for (const each of Stored.parse(JSON.parse(state.get(`${PREFIX}${source}`) ?? '[]'))) {
      const { wikiDbName, places, seenAt } = each;
      if (known.has(wikiDbName)) continue;
      const other = found.get(wikiDbName);
      found.set(wikiDbName, {
        wikiDbName,
        places: [...new Set([...(other?.places ?? []), ...places])],
        seenAt: Math.max(seenAt, other?.seenAt ?? 0),
      });
    }
  }
  return [...found.values()].sort((a, b) => (a.wikiDbName < b.wikiDbName ? -1 : 1));
}
