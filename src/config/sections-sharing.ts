import { field, part, section } from './fields.ts';
import { choice, count, duration, flag, kind, listOf, orNull, refuse, shown, size } from './kinds.ts';
import { address } from './kinds-address.ts';
import { bandwidth } from './kinds-time.ts';

/** Where copies and news of them go: the Internet Archive, publishing targets, web archives. */

const word = (pattern: RegExp, wanted: string) =>
  kind<string>(
    (raw) =>
      typeof raw === 'string' && pattern.test(raw) ? raw : refuse(`must be ${wanted}, found ${shown(raw)}.`),
    (value) => value,
  );

/** The Internet Archive: off until keys are given. The gentle rates are the archive's own wish. */
export const iaSection = section({
  enabled: field('enabled', flag(), false),
  collection: field(
    'collection',
    word(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'a collection identifier such as wikiseed'),
    'wikiseed',
  ),
  concurrency: field('concurrency', count(1, 8), 2),
  new_items_per_hour: field('newItemsPerHour', count(1), 5),
  max_item_size: field('maxItemSizeBytes', size({ min: 1 }), '500GB'),
  max_item_files: field('maxItemFiles', count(1), 500),
  daily_files: field('dailyFiles', count(1), 5000),
  multipart_above: field('multipartAboveBytes', orNull(size({ min: 1e9 })), null),
  bandwidth_limit: field('bandwidthLimit', bandwidth(), 'unlimited'),
  verify_poll: field('verifyPollMs', listOf(duration({ minMs: 50 }), { min: 1 }), ['30s', '1m', '2m', '10m']),
  s3_endpoint: field('s3Endpoint', address(), 'https://s3.us.archive.org'),
  site_url: field('siteUrl', address(), 'https://archive.org'),
});

const r2Section = section({
  enabled: field('enabled', flag(), false),
  endpoint: field('endpoint', orNull(address()), null),
  bucket: field(
    'bucket',
    word(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'a bucket name such as wikiseed'),
    'wikiseed',
  ),
  public_base_url: field('publicBaseUrl', orNull(address()), null),
  region: field('region', word(/^[a-z0-9-]+$/, 'a region such as auto'), 'auto'),
});

const gistSection = section({
  enabled: field('enabled', flag(), false),
  base: field('base', address(), 'https://api.github.com'),
});

const pastebinSection = section({
  enabled: field('enabled', flag(), false),
  base: field('base', address(), 'https://pastebin.com'),
  visibility: field('visibility', choice(['public', 'unlisted']), 'unlisted'),
  expire: field('expire', choice(['N', '1D', '1W', '2W', '1M', '6M', '1Y']), 'N'),
});

const academicTorrentsSection = section({
  enabled: field('enabled', flag(), false),
  base: field('base', address(), 'https://academictorrents.com'),
  max_files: field('maxFiles', count(1), 2000),
  max_torrent_size: field('maxTorrentSizeBytes', size({ min: 1 }), '5MB'),
});

const rssSection = section({
  enabled: field('enabled', flag(), true),
  items: field('items', count(50, 1000), 100),
});

/** Where manifests and .torrent files are published. */
export const publishSection = section({
  r2: part('r2', r2Section),
  gist: part('gist', gistSection),
  pastebin: part('pastebin', pastebinSection),
  academic_torrents: part('academicTorrents', academicTorrentsSection),
  rss: part('rss', rssSection),
});

/** Which web archives are asked to keep the pages that describe each run. */
export const pageArchiveSection = section({
  services: field('services', listOf(choice(['wayback', 'archive_today'])), ['wayback']),
  on_failure: field('onFailure', choice(['continue', 'retry']), 'continue'),
  wayback_base: field('waybackBase', address(), 'https://web.archive.org'),
  archive_today_bases: field('archiveTodayBases', listOf(address(), { min: 1 }), [
    'https://archive.ph',
    'https://archive.is',
    'https://archive.md',
  ]),
});
