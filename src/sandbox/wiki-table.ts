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

/** Which letters a wiki's titles and short pages are written in. */
export type Script = 'latin' | 'cyrillic' | 'arabic' | 'han' | 'devanagari' | 'greek';

/** Names of the languages, as the site matrix has them: own name, English name, direction. */
export const languages: ReadonlyMap<
  string,
  { name: string; localname: string; dir: string; script: Script }
> = new Map(
  (
    [
      ['en', 'English', 'English', 'latin'],
      ['aa', 'Qafár af', 'Afar', 'latin'],
      ['be-x-old', 'беларуская (тарашкевіца)', 'Belarusian (Taraškievica orthography)', 'cyrillic'],
      ['fr', 'français', 'French', 'latin'],
      ['de', 'Deutsch', 'German', 'latin'],
      ['zh-yue', '粵語', 'Cantonese', 'han'],
      ['es', 'español', 'Spanish', 'latin'],
      ['ja', '日本語', 'Japanese', 'han'],
      ['ru', 'русский', 'Russian', 'cyrillic'],
      ['it', 'italiano', 'Italian', 'latin'],
      ['ar', 'العربية', 'Arabic', 'arabic'],
      ['pt', 'português', 'Portuguese', 'latin'],
      ['el', 'Ελληνικά', 'Greek', 'greek'],
      ['hi', 'हिन्दी', 'Hindi', 'devanagari'],
      ['pl', 'polski', 'Polish', 'latin'],
      ['uk', 'українська', 'Ukrainian', 'cyrillic'],
      ['nl', 'Nederlands', 'Dutch', 'latin'],
      ['zh', '中文', 'Chinese', 'han'],
      ['fa', 'فارسی', 'Persian', 'arabic'],
      ['sv', 'svenska', 'Swedish', 'latin'],
    ] as const
  ).map(([code, name, localname, script]) => [
    code,
    { name, localname, dir: script === 'arabic' ? 'rtl' : 'ltr', script },
  ]),
);

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

function allWikis(): SandboxWiki[] {
  const known = new Map(firstWikis.map((wiki) => [wiki.dbname, wiki]));
  for (const code of projects.keys()) {
    for (const lang of languages.keys()) {
      // Real languages with one project only.
      if ((lang === 'aa' || lang === 'be-x-old' || lang === 'zh-yue') && code !== 'wiki') continue;
      const wiki = languageWiki(lang, code);
      if (!known.has(wiki.dbname)) known.set(wiki.dbname, wiki);
    }
  }
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
  const codes = [...languages.keys()].toSorted();
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
