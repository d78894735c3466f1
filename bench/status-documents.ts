import { createHash } from 'node:crypto';

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
const TABLES = [
  'babel',
  'category',
  'categorylinks',
  'change_tag_def',
  'externallinks',
  'flaggedimages',
  'flaggedpage_config',
  'flaggedpage_pending',
  'flaggedpages',
  'flaggedrevs',
  'flaggedrevs_promote',
  'flaggedrevs_statistics',
  'flaggedrevs_tracking',
  'flaggedtemplates',
  'geo_tags',
  'image',
  'imagelinks',
  'iwlinks',
  'langlinks',
  'linktarget',
  'page',
  'page_props',
  'page_restrictions',
  'pagelinks',
  'protected_titles',
  'redirect',
  'site_stats',
  'sites',
  'templatelinks',
  'user_former_groups',
  'user_groups',
  'wbc_entity_usage',
  'wikilambda_zobject_labels',
] as const;

/** Into how many parts a wiki is split; the history more finely than the rest. */
interface Split {
  parts: number;
  historyParts: number;
}

/** One giant of 2,184 files, nineteen large wikis of 292, and the many small ones of 54. */
export function splitOf(index: number): Split {
  if (index === 0) return { parts: 50, historyParts: 870 };
  return index < 20 ? { parts: 6, historyParts: 100 } : { parts: 1, historyParts: 1 };
}

/** The synthetic wiki of that number. */
export function wikiName(index: number): string {
  return `w${String(index).padStart(4, '0')}wiki`;
}

/** A finished `dumpstatus.json` of 48 jobs with every fact filled in, on a single line like the real one. */
export function statusDocument(index: number, runDate: string): string {
  const wiki = wikiName(index);
  const jobs: Record<string, object> = {};
  for (const job of CONTENT_JOBS)
    jobs[job] = done(
      contentFiles(job, splitOf(index)).map((rest) => `${wiki}-${runDate}-${rest}`),
      `/${wiki}/${runDate}`,
    );
  for (const table of TABLES)
    jobs[`${table.replaceAll('_', '')}table`] = done(
      [`${wiki}-${runDate}-${table}.sql.gz`],
      `/${wiki}/${runDate}`,
    );
  return JSON.stringify({ jobs, version: '0.8' });
}

function contentFiles(job: (typeof CONTENT_JOBS)[number], { parts, historyParts }: Split): string[] {
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

function done(names: readonly string[], folder: string): object {
  const files = names.map((name, at) => {
    const hash = (kind: 'md5' | 'sha1'): string => createHash(kind).update(name).digest('hex');
    return [
      name,
      { size: 1000 + at * 977, url: `${folder}/${name}`, md5: hash('md5'), sha1: hash('sha1') },
    ] as const;
  });
  return { status: 'done', updated: '2026-11-21 09:46:00', files: Object.fromEntries(files) };
}
