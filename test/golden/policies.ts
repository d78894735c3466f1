import { defaultConfig } from '../../src/config/index.ts';
import type { Selection } from '../../src/discovery/source.ts';
import type { WikiFilter } from '../../src/discovery/wiki-filter.ts';

const { dumps, discovery } = defaultConfig();

/** What is taken of a run. As the calendar would have it: history with the first run of a month. */
export const POLICIES: Readonly<Record<string, (runDate: string) => Selection>> = {
  default: (runDate) => ({ ...dumps, includesHistory: runDate.endsWith('01'), isUrgent: false }),
  'parts-bz2': () => ({
    ...dumps,
    regularTypes: [...dumps.regularTypes, 'pages-articles-multistream', 'abstract'],
    includesHistory: true,
    splitFiles: 'prefer_parts',
    isUrgent: false,
    historyFormat: 'bz2',
  }),
  'minimal-both': () => ({
    regularTypes: ['pages-articles', 'all-titles'],
    historyTypes: ['pages-meta-history'],
    includesHistory: true,
    splitFiles: 'prefer_whole',
    isUrgent: false,
    historyFormat: 'both',
  }),
};

/** Which wikis are taken. */
export const WIKI_POLICIES: Readonly<Record<string, WikiFilter>> = {
  default: { include: discovery.wikis.include, exclude: discovery.wikis.exclude },
  'without-tests-and-meetings': { include: ['*'], exclude: ['test*wiki', 'wikimania20??wiki', '*wikimedia'] },
  'english-and-odd-names': {
    include: ['en*', '*_*', 'commonswiki', 'wikidatawiki', 'internalwiki'],
    exclude: ['enwikinews', 'noboard*'],
  },
};
