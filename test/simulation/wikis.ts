import { at, dice } from './moments.ts';

/** How large a wiki is: it decides about the time a run takes, the parts, and how many runs upstream keeps. */
export type Size = 'tiny' | 'medium' | 'large';

/** One wiki of the simulated world. Times are epoch ms. */
export interface SimWiki {
  wikiDbName: string;
  project: string;
  language: string;
  size: Size;
  /** Bytes of its current text, packed. */
  textBytes: number;
  isPrivate: boolean;
  /** In the site matrix from, and until. */
  listedFrom: number;
  listedUntil: number;
  closedFrom: number;
  /** First and last day (`YYYY-MM-DD`) of a batch that dumps it; null: never dumped. */
  dumped: { from: string; to: string } | null;
  /** Why this one is here; null: an ordinary one. */
  part:
    | 'newcomer'
    | 'closes'
    | 'vanishes'
    | 'never dumped'
    | 'private'
    | 'not in the matrix'
    | 'excluded'
    | null;
}

const PROJECTS: readonly (readonly [suffix: string, project: string, count: number])[] = [
  ['wiki', 'wikipedia', 330],
  ['wiktionary', 'wiktionary', 190],
  ['wikibooks', 'wikibooks', 120],
  ['wikiquote', 'wikiquote', 100],
  ['wikisource', 'wikisource', 90],
  ['wikinews', 'wikinews', 60],
  ['wikivoyage', 'wikivoyage', 50],
  ['wikiversity', 'wikiversity', 40],
];
const NEVER = Number.POSITIVE_INFINITY;
const LARGE = 10;
const MEDIUM = 90;

/** `aa`, `ab`, …, `zz`, and from then on `aa-x`: languages have dashes, names underscores. */
function languageOf(index: number): string {
  const letters = (index % 676) + 26 * 26;
  const two = letters.toString(26).slice(-2);
  const code = [...two].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join('');
  return index % 17 === 5 ? `${code}-x` : code;
}

/** A thousand public wikis that are dumped (20 of them specials), and those that upstream has for other reasons. */
export function createWikis(seed: number, count: number): SimWiki[] {
  const throws = dice(seed, 'wikis');
  const wikis: SimWiki[] = [];
  const add = (name: string, place: { project: string; language: string }, more: Partial<SimWiki> = {}) =>
    wikis.push({
      wikiDbName: name,
      ...place,
      size: 'tiny',
      textBytes: Math.round(2 ** (14 + throws.next() * 12)),
      isPrivate: false,
      listedFrom: 0,
      listedUntil: NEVER,
      closedFrom: NEVER,
      dumped: { from: '2000-01-01', to: '2999-01-01' },
      part: null,
      ...more,
    });
  for (const [suffix, project, share] of PROJECTS)
    for (let index = 0; index < Math.round((share * count) / 1000); index += 1) {
      const language = languageOf(index);
      add(`${language.replaceAll('-', '_')}${suffix}`, { project, language });
    }
  for (let index = 0; wikis.length < count; index += 1) {
    const code = `special${index}`;
    add(`${code}wiki`, { project: code, language: code });
  }
  // The large ones are spread over the projects, as they are in the world.
  const bySize = wikis.map((_, index) => index);
  for (let index = bySize.length - 1; index > 0; index -= 1) {
    const other = throws.whole(0, index);
    [bySize[index], bySize[other]] = [bySize[other] as number, bySize[index] as number];
  }
  const scaled = (most: number): number => Math.max(1, Math.round((most * count) / 1000));
  for (const index of bySize.slice(0, scaled(LARGE)))
    Object.assign(wikis[index] as SimWiki, {
      size: 'large',
      textBytes: Math.round((4 + throws.next() * 18) * 1e9),
    });
  for (const index of bySize.slice(scaled(LARGE), scaled(LARGE) + scaled(MEDIUM)))
    Object.assign(wikis[index] as SimWiki, {
      size: 'medium',
      textBytes: Math.round((0.1 + throws.next()) * 1e9),
    });
  const ordinary = wikis.filter((wiki) => wiki.size === 'tiny');
  const cast = (index: number, facts: Partial<SimWiki>): void =>
    void Object.assign(ordinary[index] as SimWiki, facts);
  cast(11, {
    part: 'newcomer',
    listedFrom: at('2026-05-08'),
    dumped: { from: '2026-06-20', to: '2999-01-01' },
  });
  cast(12, { part: 'closes', closedFrom: at('2026-04-15') });
  cast(13, {
    part: 'vanishes',
    listedUntil: at('2026-09-08'),
    dumped: { from: '2000-01-01', to: '2026-10-01' },
  });
  cast(14, { part: 'excluded' });
  const special = (name: string, facts: Partial<SimWiki>) =>
    add(name, { project: name.replace(/wiki$/, ''), language: 'en' }, facts);
  special('labtestwiki', { part: 'never dumped', dumped: null });
  special('labtest2wiki', { part: 'never dumped', dumped: null });
  for (const name of ['boardwiki', 'officewiki', 'collabwiki'])
    special(name, { part: 'private', isPrivate: true, dumped: null });
  special('strangewiki', { part: 'not in the matrix', listedUntil: 0 });
  return wikis;
}

/** The site matrix as the API writes it in format version 2, at a time. */
export function siteMatrix(wikis: readonly SimWiki[], now: number): string {
  const listed = wikis.filter((wiki) => wiki.listedFrom <= now && now < wiki.listedUntil);
  const groups = new Map<string, SimWiki[]>();
  const specials: SimWiki[] = [];
  for (const wiki of listed) {
    if (PROJECTS.some(([, project]) => project === wiki.project)) {
      const group = groups.get(wiki.language) ?? [];
      groups.set(wiki.language, [...group, wiki]);
    } else specials.push(wiki);
  }
  const site = (wiki: SimWiki) => ({
    url: `https://${wiki.wikiDbName}.example.org`,
    dbname: wiki.wikiDbName,
    code: wiki.project === 'wikipedia' ? 'wiki' : wiki.project,
    sitename: wiki.wikiDbName,
    ...(wiki.closedFrom <= now ? { closed: true } : {}),
    ...(wiki.isPrivate ? { private: true } : {}),
  });
  const numbered = [...groups].map(([code, members], index) => [
    String(index),
    { code, name: code, dir: 'ltr', localname: code, site: members.map(site) },
  ]);
  return JSON.stringify({
    sitematrix: {
      count: listed.length,
      ...Object.fromEntries(numbered),
      specials: specials.map((wiki) => ({ ...site(wiki), lang: wiki.language })),
    },
  });
}
