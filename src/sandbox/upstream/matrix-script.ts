import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScriptStage } from './stage.ts';

/** Flags of the site matrix; false or left out means none. */
export interface MatrixFlags {
  closed?: boolean;
  private?: boolean;
  fishbowl?: boolean;
}

/** A wiki as the site matrix has it. */
export interface MatrixWiki extends MatrixFlags {
  dbname: string;
  /** `wiki`, `wiktionary`, … for a language's wiki, its own name for a special one. */
  code: string;
  lang: string;
  url: string;
  sitename: string;
  /** Among the specials instead of under its language. */
  isSpecial?: boolean;
}

/** The site matrix, to be changed as upstream changes it; both format versions follow. */
export interface MatrixScript {
  /** Adds a wiki, and its language when that is new. */
  add(wiki: MatrixWiki): Promise<void>;
  /** `await upstream.siteMatrix.flag('aawiki', { closed: true })` @throws RangeError for an unknown wiki */
  flag(dbname: string, flags: MatrixFlags): Promise<void>;
  /** The wiki is not listed any more; its dumps stay. @throws RangeError for an unknown wiki */
  remove(dbname: string): Promise<void>;
}

type Site = Record<string, unknown> & { dbname: string };
interface Language {
  code: string;
  site: Site[];
  [more: string]: unknown;
}
type Matrix = Record<string, unknown> & { count: number; specials: Site[] };

const FORMATS = [
  { name: 'sitematrix.json', flag: '' },
  { name: 'sitematrix.formatversion2.json', flag: true },
] as const;

/** Makes the script of the site matrix. */
export function createMatrixScript(stage: ScriptStage): MatrixScript {
  const change = (step: (matrix: Matrix, flag: '' | true) => void): Promise<void> =>
    stage.exclusive(async () => {
      for (const { name, flag } of FORMATS) {
        const path = join(stage.root, '_api', name);
        const { sitematrix } = JSON.parse(await readFile(path, 'utf8')) as { sitematrix: Matrix };
        step(sitematrix, flag);
        sitematrix.count = listsOf(sitematrix).reduce((sum, list) => sum + list.length, 0);
        await writeFile(`${path}.new`, JSON.stringify({ sitematrix }));
        await rename(`${path}.new`, path);
      }
    });
  return {
    add: ({ isSpecial = false, lang, closed, private: isPrivate, fishbowl, ...facts }) =>
      change((matrix, flag) => {
        const { dbname, code, url, sitename } = facts;
        const site: Site = { url, dbname, code, ...(isSpecial ? { lang } : {}), sitename };
        setFlags(site, { closed, private: isPrivate, fishbowl } as MatrixFlags, flag);
        if (isSpecial) matrix.specials.push(site);
        else languageOf(matrix, lang).site.push(site);
      }),
    flag: (dbname, flags) =>
      change((matrix, flag) => {
        const site = listsOf(matrix)
          .flat()
          .find((known) => known.dbname === dbname);
        if (site === undefined) throw new RangeError(`the site matrix has no ${dbname}`);
        setFlags(site, flags, flag);
      }),
    remove: (dbname) =>
      change((matrix) => {
        const list = listsOf(matrix).find((sites) => sites.some((site) => site.dbname === dbname));
        if (list === undefined) throw new RangeError(`the site matrix has no ${dbname}`);
        list.splice(
          list.findIndex((site) => site.dbname === dbname),
          1,
        );
      }),
  };
}

function setFlags(site: Site, flags: MatrixFlags, written: '' | true): void {
  for (const [name, isSet] of Object.entries(flags)) {
    if (isSet === undefined) continue;
    // Format version 1 leaves a false flag out, and so does the real version 2 for these.
    if (isSet) site[name] = written;
    else delete site[name];
  }
}

function languages(matrix: Matrix): [string, Language][] {
  return Object.entries(matrix).filter((entry): entry is [string, Language] => /^\d+$/.test(entry[0]));
}

function listsOf(matrix: Matrix): Site[][] {
  return [...languages(matrix).map(([, language]) => language.site), matrix.specials];
}

function languageOf(matrix: Matrix, code: string): Language {
  const known = languages(matrix);
  const found = known.find(([, language]) => language.code === code);
  if (found !== undefined) return found[1];
  const added: Language = { code, name: code, site: [], dir: 'ltr', localname: code };
  matrix[String(known.length)] = added;
  return added;
}
