import type { Catalog, Torrent } from '../catalog/index.ts';
import type { Bus } from '../events/index.ts';
import { Interrupted, type TorrentId } from '../lib/index.ts';
import { magnetLink } from '../lib/magnet.ts';
import { withWebseeds } from '../lib/metainfo.ts';
import { step } from '../lib/steps.ts';
import { type Clock, type Disk, type Log, writeAtomically } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import { type CandidateKind, candidatesOf, type WebseedConfig } from './candidates.ts';
import type { Prober } from './probe.ts';
import { type ReadTorrent, readTorrent } from './read-torrent.ts';
import { closenessOf, isExpectedEnd, judgeLook, type Look, type WebseedRow } from './verdict.ts';
import type { WebseedStore } from './webseed-store.ts';

const NOT_ASKED: Look = { kind: 'unproved', reason: 'it was not asked yet: its host rests' };

/** What a check of one torrent found, to be recorded. */
export interface CheckedTorrent {
  torrentId: TorrentId;
  infoHash: string;
  rows: WebseedRow[];
  /** Roots that its .torrent names now. */
  webseeds: string[];
  /** The .torrent, or what the catalog says of its webseeds, was something else before. */
  isChanged: boolean;
  /** Roots that were given up by this look. */
  given: { url: string; reason: string; isExpected: boolean }[];
  /** Roots that need nobody's look: they work, or it is no news any more that they do not. */
  settled: string[];
}

/** What the check of a torrent needs. */
export interface CheckerDeps {
  catalog: Pick<Catalog, 'torrent' | 'recordWebseeds'>;
  store: WebseedStore;
  prober: Prober;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  bus: Pick<Bus, 'emit'>;
  config: WebseedConfig;
  /** True while a target is stopped for all. */
  isHalted: (target: string) => boolean;
}

/** Looks at the roots of torrents, and writes those that work into them. */
export interface Checker {
  /**
   * Looks at whatever is due to be looked at and writes the .torrent; the bytes of its info dictionary stay.
   * @throws PermanentError, RetryableError when the .torrent cannot be read; Interrupted
   */
  check(torrent: Torrent, signal: AbortSignal): Promise<CheckedTorrent>;
  /** Writes down what was found; joins a running transaction. */
  record(found: CheckedTorrent): void;
}

/** See `Checker`. One check of a torrent at a time. */
export function createChecker(deps: CheckerDeps): Checker {
  const { catalog, store, prober, disk, layout, clock, log, bus, config } = deps;
  const turns = new Map<TorrentId, Promise<unknown>>();

  async function lookAll(
    torrent: Torrent,
    read: () => Promise<ReadTorrent>,
    signal: AbortSignal,
  ): Promise<Pick<CheckedTorrent, 'rows' | 'given' | 'settled'>> {
    const known = new Map(store.rowsOf(torrent.id).map((row) => [row.url, row]));
    const rows: WebseedRow[] = [];
    const given: CheckedTorrent['given'] = [];
    const settled: string[] = [];
    const ageMs = clock.now() - torrent.createdAt;
    const keep = (kind: CandidateKind, row: WebseedRow): void => {
      rows.push(row);
      const isOver = row.state === 'dead' && isExpectedEnd(kind, row.reason, ageMs);
      if (row.state === 'working' || isOver) settled.push(row.url);
    };
    for (const candidate of candidatesOf(torrent, () => store.archivedFiles(torrent.id), config)) {
      if (signal.aborted) throw new Interrupted();
      const { kind, root } = candidate;
      const earlier = known.get(root) ?? null;
      const closeness = closenessOf(kind, earlier, torrent.createdAt, clock.now());
      const isHalted = kind === 'origin' && deps.isHalted('dumps');
      const day = new Date(clock.now()).toISOString().slice(0, 10);
      const look =
        closeness === 'none' || isHalted
          ? null
          : await prober.look(candidate, (await read()).facts, closeness, day, signal);
      if (look === null) {
        // Known to be wanted from here on, so that its turn comes soon.
        keep(kind, earlier ?? judgeLook(root, null, NOT_ASKED, clock.now()));
        continue;
      }
      const row = judgeLook(root, earlier, look, clock.now());
      keep(kind, row);
      step('webseeds:looked');
      const facts = { infohash: torrent.infoHash, name: torrent.name, url: root, reason: row.reason };
      if (row.state !== earlier?.state) log.info(facts, `a webseed is ${row.state}`);
      if (row.state === 'dead' && earlier?.state === 'working')
        given.push({
          url: root,
          reason: row.reason ?? '',
          isExpected: isExpectedEnd(kind, row.reason, ageMs),
        });
    }
    return { rows, given, settled };
  }

  async function checkOnce(torrent: Torrent, signal: AbortSignal): Promise<CheckedTorrent> {
    const path = layout.absolute(torrent.torrentFilePath);
    let held: ReadTorrent | null = null;
    const read = async (): Promise<ReadTorrent> => {
      held ??= await readTorrent(disk, path, torrent);
      return held;
    };
    const { rows, given, settled } = await lookAll(torrent, read, signal);
    const working = rows.filter(({ state }) => state === 'working').map(({ url }) => url);
    // Read anew: minutes may have passed, and it may have been made again.
    const { bytes, facts } = await readTorrent(disk, path, torrent);
    const isFileOther = !sameList(facts.webseeds, working);
    if (isFileOther) {
      // A name of its own: whoever makes the torrent again may be writing in this very moment.
      await writeAtomically(disk, path, await withWebseeds(bytes, working), '.webseeds.tmp');
      step('webseeds:file_written');
    }
    const isChanged = isFileOther || !sameList(torrent.webseeds, working);
    return {
      ...{ torrentId: torrent.id, infoHash: torrent.infoHash },
      ...{ rows, webseeds: working, isChanged, given, settled },
    };
  }

  return {
    async check(torrent, signal) {
      const before = turns.get(torrent.id) ?? Promise.resolve();
      const mine = before.catch(() => {}).then(() => checkOnce(torrent, signal));
      turns.set(torrent.id, mine);
      try {
        return await mine;
      } finally {
        if (turns.get(torrent.id) === mine) turns.delete(torrent.id);
      }
    },
    record({ torrentId, rows, webseeds, isChanged, given, settled }) {
      const torrent = catalog.torrent(torrentId);
      if (torrent === null) return;
      const before = store.rowsOf(torrentId);
      store.save(torrentId, rows);
      if (isChanged)
        catalog.recordWebseeds(torrentId, {
          webseeds,
          magnetLink: magnetLink({ ...torrent, name: torrent.infoName, webseeds }),
        });
      const isRetired = torrent.retiredAt !== null;
      for (const { isExpected, ...root } of given)
        bus.emit('webseed:died', {
          ...{ torrentId, name: torrent.name, ...root },
          // Nobody here can do anything for it any more.
          isExpected: isExpected || isRetired,
        });
      const known = [...rows, ...before].map(({ url }) => url);
      const isWanted = (url: string): boolean => rows.some((row) => row.url === url);
      const over = isRetired ? known : [...settled, ...known.filter((url) => !isWanted(url))];
      for (const url of new Set(over)) bus.emit('webseed:settled', { torrentId, url });
    },
  };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
