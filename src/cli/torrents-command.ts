import { formatBytes, UsageError } from '../lib/index.ts';
import {
  createTorrentQueries,
  GROUPING_WORDS,
  type ListedTorrent,
  torrentKind,
  torrentState,
} from '../monitoring/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
import { fitColumns } from './fit-columns.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { formatTable } from './table.ts';
import {
  everyTorrent,
  type LiveTorrent,
  liveTorrents,
  oneTorrent,
  type TorrentsWanted,
} from './torrents-find.ts';
import { readShown, showTorrent } from './torrents-show.ts';
import { counted, isDay, orUnknown } from './words.ts';

/** What the list understands. */
export interface TorrentsOptions {
  config?: string;
  grouping?: string;
  cycle?: string;
  json?: boolean;
}

/** `torrents`: lists them. */
export async function torrentsCommand(io: CliIo, options: TorrentsOptions): Promise<number> {
  const filter = filterOf(options);
  const { config } = loadForCommand(io, options.config);
  const { dataDir } = config.wikiseed;
  const db = openForReading(dataDir);
  try {
    const torrents = everyTorrent(createTorrentQueries({ db, clock: createSystemClock() }), filter);
    const live = await liveTorrents(dataDir, io.signal);
    if (options.json === true)
      printJson(
        io,
        torrents.map((torrent) => ({ ...torrent, state: torrentState(torrent, live.get(torrent.infoHash)) })),
      );
    else if (torrents.length === 0)
      io.out.write(
        Object.keys(filter).length === 0
          ? 'No torrent yet: they are made as soon as every file of a cycle is settled.\n'
          : 'No torrent matches.\n',
      );
    else printList(io, torrents, live);
    return EXIT.ok;
  } finally {
    db.close();
  }
}

/** `torrents show`: everything that is known of one. */
export async function showTorrentCommand(
  io: CliIo,
  name: string,
  options: { config?: string; all?: boolean; json?: boolean },
): Promise<number> {
  const { config } = loadForCommand(io, options.config);
  const { dataDir } = config.wikiseed;
  const db = openForReading(dataDir);
  try {
    const clock = createSystemClock();
    const queries = createTorrentQueries({ db, clock });
    const torrent = oneTorrent(queries, name);
    const live = (await liveTorrents(dataDir, io.signal)).get(torrent.infoHash);
    const isWhole = options.all === true || options.json === true;
    const shown = readShown(queries, torrent, { live, isWhole, now: clock.now() });
    if (options.json === true) printJson(io, shown);
    else showTorrent(io, shown, dataDir);
    return EXIT.ok;
  } finally {
    db.close();
  }
}

/** What torrents are beside their grouping; each of them has one. */
const TRAITS: Readonly<Record<string, (torrent: ListedTorrent) => boolean>> = {
  history: ({ isHistory }) => isHistory,
  uncompressed: ({ isUncompressed }) => isUncompressed,
  supplement: ({ supplement }) => supplement > 0,
};

function filterOf({ grouping, cycle }: TorrentsOptions): TorrentsWanted {
  if (cycle !== undefined && !isDay(cycle))
    throw new UsageError(`${cycle} is not the date of a cycle`, 'Write it as YYYY-MM-DD.');
  const ofCycle = cycle === undefined ? {} : { cycleDate: cycle };
  if (grouping === undefined) return ofCycle;
  if (Object.hasOwn(GROUPING_WORDS, grouping))
    return { ...ofCycle, grouping: grouping as ListedTorrent['grouping'] };
  const trait = Object.hasOwn(TRAITS, grouping) ? TRAITS[grouping] : undefined;
  if (trait !== undefined) return { ...ofCycle, isWanted: trait };
  throw new UsageError(
    `--grouping ${grouping} is no kind of torrent`,
    `Use one of ${[...Object.keys(GROUPING_WORDS), ...Object.keys(TRAITS)].join(', ')}.`,
  );
}

/** `2 working, 1 dead`; `none` when there is none. */
export function webseedWords({ working, dead, unproved }: ListedTorrent['webseeds']): string {
  const words = [
    working > 0 ? `${working} working` : '',
    dead > 0 ? `${dead} dead` : '',
    unproved > 0 ? `${unproved} unproved` : '',
  ].filter((each) => each !== '');
  return words.length === 0 ? 'none' : words.join(', ');
}

function printList(
  io: CliIo,
  torrents: readonly ListedTorrent[],
  live: ReadonlyMap<string, LiveTorrent>,
): void {
  const rows = torrents.map((torrent) => [
    torrent.name,
    torrentKind(torrent),
    torrent.cycleDate,
    formatBytes(torrent.sizeBytes),
    String(torrent.fileCount),
    orUnknown(torrent.seeders),
    orUnknown(torrent.leechers),
    torrentState(torrent, live.get(torrent.infoHash)),
    webseedWords(torrent.webseeds),
  ]);
  const heads = ['name', 'kind', 'cycle', 'size', 'files', 'other seeders', 'leechers', 'state', 'webseeds'];
  const width = io.out.isTTY === true ? (io.out.columns ?? 80) : Number.POSITIVE_INFINITY;
  const leaveOut = ['leechers', 'kind', 'files', 'cycle', 'webseeds', 'size'];
  const fitted = fitColumns({ heads, rows }, { width, leaveOut, keep: 'name' });
  const numbers = ['size', 'files', 'other seeders', 'leechers']
    .map((head) => fitted.heads.indexOf(head))
    .filter((at) => at >= 0);
  io.out.write(
    `${formatTable(fitted.rows, { heads: fitted.heads, numbers, flexible: [0], ...(Number.isFinite(width) ? { width } : {}) })}\n`,
  );
  // Torrents of wikis carry the same files as those of their cycle, so their bytes are not added up.
  io.out.write(
    `\n${counted(torrents.length, 'torrent')}; "wikiseed torrents show <name>" tells all about one\n`,
  );
}
