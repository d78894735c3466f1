import type { Catalog, Torrent } from '../catalog/index.ts';
import type { Bus } from '../events/index.ts';
import { inParallel } from '../lib/in-parallel.ts';
import { Interrupted, minutes, type TorrentId } from '../lib/index.ts';
import { magnetLink } from '../lib/magnet.ts';
import { withWebseeds } from '../lib/metainfo.ts';
import { step } from '../lib/steps.ts';
import { type Clock, type Disk, type Log, writeAtomically } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import { type Candidate, type CandidateKind, candidatesOf, type WebseedConfig } from './candidates.ts';
import type { Prober } from './probe.ts';
import { type ReadTorrent, readTorrent } from './read-torrent.ts';
import { unlessAborted } from './unless-aborted.ts';
import { closenessOf, isExpectedEnd, judgeLook, type Look, type WebseedRow } from './verdict.ts';
import type { WebseedStore } from './webseed-store.ts';

const NOT_ASKED = {
  kind: 'unproved',
  reason: 'it was not asked yet: its host rests, or there was no time',
} satisfies Look;

/** Looks go on for so long; whoever had no turn by then comes first the next time. */
const LOOKS_MS = minutes(14);
/** Roots looked at side by side: one that trickles keeps nobody waiting, and a small line still is enough for them. */
const ROOTS_AT_ONCE = 3;

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

  /** What was seen of each root that was due; those are missing that were not asked, or for which there was no time. */
  async function looksAt(
    torrent: Torrent,
    candidates: readonly Candidate[],
    known: ReadonlyMap<string, WebseedRow>,
    read: () => Promise<ReadTorrent>,
    signal: AbortSignal,
  ): Promise<Map<string, Look>> {
    const looks = new Map<string, Look>();
    const over = new AbortController();
    const cancel = clock.after(LOOKS_MS, () => over.abort());
    const either = AbortSignal.any([signal, over.signal]);
    const lookAt = async (candidate: Candidate): Promise<void> => {
      if (either.aborted) return;
      const { kind, root } = candidate;
      const closeness = closenessOf(kind, known.get(root) ?? null, torrent.createdAt, clock.now());
      if (closeness === 'none' || (kind === 'origin' && deps.isHalted('dumps'))) return;
      const day = new Date(clock.now()).toISOString().slice(0, 10);
      try {
        const look = await prober.look(candidate, (await read()).facts, closeness, day, either);
        if (look !== null) looks.set(root, look);
      } catch (error) {
        if (over.signal.aborted && !signal.aborted && error instanceof Interrupted) return;
        // One error ends the check, and with it the looks of the others.
        over.abort();
        throw error;
      }
    };
    try {
      const inTurn = candidates.toSorted(
        (a, b) => lateness(known.get(a.root) ?? null) - lateness(known.get(b.root) ?? null),
      );
      await inParallel(inTurn, ROOTS_AT_ONCE, lookAt);
    } finally {
      cancel();
    }
    if (signal.aborted) throw new Interrupted();
    return looks;
  }

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
    const candidates = candidatesOf(torrent, () => store.archivedFiles(torrent.id), config);
    const looks = await looksAt(torrent, candidates, known, read, signal);
    for (const { kind, root } of candidates) {
      const earlier = known.get(root) ?? null;
      const look = looks.get(root) ?? null;
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
    let held: Promise<ReadTorrent> | null = null;
    const read = (): Promise<ReadTorrent> => {
      held ??= readTorrent(disk, path, torrent);
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
      const before = (turns.get(torrent.id) ?? Promise.resolve()).catch(() => {});
      // Whoever gives up waiting leaves its turn where it is: those behind it wait for whoever was before.
      const mine = before.then(() => {
        if (signal.aborted) throw new Interrupted();
        return checkOnce(torrent, signal);
      });
      const over = mine
        .catch(() => {})
        .then(() => {
          if (turns.get(torrent.id) === over) turns.delete(torrent.id);
        });
      turns.set(torrent.id, over);
      await unlessAborted(before, signal);
      return await mine;
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

/** Roots that failed come after the others: they may be slow again. */
function lateness(row: WebseedRow | null): number {
  return row === null || row.failingSince === null || row.reason === NOT_ASKED.reason ? 0 : 1;
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
