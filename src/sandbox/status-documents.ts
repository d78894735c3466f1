import { createHash } from 'node:crypto';
import type { StatusDocument, StatusFile, StatusJob } from './upstream/run-state.ts';

/** 15 jobs that make content, as a wiki that is split into parts lists them. */
const CONTENT_JOBS = [
  'articlesdump',
  'articlesdumprecombine',
  'articlesmultistreamdump',
  'articlesmultistreamdumprecombine',
  'metacurrentdump',
  'metacurrentdumprecombine',
  'metahistorybz2dump',
  'metahistory7zdump',
  'xmlstubsdump',
  'xmlstubsdumprecombine',
  'xmlpagelogsdump',
  'xmlpagelogsdumprecombine',
  'allpagetitlesdump',
  'pagetitlesdump',
  'namespaces',
] as const;

/** 33 tables: 48 jobs with those above, as the English Wikipedia had in August 2024. */
const TABLES =
  `babel category categorylinks change_tag_def externallinks flaggedimages flaggedpage_config flaggedpage_pending flaggedpages
  flaggedrevs flaggedrevs_promote flaggedrevs_statistics flaggedrevs_tracking flaggedtemplates geo_tags image imagelinks iwlinks
  langlinks linktarget page page_props page_restrictions pagelinks protected_titles redirect site_stats sites templatelinks
  user_former_groups user_groups wbc_entity_usage wikilambda_zobject_labels`.split(/\s+/);

/** Job names that drop more than underscores. */
const TABLE_JOBS: Readonly<Record<string, string>> = { site_stats: 'sitestatstable' };

/** Into how many parts a wiki is split; the history more finely than the rest. */
export interface WikiSplit {
  parts: number;
  historyParts: number;
}

/** How the wikis of a large world are split. A giant has 2,184 files in 48 jobs, a large wiki 292, any other 54. */
export const wikiSplits: Readonly<Record<'giant' | 'large' | 'small', WikiSplit>> = {
  giant: { parts: 50, historyParts: 870 },
  large: { parts: 6, historyParts: 100 },
  small: { parts: 1, historyParts: 1 },
};

/** A run to be described. */
export interface DescribedRun {
  dbname: string;
  /** `YYYYMMDD`; from the 20th on the history jobs are skipped. */
  date: string;
  split: WikiSplit;
}

/**
 * The description of a finished run of 48 jobs with every fact filled in. Sizes and hashes are invented, the same for the
 * same name; sizes of a giant go to 10^10 bytes and beyond, its run's sum over 2^41.
 */
export function statusDocument({ dbname, date, split }: DescribedRun): StatusDocument {
  const jobs: Record<string, StatusJob> = {};
  const isPartial = Number(date.slice(6)) >= 20;
  const day = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
  const put = (job: string, rests: readonly string[]): void => {
    const names = rests.map((rest) => `${dbname}-${date}-${rest}`);
    const isSkipped = isPartial && job.startsWith('metahistory');
    const files = names.map((name) => [name, isSkipped ? {} : facts(name, `/${dbname}/${date}`, split)]);
    jobs[job] = {
      status: isSkipped ? 'skipped' : 'done',
      updated: `${day} 09:46:00`,
      files: Object.fromEntries(files) as Record<string, StatusFile>,
    };
  };
  for (const job of CONTENT_JOBS) put(job, contentFiles(job, split));
  for (const table of TABLES)
    put(TABLE_JOBS[table] ?? `${table.replaceAll('_', '')}table`, [`${table}.sql.gz`]);
  return { jobs, version: '0.8' };
}

/** The same as text, spaced as upstream writes it, on a single line. */
export function statusText(document: StatusDocument): string {
  return JSON.stringify(document, null, 1).replaceAll(/,\n */g, ', ').replaceAll(/\n */g, '');
}

function contentFiles(job: (typeof CONTENT_JOBS)[number], { parts, historyParts }: WikiSplit): string[] {
  const cut = (count: number, name: (part: number, range: string) => string): string[] =>
    Array.from({ length: count }, (_, at) => name(at + 1, `p${at * 41_242 + 1}p${(at + 1) * 41_242}`));
  const stubs = ['stub-meta-history', 'stub-meta-current', 'stub-articles'];
  switch (job) {
    case 'articlesdump':
      return cut(parts, (n, range) => `pages-articles${n}.xml-${range}.bz2`);
    case 'articlesdumprecombine':
      return ['pages-articles.xml.bz2'];
    case 'articlesmultistreamdump':
      return cut(parts, (n, range) => `pages-articles-multistream${n}.xml-${range}.bz2`).concat(
        cut(parts, (n, range) => `pages-articles-multistream-index${n}.txt-${range}.bz2`),
      );
    case 'articlesmultistreamdumprecombine':
      return ['pages-articles-multistream.xml.bz2', 'pages-articles-multistream-index.txt.bz2'];
    case 'metacurrentdump':
      return cut(parts, (n, range) => `pages-meta-current${n}.xml-${range}.bz2`);
    case 'metacurrentdumprecombine':
      return ['pages-meta-current.xml.bz2'];
    case 'metahistorybz2dump':
      return cut(historyParts, (n, range) => `pages-meta-history${n}.xml-${range}.bz2`);
    case 'metahistory7zdump':
      return cut(historyParts, (n, range) => `pages-meta-history${n}.xml-${range}.7z`);
    case 'xmlstubsdump':
      return stubs.flatMap((stub) => cut(parts, (n) => `${stub}${n}.xml.gz`));
    case 'xmlstubsdumprecombine':
      return stubs.map((stub) => `${stub}.xml.gz`);
    case 'xmlpagelogsdump':
      return cut(parts, (n) => `pages-logging${n}.xml.gz`);
    case 'xmlpagelogsdumprecombine':
      return ['pages-logging.xml.gz'];
    case 'allpagetitlesdump':
      return ['all-titles.gz'];
    case 'pagetitlesdump':
      return ['all-titles-in-ns0.gz'];
    case 'namespaces':
      return ['siteinfo-namespaces.json.gz'];
  }
}

function facts(name: string, folder: string, split: WikiSplit): StatusFile {
  return { size: inventedSize(name, split), url: `${folder}/${name}`, ...inventedHashes(name) };
}

/** Hashes of nothing, but one for each name. */
export function inventedHashes(name: string): { md5: string; sha1: string } {
  const hash = (kind: string): string => createHash(kind).update(name).digest('hex');
  return { md5: hash('md5'), sha1: hash('sha1') };
}

/** A size for a name: kilobytes for a small wiki's file, some gigabytes for one of a giant's. */
export function inventedSize(name: string, { historyParts }: WikiSplit): number {
  const chance = createHash('sha1').update(`size of ${name}`).digest().readUInt32LE(0) / 2 ** 32;
  const top = historyParts >= 800 ? 4e9 : historyParts > 1 ? 4e8 : 2e6;
  const isWhole = /-pages-(?:articles|meta-current)(?:-multistream)?\.xml\.bz2$/.test(name);
  return 43 + Math.floor(chance * top * (isWhole ? 6 : 1));
}
