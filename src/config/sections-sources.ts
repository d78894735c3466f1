import { field, part, section } from './fields.ts';
import { choice, count, flag, listOf, orNull, size, text } from './kinds.ts';
import { address } from './kinds-address.ts';
import { bandwidth, cycleDays, deadlineDay, schedule } from './kinds-time.ts';

/** What is taken from where and when: the sections from the calendar to the last downloaded byte. */

/** When cycles begin, when they must be published, and how often to look. All days and hours are UTC. */
export const schedulingSection = section({
  cycle_days: field('cycleDays', cycleDays(), [1, 20]),
  embargo_days: field('embargoDays', count(0, 14), 1),
  publish_deadlines: part(
    'publishDeadlines',
    section({
      first_cycle: field('firstCycleDay', deadlineDay(), 19),
      second_cycle: field('secondCycleDay', deadlineDay(), -1),
    }),
  ),
  wiki_discovery: field('wikiDiscovery', schedule(), 'weekly'),
  dump_check: field('dumpCheck', schedule(), 'daily'),
});

/** Where wikis and dump runs are found, and which of them are ours to keep. */
export const discoverySection = section({
  sitematrix_url: field(
    'sitematrixUrl',
    address({ mayHaveQuery: true }),
    'https://commons.wikimedia.org/w/api.php',
  ),
  dumps_base_url: field('dumpsBaseUrl', address(), 'https://dumps.wikimedia.org'),
  // Page counts of all wikis; only the order of work depends on them.
  wikistats_url: field('wikistatsUrl', orNull(address({ mayHaveQuery: true })), null),
  sources: field('sources', listOf(choice(['classic', 'content_current', 'content_history']), { min: 1 }), [
    'classic',
    'content_current',
  ]),
  wikis: part(
    'wikis',
    section({
      include: field('include', listOf(text(), { min: 1 }), ['*']),
      exclude: field('exclude', listOf(text()), []),
      max_size: field('maxSizeBytes', orNull(size({ min: 1 })), null),
    }),
  ),
});

/** Which files of a run are taken. */
export const dumpsSection = section({
  include_history: field('includeHistory', flag(), true),
  history_months: field('historyMonths', listOf(count(1, 12)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
  history_format: field('historyFormat', choice(['7z', 'bz2', 'both']), '7z'),
  split_files: field('splitFiles', choice(['prefer_whole', 'prefer_parts']), 'prefer_whole'),
  regular_types: field('regularTypes', listOf(text(), { min: 1 }), [
    'pages-articles',
    'pages-meta-current',
    'all-titles',
    'stub-articles',
    'stub-meta-history',
    'categorylinks',
    'pagelinks',
    'imagelinks',
    'linktarget',
    'page',
    'redirect',
    'site_stats',
  ]),
  history_types: field('historyTypes', listOf(text()), [
    'pages-meta-history',
    'stub-meta-history',
    'all-titles',
  ]),
});

/** How files are fetched, and how politely. */
export const downloadSection = section({
  concurrency: field('concurrency', count(1, 64), 3),
  // dumps.wikimedia.org counts three connections per address and blocks those who evade it.
  per_host_connections: field('perHostConnections', count(1, 3), 2),
  segment_size: field('segmentSizeBytes', size({ min: 64 * 1024, max: 10e9 }), '100MB'),
  bandwidth_limit: field('bandwidthLimit', bandwidth(), 'unlimited'),
  per_host_bandwidth_limit: field('perHostBandwidthLimit', bandwidth(), 'unlimited'),
  mirrors: field('mirrors', listOf(address({ plainHttp: 'warn' })), [
    'https://mirror.accum.se/mirror/wikimedia.org/dumps',
    'https://dumps.wikimedia.your.org',
  ]),
});
