import { languages } from './language-table.ts';
import { seededRandom } from './random.ts';
import type { SandboxWiki } from './wiki-table.ts';

const COLUMNS =
  'rank,prefix,type,language,loclang,good,total,edits,admins,users,activeusers,images,stubratio,timestamp';

/**
 * The size table of Wikistats for these wikis, as CSV, the largest first. A prefix is the first part of the wiki's domain,
 * as there (`be-tarask`, not `be-x-old`); special wikis have the type `special`.
 * @param pageCounts pages of all kinds by database name; wikis without a number are left out, as new ones are upstream
 */
export function wikistatsCsv(wikis: readonly SandboxWiki[], pageCounts: ReadonlyMap<string, number>): string {
  const counted = wikis.flatMap((wiki) => {
    const total = pageCounts.get(wiki.dbname);
    return total === undefined ? [] : [{ wiki, total }];
  });
  const rows = counted
    .toSorted((a, b) => b.total - a.total || (a.wiki.dbname < b.wiki.dbname ? -1 : 1))
    .map(({ wiki, total }, index) => row(wiki, total, index + 1));
  return `${[COLUMNS, ...rows].join('\n')}\n`;
}

function row(wiki: SandboxWiki, total: number, rank: number): string {
  const random = seededRandom(`wikistats/${wiki.dbname}`);
  const { localname = wiki.sitename, name = wiki.sitename } = languages.get(wiki.lang) ?? {};
  const host = new URL(wiki.url).hostname.split('.')[0] as string;
  const prefix = host === 'www' ? wiki.dbname.replace(/wiki$/, '') : host;
  const good = Math.floor(total * 0.6);
  const values = [
    rank,
    prefix,
    wiki.isSpecial ? 'special' : wiki.project,
    localname,
    name,
    good,
    total,
    total * random.between(3, 20),
    random.between(0, 40),
    total * random.between(1, 6),
    random.between(1, 500),
    random.between(0, total),
    random.between(10_000, 90_000) / 100_000,
    '2026-01-01 00:05:11',
  ];
  return values.map((value) => quoted(String(value))).join(',');
}

/** RFC 4180. */
function quoted(value: string): string {
  return /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
