import { isDataDirectoryInUse, readLockHolder } from '../db/index.ts';
import { UsageError } from '../lib/index.ts';
import type { ListedTorrent, TorrentDetail, TorrentQueries } from '../monitoring/index.ts';

/** The torrents that were named, each once; with `all` every one that is not retired. */
export function namedTorrents(
  queries: TorrentQueries,
  names: readonly string[],
  options: { all?: boolean },
): TorrentDetail[] {
  if (options.all === true && names.length > 0)
    throw new UsageError('--all and names exclude each other', 'Leave out one of them.');
  if (options.all !== true && names.length === 0)
    throw new UsageError('no torrent is named', 'Name torrents, or all of them with --all.');
  const found = options.all === true ? allTorrents(queries) : names.map((name) => oneTorrent(queries, name));
  return [...new Map(found.map((torrent) => [torrent.id, torrent])).values()];
}

/** @throws UsageError when there is none of that name, or several */
export function oneTorrent(queries: TorrentQueries, name: string): TorrentDetail {
  const found = queries.find(name);
  const [only] = found;
  if (only === undefined)
    throw new UsageError(`there is no torrent ${name}`, '"wikiseed torrents" lists them.');
  if (found.length > 1)
    throw new UsageError(
      `${found.length} torrents are called ${name}`,
      `Name one by its infohash: ${found.map(({ infoHash, cycleDate }) => `${infoHash} (${cycleDate})`).join(', ')}`,
    );
  return only;
}

function allTorrents(queries: TorrentQueries): TorrentDetail[] {
  return everyTorrent(queries)
    .filter(({ retiredAt }) => retiredAt === null)
    .flatMap(({ infoHash }) => queries.find(infoHash));
}

/** Which torrents are asked for; nothing = all. */
export interface TorrentsWanted {
  grouping?: ListedTorrent['grouping'];
  cycleDate?: string;
  /** What the database is not asked for. */
  isWanted?: (torrent: ListedTorrent) => boolean;
}

/** All of the list, page after page. */
export function everyTorrent(queries: TorrentQueries, wanted: TorrentsWanted = {}): ListedTorrent[] {
  const { isWanted, ...filter } = wanted;
  const items: ListedTorrent[] = [];
  for (let page = 1, pages = 1; page <= pages; page += 1) {
    const part = queries.list({ ...filter, page, pageSize: 500 });
    items.push(...(isWanted === undefined ? part.items : part.items.filter(isWanted)));
    pages = part.pageCount;
  }
  return items;
}

/** What the engine of the running daemon says of one torrent. */
export interface LiveTorrent {
  infoHash: string;
  state?: string;
  problem?: string | null;
}

const ANSWER_WITHIN_MS = 3000;

/** Asks the running daemon how its engine does; none when no daemon runs, or it does not answer: that is only a part of the answer. */
export async function liveTorrents(dataDir: string, signal: AbortSignal): Promise<Map<string, LiveTorrent>> {
  const none = new Map<string, LiveTorrent>();
  try {
    const url = isDataDirectoryInUse(dataDir) ? readLockHolder(dataDir)?.url : undefined;
    if (!url) return none;
    const address = new URL('api/v1/status', url);
    // An address that means "all of this machine" is none to talk to.
    if (address.hostname === '0.0.0.0') address.hostname = '127.0.0.1';
    if (address.hostname === '[::]') address.hostname = '[::1]';
    const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
    const { seeding } = (await (await fetch(address, { signal: within })).json()) as {
      seeding: LiveTorrent[] | null;
    };
    return new Map((seeding ?? []).map((live) => [live.infoHash, live]));
  } catch {
    return none;
  }
}
