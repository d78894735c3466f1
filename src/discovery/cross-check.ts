import type { Wiki } from '../catalog/index.ts';
import { isSafeName } from '../storage/index.ts';
import type { FilterVerdict } from './wiki-filter.ts';

/** The columns of a wiki that decide whether it is taken. */
export type WikiState = Pick<
  Wiki,
  'wikiDbName' | 'isPrivate' | 'isClosed' | 'isFishbowl' | 'vanishedAt' | 'dumpedSeenAt'
>;

/** Names of wikis that upstream dumps, from one place: `index.json`, or the folders of an export. */
export interface DumpedNames {
  /** For people: `index.json`. */
  place: string;
  names: Iterable<string>;
}

/** Where the site matrix and the dump site disagree; every list sorted by name. */
export interface CrossCheck {
  /** Every wiki seen as dumped in any place: what `Catalog.noteDumped` takes. */
  dumped: string[];
  /** Dumped, but never named by the site matrix: nothing of them is taken, since project and language are not known. */
  notInMatrix: { wikiDbName: string; places: string[] }[];
  /** In the site matrix and public, but dumped nowhere: new, or never dumped. */
  notDumped: string[];
  /** Private according to the site matrix, but dumped: upstream should know. */
  privateButDumped: string[];
  /** Gone from the site matrix, but dumped: they stay wanted. */
  vanishedButDumped: string[];
}

const SUFFIXES = 'wiki|wiktionary|wikibooks|wikinews|wikiquote|wikisource|wikiversity|wikivoyage|wikimedia';
const WIKI_NAME = new RegExp(`^[a-z0-9_]{0,60}(?:${SUFFIXES})$`);

/** Tells a wiki's folder from `other`, `archive` and whatever else stands beside them. All 996 known names fit. */
export function looksLikeWiki(name: string): boolean {
  return WIKI_NAME.test(name);
}

/**
 * Compares the wikis we know with the names upstream dumps. Pure.
 * A place that named nothing is no evidence: without any name at all no wiki counts as not dumped.
 */
export function crossCheck(wikis: readonly WikiState[], places: readonly DumpedNames[]): CrossCheck {
  const seen = new Map<string, string[]>();
  for (const { place, names } of places) {
    for (const name of new Set(names)) {
      if (!isSafeName(name) || !looksLikeWiki(name)) continue;
      const list = seen.get(name) ?? [];
      seen.set(name, list);
      if (!list.includes(place)) list.push(place);
    }
  }
  const known = new Set(wikis.map((wiki) => wiki.wikiDbName));
  const namesOf = (isMeant: (wiki: WikiState, isDumped: boolean) => boolean): string[] =>
    wikis
      .filter((wiki) => isMeant(wiki, seen.has(wiki.wikiDbName)))
      .map((wiki) => wiki.wikiDbName)
      .sort();
  return {
    dumped: [...seen.keys()].sort(),
    notInMatrix: [...seen]
      .filter(([name]) => !known.has(name))
      .map(([wikiDbName, list]) => ({ wikiDbName, places: list }))
      .sort((a, b) => (a.wikiDbName < b.wikiDbName ? -1 : 1)),
    notDumped:
      seen.size === 0
        ? []
        : namesOf((wiki, isDumped) => !isDumped && !wiki.isPrivate && wiki.vanishedAt === null),
    privateButDumped: namesOf((wiki, isDumped) => isDumped && wiki.isPrivate),
    vanishedButDumped: namesOf((wiki, isDumped) => isDumped && !wiki.isPrivate && wiki.vanishedAt !== null),
  };
}

/** The disagreements as sentences for the log and for plans; each names at most ten wikis. */
export function crossCheckNotices(check: CrossCheck): string[] {
  const say = (names: readonly string[], one: string, many: string): string[] => {
    if (names.length === 0) return [];
    const more = names.length > 10 ? `, and ${names.length - 10} more` : '';
    return [`${names.length} ${names.length === 1 ? one : many}: ${names.slice(0, 10).join(', ')}${more}`];
  };
  return [
    ...say(
      check.notInMatrix.map(({ wikiDbName }) => wikiDbName),
      'wiki is dumped, but the site matrix does not name it, so it is not taken',
      'wikis are dumped, but the site matrix does not name them, so they are not taken',
    ),
    ...say(
      check.privateButDumped,
      'wiki is private, but dumped; it is not taken',
      'wikis are private, but dumped; they are not taken',
    ),
    ...say(
      check.vanishedButDumped,
      'wiki has vanished from the site matrix, but is still dumped and taken',
      'wikis have vanished from the site matrix, but are still dumped and taken',
    ),
    ...say(
      check.notDumped,
      'public wiki of the site matrix is not dumped',
      'public wikis of the site matrix are not dumped',
    ),
  ];
}

/**
 * Whether a wiki is taken, and why, in a few words. Pure; the only judge of it: looks, plans and `wikiseed wikis` ask here.
 * @param verdict of the configured filter, see `createWikiJudge`
 */
export function judgeWiki(wiki: WikiState, verdict: FilterVerdict): { included: boolean; reason: string } {
  const not = (reason: string): { included: boolean; reason: string } => ({ included: false, reason });
  if (wiki.isPrivate)
    return not(
      wiki.dumpedSeenAt === null
        ? 'private: upstream publishes no dumps'
        : 'private according to the site matrix, although upstream dumps it',
    );
  const { isWanted, decidedBy } = verdict;
  if (isWanted) return { included: true, reason: whyIncluded(wiki, decidedBy?.glob ?? '*') };
  return not(
    decidedBy === null
      ? 'not included by discovery.wikis.include'
      : `excluded by discovery.wikis.exclude (${JSON.stringify(decidedBy.glob)})`,
  );
}

function whyIncluded(wiki: WikiState, glob: string): string {
  const isDumped = wiki.dumpedSeenAt !== null;
  if (wiki.vanishedAt !== null)
    return isDumped
      ? 'vanished from the site matrix, dumped before; kept'
      : 'vanished from the site matrix; kept';
  if (!isDumped) return 'not seen among the dumps yet';
  if (wiki.isClosed) return 'closed, still dumped';
  if (wiki.isFishbowl) return 'read by all, written by few; dumped';
  return `included by discovery.wikis.include (${JSON.stringify(glob)})`;
}
