import { firstLanguages, languages, type Script } from './language-table.ts';

/**
 * One wiki of the sandbox world. `code` is the site matrix's own word: the project for language wikis
 * (`wiki`, `wiktionary`), the wiki's name for special ones (`commons`). `lang` is null for none.
 */
export interface SandboxWiki {
  readonly dbname: string;
  readonly code: string;
  readonly project: string;
  readonly lang: string;
  readonly sitename: string;
  readonly url: string;
  readonly script: Script;
  readonly isSpecial: boolean;
  readonly isClosed: boolean;
  readonly isPrivate: boolean;
  readonly isFishbowl: boolean;
  /** Published in parts with page ranges as well as whole. */
  readonly isSplit: boolean;
}

const projects: ReadonlyMap<string, string> = new Map([
  ['wiki', 'wikipedia'],
  ['wiktionary', 'wiktionary'],
  ['wikibooks', 'wikibooks'],
  ['wikisource', 'wikisource'],
  ['wikinews', 'wikinews'],
  ['wikiquote', 'wikiquote'],
  ['wikivoyage', 'wikivoyage'],
]);

function languageWiki(lang: string, code: string, isClosed = false): SandboxWiki {
  const project = projects.get(code) ?? code;
  // The one language whose address differs from its code, as on the real site.
  const host = lang === 'be-x-old' ? 'be-tarask' : lang;
  return {
    dbname: `${lang.replaceAll('-', '_')}${code}`,
    code,
    project,
    lang,
    sitename: (project[0] ?? '').toUpperCase() + project.slice(1),
    url: `https://${host}.${project}.org`,
    script: languages.get(lang)?.script ?? 'latin',
    isSpecial: false,
    isClosed,
    isPrivate: false,
    isFishbowl: false,
    isSplit: lang === 'en' && code === 'wiki',
  };
}

function specialWiki(code: string, sitename: string, more: Partial<SandboxWiki> = {}): SandboxWiki {
  return {
    ...languageWiki('en', 'wiki'),
    dbname: `${code}wiki`,
    code,
    project: code,
    lang: code,
    sitename,
    url: `https://${code}.wikimedia.org`,
    isSpecial: true,
    isSplit: false,
    ...more,
  };
}

const fishbowl = specialWiki('amwikimedia', 'Վիքիմեդիա Հայաստան', {
  dbname: 'amwikimedia',
  lang: 'hy',
  url: 'https://am.wikimedia.org',
  isFishbowl: true,
});
const privateWiki = specialWiki('office', 'Office Wiki', { lang: 'en', isPrivate: true });

/** Every kind of wiki comes early, so that a small world already has one of each. */
const firstWikis: readonly SandboxWiki[] = [
  languageWiki('en', 'wiki'),
  languageWiki('aa', 'wiki', true),
  specialWiki('commons', 'Wikimedia Commons'),
  languageWiki('be-x-old', 'wiki'),
  languageWiki('fr', 'wiktionary'),
  fishbowl,
  languageWiki('de', 'wiki'),
  languageWiki('zh-yue', 'wiki'),
  languageWiki('en', 'wikisource'),
  languageWiki('es', 'wikivoyage'),
  languageWiki('de', 'wikibooks'),
  languageWiki('en', 'wikinews'),
  languageWiki('fr', 'wikiquote'),
  specialWiki('meta', 'Meta-Wiki'),
  languageWiki('ja', 'wiki'),
  specialWiki('wikidata', 'Wikidata', { url: 'https://www.wikidata.org' }),
];

/** Real languages with one project only. */
const LONELY: ReadonlySet<string> = new Set(['aa', 'be-x-old', 'zh-yue']);

/** In how many languages each project is in a large world, about as upstream. */
const SPREAD: Readonly<Record<string, number>> = {
  wiki: Number.POSITIVE_INFINITY,
  wiktionary: 195,
  wikibooks: 125,
  wikiquote: 100,
  wikisource: 85,
  wikinews: 45,
  wikivoyage: 30,
};

/** Special wikis of a large world: `code|name`, without `.wikimedia.org`. */
const FURTHER_SPECIALS = `species|Wikispecies, incubator|Wikimedia Incubator, mediawiki|MediaWiki, wikifunctions|Wikifunctions,
outreach|Outreach Wiki, strategy|Strategic Planning, usability|Usability Initiative, ten|Wikipedia 10, login|Login Wiki,
wikimania|Wikimania, foundation|Wikimedia Foundation, test|Test Wikipedia, test2|Test2 Wikipedia, testwikidata|Test Wikidata,
testcommons|Test Commons, quality|Quality, nostalgia|Nostalgia Wikipedia, beta|Beta Wikiversity, advisory|Advisory Board,
api|API Portal, vote|Vote Wiki, thankyou|Thank You, donate|Donate`;

/** Countries with a chapter wiki, `<country>wikimedia`. */
const CHAPTERS =
  'ar,bd,be,bg,br,ca,cn,co,cz,de,dk,ee,fi,ge,gr,hi,hu,id,id-internal,il,in,it,mai,mk,mx,ng,nl,no,nyc,nz,pa-us,pl,pt,punjabi,romd,rs,ru,se,tr,ua,uk,ve,wb';

/** The small worlds' wikis in the order in which worlds grow, then what makes a world as large as upstream's. */
function allWikis(): SandboxWiki[] {
  const known = new Map(firstWikis.map((wiki) => [wiki.dbname, wiki]));
  const add = (wiki: SandboxWiki): void => {
    if (!known.has(wiki.dbname)) known.set(wiki.dbname, wiki);
  };
  for (const code of projects.keys())
    for (const lang of firstLanguages)
      if (code === 'wiki' || !LONELY.has(lang)) add(languageWiki(lang, code));
  for (const entry of FURTHER_SPECIALS.split(',')) {
    const [code = '', sitename = ''] = entry.trim().split('|');
    add(
      specialWiki(code, sitename, { isClosed: ['usability', 'ten', 'quality', 'strategy'].includes(code) }),
    );
  }
  for (const country of CHAPTERS.split(',')) {
    const url = `https://${country}.wikimedia.org`;
    const dbname = `${country.replaceAll('-', '_')}wikimedia`;
    add(specialWiki(dbname, `Wikimedia ${country}`, { dbname, lang: 'en', url }));
  }
  const further = [...languages.keys()].slice(firstLanguages.length);
  // Every eleventh is closed, as small wikis tend to be.
  for (const code of projects.keys())
    for (const [at, lang] of further.slice(0, SPREAD[code] ?? 0).entries())
      add(languageWiki(lang, code, at % 11 === 10));
  return [...known.values()];
}

/** The largest world this table can fill. */
export const wikiCountMax: number = allWikis().length;

/**
 * The wikis that have dumps in a world of `count`, the largest first.
 * @throws RangeError when count is outside 1..`wikiCountMax`
 */
export function chooseWikis(count: number): SandboxWiki[] {
  if (!Number.isInteger(count) || count < 1 || count > wikiCountMax) {
    throw new RangeError(`wikis must be 1 to ${wikiCountMax}, not ${count}`);
  }
  const chosen = allWikis().slice(0, count);
  const rank = (wiki: SandboxWiki): number => {
    if (wiki.isClosed || wiki.isFishbowl) return 2;
    return wiki.isSplit ? 0 : 1;
  };
  return chosen.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * The answer of `action=sitematrix` for these wikis, plus a private and a fishbowl wiki when they are missing.
 * @param formatVersion 1 writes a flag as `""` and leaves false ones out; 2 writes `true`
 */
export function siteMatrix(wikis: readonly SandboxWiki[], formatVersion: 1 | 2): unknown {
  const listed = [...wikis];
  for (const extra of [fishbowl, privateWiki]) {
    if (!listed.some((wiki) => wiki.dbname === extra.dbname)) listed.push(extra);
  }
  const flag = formatVersion === 1 ? '' : true;
  const site = (wiki: SandboxWiki): Record<string, unknown> => ({
    url: wiki.url,
    dbname: wiki.dbname,
    code: wiki.code,
    ...(wiki.isSpecial ? { lang: wiki.lang } : {}),
    sitename: wiki.sitename,
    ...(wiki.isClosed ? { closed: flag } : {}),
    ...(wiki.isPrivate ? { private: flag } : {}),
    ...(wiki.isFishbowl ? { fishbowl: flag } : {}),
  });
  const matrix: Record<string, unknown> = { count: listed.length };
  // The first languages are always there, so that small worlds have some without any wiki, as the real matrix does.
  const used = new Set([...firstLanguages, ...listed.filter((w) => !w.isSpecial).map((wiki) => wiki.lang)]);
  const codes = [...used].toSorted();
  codes.forEach((code, index) => {
    const facts = languages.get(code);
    const sites = listed.filter((wiki) => !wiki.isSpecial && wiki.lang === code);
    matrix[String(index)] = {
      code,
      name: facts?.name,
      site: sites.map(site),
      dir: facts?.dir,
      localname: facts?.localname,
    };
  });
  matrix.specials = listed.filter((wiki) => wiki.isSpecial).map(site);
  return { sitematrix: matrix };
}
