import { errorCode, PermanentError } from '../../lib/index.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { readTorrent } from '../read-torrent.ts';

/** Which torrent it is, and where its .torrent lies. */
export interface ListedTorrent {
  name: string;
  infoHash: string;
  /** Absolute. */
  torrentFile: string;
}

/** A text or padding of a torrent. */
export interface PayloadEntry {
  sizeBytes: number;
  isPadding: boolean;
}

/** What a torrent has beside dump files: its texts and its padding, as its .torrent says. */
export interface PayloadLists {
  /** null = its .torrent has no such path; `busy` = nobody knows now: too many others have to be read first, or it cannot be read. */
  find(torrent: ListedTorrent, path: string): Promise<PayloadEntry | 'busy' | null>;
}

/** Texts by path, and the lengths of padding: some 20 of the one, none to some thousands of the other. */
interface PayloadList {
  texts: ReadonlyMap<string, number>;
  paddings: ReadonlySet<number>;
}

/** Limits; those of tests are others. */
export interface PayloadListLimits {
  /** Torrents whose lists are kept: those asked for last. */
  kept: number;
  /** Texts and lengths of all of them, some 100 bytes each. */
  keptEntries: number;
  /** Torrents that may wait until one .torrent is read; whoever asks for more is to come again. */
  waiting: number;
}

const LIMITS: PayloadListLimits = { kept: 1000, keptEntries: 200_000, waiting: 4 };
/** So long a .torrent that is damaged or missing is not tried again; the next start makes it anew. */
const UNREADABLE_MS = 30_000;
/** The same where only the disk had a bad moment: clients are told to come again in that time. */
const BAD_MOMENT_MS = 5_000;
const PAD = '.pad/';

/**
 * See `PayloadLists`. A list is named by its infohash, so it never grows old. Anybody may ask for any path, and a .torrent has up to
 * 60,000 files: one is read at a time, for all who ask for it, and of it only what is asked for here stays in memory.
 */
export function createPayloadLists(
  deps: { disk: Disk; clock: Pick<Clock, 'monotonicMs'> },
  limits: PayloadListLimits = LIMITS,
): PayloadLists {
  const { disk, clock } = deps;
  /** Asked for longest ago first; a list that could not be read is there until its time. */
  const lists = new Map<string, { list: PayloadList | null; untilMs: number; entries: number }>();
  const reading = new Map<string, Promise<PayloadList | null>>();
  let entries = 0;
  let last: Promise<unknown> = Promise.resolve();

  function forget(infoHash: string): void {
    entries -= lists.get(infoHash)?.entries ?? 0;
    lists.delete(infoHash);
  }

  /** @param forMs how long it stays true */
  function keep(infoHash: string, list: PayloadList | null, forMs: number): void {
    forget(infoHash);
    const mine = list === null ? 1 : 1 + list.texts.size + list.paddings.size;
    const untilMs = clock.monotonicMs() + forMs;
    lists.set(infoHash, { list, untilMs, entries: mine });
    entries += mine;
    for (const oldest of lists.keys()) {
      if (lists.size <= limits.kept && entries <= limits.keptEntries) return;
      if (oldest !== infoHash) forget(oldest);
    }
  }

  /** null: it cannot be read. */
  async function read(torrent: ListedTorrent): Promise<PayloadList | null> {
    const { infoHash, torrentFile } = torrent;
    try {
      const list = payloadOf((await readTorrent(disk, torrentFile, torrent)).facts.files);
      keep(infoHash, list, Number.POSITIVE_INFINITY);
      return list;
    } catch (error) {
      // Somebody who asks from outside is not whom the trouble is told; whoever seeds it does.
      const isOfFile = error instanceof PermanentError || errorCode(error) === 'torrent_file_missing';
      keep(infoHash, null, isOfFile ? UNREADABLE_MS : BAD_MOMENT_MS);
      return null;
    }
  }

  /** null: too many wait. */
  function readInTurn(torrent: ListedTorrent): Promise<PayloadList | null> | null {
    const { infoHash } = torrent;
    const running = reading.get(infoHash);
    if (running !== undefined) return running;
    if (reading.size > limits.waiting) return null;
    const mine = last.then(async () => {
      const list = await read(torrent);
      reading.delete(infoHash);
      return list;
    });
    last = mine;
    reading.set(infoHash, mine);
    return mine;
  }

  return {
    async find(torrent, path) {
      // Texts lie beside the folders; nothing has to be read to know that.
      if (path.includes('/') && !path.startsWith(PAD)) return null;
      const known = lists.get(torrent.infoHash);
      if (known !== undefined && clock.monotonicMs() < known.untilMs) {
        // Behind all others: it was asked for last.
        lists.delete(torrent.infoHash);
        lists.set(torrent.infoHash, known);
        return entryOf(known.list, path);
      }
      const list = readInTurn(torrent);
      return list === null ? 'busy' : entryOf(await list, path);
    },
  };
}

function payloadOf(files: readonly { path: string; sizeBytes: number; isPadding: boolean }[]): PayloadList {
  const texts = new Map<string, number>();
  const paddings = new Set<number>();
  for (const { path, sizeBytes, isPadding } of files) {
    // The name of padding is its length.
    if (isPadding && path === `${PAD}${sizeBytes}`) paddings.add(sizeBytes);
    else if (!isPadding && !path.includes('/')) texts.set(path, sizeBytes);
  }
  return { texts, paddings };
}

function entryOf(list: PayloadList | null, path: string): PayloadEntry | 'busy' | null {
  if (list === null) return 'busy';
  if (path.startsWith(PAD)) {
    const sizeBytes = Number(path.slice(PAD.length));
    const isThere = list.paddings.has(sizeBytes) && path === `${PAD}${sizeBytes}`;
    return isThere ? { sizeBytes, isPadding: true } : null;
  }
  const sizeBytes = list.texts.get(path);
  return sizeBytes === undefined ? null : { sizeBytes, isPadding: false };
}
