import type { Db } from '../db/index.ts';
import { describeError, errorCode, minutes, seconds, TorrentId } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';

/** What was not confirmed is not asked again at once: each question may take seconds. */
const ASK_AGAIN_MS = minutes(1);
/** A program that is down or refuses us says nothing of any torrent. */
const NOBODY_THERE = ['engine_down', 'engine_refused'];
/** When questions in a row took so long and nothing was confirmed, all others wait a while, whatever was said of each: a start waits for them. */
const LOST_MAX_MS = seconds(30);

/** Whether retired torrents are served no more: until that is known, none of their files goes. */
export interface EndedSeeding {
  /** Ends it if need be. False when nobody confirmed it; it is asked again later. Never rejects. */
  of(torrent: RetiredTorrent): Promise<boolean>;
  /** The same for every retired torrent that carries a file. @returns why the file must stay for now; null = it may go */
  ofFile(dumpId: number): Promise<string | null>;
  /** Asks nobody: true when nobody can be asked at the moment, and a file must stay until somebody can. */
  isOutOfReach(dumpId: number): boolean;
  /** Known to be served no more. */
  has(id: TorrentId): boolean;
  /** Why what waits does so, of the first torrent that is not confirmed; null = none is waited for. */
  why(): string | null;
  /** Whoever seeds answers again: everything may be asked at once. */
  heard(): void;
  /** It is served again. */
  forget(id: TorrentId): void;
}

interface RetiredTorrent {
  id: TorrentId;
  infoHash: string;
}

/** A torrent whose end is not confirmed. */
interface Unconfirmed {
  infoHash: string;
  /** When the last answer came, or none; monotonic ms; null: never asked yet. */
  askedAtMs: number | null;
  message: string;
}

/** See `EndedSeeding`. */
export function createEndedSeeding(deps: {
  db: Db;
  clock: Pick<Clock, 'monotonicMs'>;
  log: Log;
  /** Ends the seeding of a torrent, by its infohash; rejects when that is not sure. */
  stopSeeding: (infoHash: string) => Promise<void>;
}): EndedSeeding {
  const { clock, log } = deps;
  const ended = new Set<TorrentId>();
  const unconfirmed = new Map<TorrentId, Unconfirmed>();
  /** Nobody answers: no torrent is asked about. */
  let silence: { atMs: number; message: string } | null = null;
  /** How long each of them was asked about in vain, since something was confirmed last. */
  const lostMs = new Map<TorrentId, number>();
  const carriers = deps.db.sqlite.prepare<[number], { id: number; infoHash: string; name: string }>(
    `SELECT id, info_hash AS infoHash, name FROM torrents WHERE retired_at IS NOT NULL
        AND id IN (SELECT torrent_id FROM torrent_files WHERE dump_id = ?) ORDER BY id`,
  );
  const retiredName = deps.db.sqlite
    .prepare<[number], string>('SELECT name FROM torrents WHERE id = ? AND retired_at IS NOT NULL')
    .pluck();

  const isRecent = (atMs: number | null): boolean =>
    atMs !== null && clock.monotonicMs() - atMs < ASK_AGAIN_MS;

  async function ask(id: TorrentId, infoHash: string): Promise<void> {
    const fromMs = clock.monotonicMs();
    try {
      await deps.stopSeeding(infoHash);
      silence = null;
      lostMs.clear();
      unconfirmed.delete(id);
      ended.add(id);
    } catch (error) {
      const message = describeError(error);
      // After the answer: it may have taken longer than what is counted as recent.
      const askedAtMs = clock.monotonicMs();
      unconfirmed.set(id, { infoHash, askedAtMs, message });
      lostMs.set(id, askedAtMs - fromMs);
      const lost = [...lostMs.values()].reduce((sum, ms) => sum + ms, 0);
      if (isNobodyThere(error) || lost >= LOST_MAX_MS) {
        silence = { atMs: askedAtMs, message };
        lostMs.clear();
      }
      log.warn(
        { infohash: infoHash, err: message },
        'a retired torrent may still be seeded: its files stay until that is known',
      );
    }
  }

  /** Who has waited longest without being asked about. */
  function next(): TorrentId | null {
    const waiting = [...unconfirmed].filter(([, { askedAtMs }]) => !isRecent(askedAtMs));
    waiting.sort(([, a], [, b]) => (a.askedAtMs ?? -1) - (b.askedAtMs ?? -1));
    return waiting[0]?.[0] ?? null;
  }

  async function of({ id, infoHash }: RetiredTorrent): Promise<boolean> {
    if (ended.has(id)) return true;
    if (!unconfirmed.has(id)) unconfirmed.set(id, { infoHash, askedAtMs: null, message: '' });
    // Always in the same order, one that is never confirmed would keep all behind it from being asked about.
    while (!isRecent(silence?.atMs ?? null) && !isRecent(unconfirmed.get(id)?.askedAtMs ?? null)) {
      const first = next();
      const its = first === null ? undefined : unconfirmed.get(first);
      if (first === null || its === undefined) break;
      // It may be wanted again by now.
      if (first !== id && retiredName.get(first) === undefined) unconfirmed.delete(first);
      else await ask(first, its.infoHash);
      if (first === id || ended.has(id)) break;
    }
    return ended.has(id);
  }

  const reason = (name: string, message: string | undefined): string =>
    `the torrent ${name} may still be seeded: ${message || silence?.message || 'nobody was asked yet'}`;

  return {
    of,
    async ofFile(dumpId) {
      let why: string | null = null;
      for (const { id, infoHash, name } of carriers.all(dumpId)) {
        const torrentId = TorrentId.parse(id);
        if (!(await of({ id: torrentId, infoHash })))
          why ??= reason(name, unconfirmed.get(torrentId)?.message);
      }
      return why;
    },
    isOutOfReach: (dumpId) =>
      isRecent(silence?.atMs ?? null) &&
      carriers.all(dumpId).some(({ id }) => !ended.has(TorrentId.parse(id))),
    has: (id) => ended.has(id),
    why() {
      for (const [id, { message }] of unconfirmed) {
        const name = retiredName.get(id);
        if (name !== undefined) return reason(name, message);
      }
      return null;
    },
    heard() {
      silence = null;
      lostMs.clear();
      for (const each of unconfirmed.values()) each.askedAtMs = null;
    },
    forget(id) {
      ended.delete(id);
      unconfirmed.delete(id);
    },
  };
}

/** Whether that says that the program as a whole does not answer, or will not have us. */
function isNobodyThere(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause)
    if (NOBODY_THERE.includes(errorCode(each))) return true;
  return false;
}
