import { join } from 'node:path';
import { days, formatBytes } from '../lib/index.ts';
import {
  type SwarmCount,
  type TorrentDetail,
  type TorrentFileState,
  type TorrentGapState,
  type TorrentQueries,
  type TrackerState,
  torrentKind,
  torrentState,
  type WebseedState,
} from '../monitoring/index.ts';
import type { CliIo } from './io.ts';
import { formatTable, plainText } from './table.ts';
import type { LiveTorrent } from './torrents-find.ts';
import { counted, orUnknown, times } from './words.ts';

/** Everything that is known of one torrent; also its JSON. */
export interface ShownTorrent extends TorrentDetail {
  state: ReturnType<typeof torrentState>;
  /** What the engine says is wrong; null when nothing is, or nobody was asked. */
  problem: string | null;
  trackerStates: TrackerState[];
  webseedStates: WebseedState[];
  files: TorrentFileState[];
  filesLeftOut: number;
  gaps: TorrentGapState[];
  gapsLeftOut: number;
  /** Oldest first. */
  history: SwarmCount[];
}

/** Rows of each list without --all. */
const LIST_MAX = 20;
const HISTORY_MAX = 12;
const ALL = 1_000_000;

/** @param options.isWhole every row of every list */
export function readShown(
  queries: TorrentQueries,
  torrent: TorrentDetail,
  options: { live: LiveTorrent | undefined; isWhole: boolean; now: number },
): ShownTorrent {
  const { live, isWhole } = options;
  const where = { page: 1, pageSize: isWhole ? ALL : LIST_MAX };
  const files = queries.files(torrent.id, where);
  const gaps = queries.gaps(torrent.id, where);
  const history = queries.history(torrent.id, isWhole ? 0 : options.now - days(365));
  return {
    ...torrent,
    state: torrentState(torrent, live),
    problem: live?.problem ?? null,
    trackerStates: queries.trackers(torrent.trackers),
    webseedStates: queries.webseeds(torrent.id),
    files: files.items,
    filesLeftOut: files.total - files.items.length,
    gaps: gaps.items,
    gapsLeftOut: gaps.total - gaps.items.length,
    history: isWhole ? history : history.slice(-HISTORY_MAX),
  };
}

/** The same for people. */
export function showTorrent(io: CliIo, torrent: ShownTorrent, dataDir: string): void {
  const line = (text: string): void => void io.out.write(`${plainText(text)}\n`);
  const width = io.out.isTTY === true ? { width: io.out.columns ?? 80 } : {};
  const list = (title: string, text: string, left = 0): void => {
    if (text === '') return;
    io.out.write(`\n${title}:\n${text}\n`);
    if (left > 0) line(`and ${left} more; --all lists them`);
  };
  line(`${torrent.name}: ${torrentKind(torrent)}, ${torrent.state}`);
  if (torrent.problem !== null) line(`  ${torrent.problem}`);
  for (const [name, value] of factsOf(torrent, dataDir)) line(`  ${name.padEnd(14)} ${value}`);
  io.out.write('\n');
  line(torrent.magnetLink);
  list('Trackers', trackerTable(torrent.trackerStates, width));
  list('Webseeds', webseedTable(torrent.webseedStates, width));
  list('Seeders over time', historyTable(torrent.history));
  list('Not in it', gapTable(torrent.gaps, width), torrent.gapsLeftOut);
  list('Dump files', fileTable(torrent.files, width), torrent.filesLeftOut);
}

function factsOf(torrent: ShownTorrent, dataDir: string): [string, string][] {
  const { sizeBytes, fileCount, pieceCount, pieceLength, alignFilesFromBytes: alignFrom } = torrent;
  const run = torrent.runDate === null ? [] : [['run', `${torrent.source ?? ''} ${torrent.runDate}`]];
  return [
    ['infohash', torrent.infoHash],
    ['info name', torrent.infoName],
    ['cycle', torrent.cycleDate],
    ...(torrent.scope === null ? [] : [['of', torrent.scope]]),
    ...run,
    ...(torrent.part === 0 ? [] : [['part', String(torrent.part)]]),
    ...(torrent.supplement === 0 ? [] : [['supplement', String(torrent.supplement)]]),
    ['size', `${formatBytes(sizeBytes)} in ${counted(fileCount, 'file')}`],
    [
      'pieces',
      `${pieceCount} of ${pieceLength / 1024} KiB${alignFrom === null ? '' : `; files from ${formatBytes(alignFrom)} begin on a piece`}`,
    ],
    ['folder', join(dataDir, torrent.contentPath, torrent.infoName)],
    ['torrent file', join(dataDir, torrent.torrentFilePath)],
    ['made', time(torrent.createdAt)],
    ['seeding since', torrent.seedingSince === null ? 'not yet' : time(torrent.seedingSince)],
    ...(torrent.retiredAt === null ? [] : [['retired', time(torrent.retiredAt)]]),
    ['other seeders', counts(torrent)],
    ['given', torrent.uploadedBytes === null ? 'unknown' : formatBytes(torrent.uploadedBytes)],
  ] as [string, string][];
}

function counts({ seeders, leechers, completed, countedAt, countedBy }: ShownTorrent): string {
  if (countedAt === null) return 'unknown: not counted yet';
  const whole = completed === null ? '' : `, downloaded ${times(completed)}`;
  return `${orUnknown(seeders)}, ${leechers === null ? 'unknown leechers' : counted(leechers, 'leecher')}${whole} (${time(countedAt)}, ${countedBy ?? ''})`;
}

function trackerTable(trackers: readonly TrackerState[], width: { width?: number }): string {
  const rows = trackers.map(({ url, askedAt, problem, known, asked }) => [
    url,
    askedAt === null ? 'never' : time(askedAt),
    problem?.message ?? (askedAt === null ? '' : `knows ${known} of ${counted(asked, 'torrent')}`),
  ]);
  return formatTable(rows, { heads: ['tracker', 'asked (UTC)', 'answer'], flexible: [0, 2], ...width });
}

function webseedTable(webseeds: readonly WebseedState[], width: { width?: number }): string {
  const rows = webseeds.map(({ url, state, reason, checkedAt }) => [
    url,
    state,
    time(checkedAt),
    reason ?? '',
  ]);
  return formatTable(rows, {
    heads: ['address', 'state', 'looked at (UTC)', 'reason'],
    flexible: [0, 3],
    ...width,
  });
}

function historyTable(history: readonly SwarmCount[]): string {
  const rows = history.map(({ at, seeders, leechers, uploadedBytes, source }) => [
    time(at),
    orUnknown(seeders),
    orUnknown(leechers),
    uploadedBytes === null ? 'unknown' : formatBytes(uploadedBytes),
    source,
  ]);
  const heads = ['counted (UTC)', 'other seeders', 'leechers', 'given', 'by'];
  return formatTable(rows, { heads, numbers: [1, 2, 3] });
}

function gapTable(gaps: readonly TorrentGapState[], width: { width?: number }): string {
  const rows = gaps.map((gap) => [
    gap.wikiDbName,
    gap.filename ?? gap.dumpType,
    gap.sizeBytes === null ? '-' : formatBytes(gap.sizeBytes),
    gap.state.replaceAll('_', ' '),
    gap.reason,
  ]);
  const heads = ['wiki', 'file or dump type', 'size', 'state', 'reason'];
  return formatTable(rows, { heads, numbers: [2], flexible: [1, 4], ...width });
}

function fileTable(files: readonly TorrentFileState[], width: { width?: number }): string {
  const rows = files.map(({ path, sizeBytes, status, verification }) => [
    path,
    formatBytes(sizeBytes),
    status,
    verification ?? '-',
  ]);
  const heads = ['file', 'size', 'status', 'verified by'];
  return formatTable(rows, { heads, numbers: [1], flexible: [0], ...width });
}

/** `2026-11-23 01:02` in UTC. */
const time = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');
