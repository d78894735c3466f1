import type { Db } from '../db/index.ts';
import { describeError, minutes, TorrentId } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';

/** A program that did not answer is not asked for the next torrent at once: each question may take seconds. */
const ASK_AGAIN_MS = minutes(1);

/** Whether retired torrents are served no more: until that is known, none of their files goes. */
export interface EndedSeeding {
  /** Ends it if need be. False when nobody confirmed it; it is asked again later. Never rejects. */
  of(torrent: { id: TorrentId; infoHash: string }): Promise<boolean>;
  /** The same for every retired torrent that carries a file. @returns why the file must stay for now; null = it may go */
  ofFile(dumpId: number): Promise<string | null>;
  /** It is served again. */
  forget(id: TorrentId): void;
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
  let failure: { atMs: number; message: string } | null = null;
  const carriers = deps.db.sqlite.prepare<[number], { id: number; infoHash: string; name: string }>(
    `SELECT id, info_hash AS infoHash, name FROM torrents WHERE retired_at IS NOT NULL
        AND id IN (SELECT torrent_id FROM torrent_files WHERE dump_id = ?) ORDER BY id`,
  );

  async function of({ id, infoHash }: { id: TorrentId; infoHash: string }): Promise<boolean> {
    if (ended.has(id)) return true;
    if (failure !== null && clock.monotonicMs() - failure.atMs < ASK_AGAIN_MS) return false;
    try {
      await deps.stopSeeding(infoHash);
      failure = null;
      ended.add(id);
      return true;
    } catch (error) {
      failure = { atMs: clock.monotonicMs(), message: describeError(error) };
      log.warn(
        { infohash: infoHash, err: failure.message },
        'a retired torrent may still be seeded: its files stay until that is known',
      );
      return false;
    }
  }

  return {
    of,
    async ofFile(dumpId) {
      for (const { id, infoHash, name } of carriers.all(dumpId))
        if (!(await of({ id: TorrentId.parse(id), infoHash })))
          return `the torrent ${name} may still be seeded: ${failure?.message ?? ''}`;
      return null;
    },
    forget: (id) => void ended.delete(id),
  };
}
