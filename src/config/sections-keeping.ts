import { field, part, section } from './fields.ts';
import {
  choice,
  count,
  duration,
  flag,
  kind,
  limit,
  listOf,
  orNull,
  percent,
  pieceLength,
  refuse,
  shown,
  size,
  text,
} from './kinds.ts';
import { address, host, path, tracker } from './kinds-address.ts';

/** How the bytes are kept and shared by this machine: disk, torrents, seeding. */

/** How full the disk may become, and what may be deleted. */
export const storageSection = section({
  max_size: field('maxSizeBytes', orNull(size({ min: 1 })), null),
  cleanup_threshold_pct: field('cleanupThresholdPercent', percent(), 85),
  pause_threshold_pct: field('pauseThresholdPercent', percent(), 90),
  safety_margin: field('safetyMarginBytes', size(), '5GB'),
  min_seeders_before_prune: field('minSeedersBeforePrune', count(0), 3),
  prune_oldest_first: field('pruneOldestFirst', flag(), true),
  // Facts about far copies grow old; after this time they no longer allow a deletion.
  remote_proof_max_age: field('remoteProofMaxAgeMs', duration({ minMs: 60_000 }), '7d'),
});

/** What becomes a torrent, and how it is cut. */
export const torrentsSection = section({
  groupings: field('groupings', listOf(choice(['cycle', 'wiki_run', 'project', 'language'])), [
    'cycle',
    'wiki_run',
  ]),
  wiki_run_min_size: field('wikiRunMinSizeBytes', size(), '1GB'),
  piece_length: field('pieceLengthBytes', pieceLength(), '16MiB'),
  align_files_from: field('alignFilesFromBytes', size(), '64MiB'),
  max_pieces: field('maxPieces', count(1000, 10_000_000), 200_000),
  max_torrent_size: field('maxTorrentSizeBytes', size({ min: 1_000_000 }), '10MB'),
  uncompressed: part(
    'uncompressed',
    section({
      enabled: field('enabled', flag(), false),
      max_file_size: field('maxFileSizeBytes', size(), '2GB'),
      types: field('types', listOf(text()), []),
    }),
  ),
  trackers: field('trackers', listOf(tracker()), [
    'udp://tracker.opentrackr.org:1337/announce',
    'udp://open.stealth.si:80/announce',
    'udp://tracker.torrent.eu.org:451/announce',
  ]),
  webseeds: field('webseeds', listOf(choice(['internet_archive', 'mirrors', 'self'])), [
    'internet_archive',
    'mirrors',
    'self',
  ]),
});

/** true = `<data_dir>/seeder/watch`, a path = that folder. */
const watchFolder = kind<string | true>(
  (raw) => {
    if (raw === true) return true;
    const folder = path().safeDecode(raw);
    return folder.success ? folder.data : refuse(`must be true, null or a path, found ${shown(raw)}.`);
  },
  (value) => value,
);

/** Who gives the torrents to the swarm, and how much of the line they may use. */
export const seedingSection = section({
  engine: field('engine', choice(['webtorrent', 'qbittorrent', 'transmission', 'none']), 'webtorrent'),
  url: field('url', orNull(address({ plainHttp: 'warn' })), null),
  engine_data_dir: field('engineDataDir', orNull(path()), null),
  upload_limit: field('uploadLimitBytesPerSecond', limit(), 'unlimited'),
  max_connections: field('maxConnections', count(1, 65_535), 200),
  max_active_torrents: field('maxActiveTorrents', count(1), 50),
  port: field('port', count(0, 65_535), 0),
  listen_host: field('listenHost', orNull(host()), null),
  dht: field('dht', flag(), true),
  pex: field('pex', flag(), true),
  lsd: field('lsd', flag(), false),
  utp: field('utp', flag(), false),
  webrtc: field('webrtc', flag(), false),
  stats_interval: field('statsIntervalMs', duration({ minMs: 30 * 60_000, maxMs: 7 * 86_400_000 }), '6h'),
  watch_dir: field('watchDir', orNull(watchFolder), null),
});
