import { relative, sep } from 'node:path';
import type { Catalog, Torrent } from '../catalog/index.ts';
import { type DumpFileId, hours } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import { fileOfTorrent, type Layout, torrentFolder } from '../storage/index.ts';
import type { Seeder } from './seeder.ts';

/** What looking after refused files needs. */
export interface ChangedFilesDeps {
  catalog: Pick<Catalog, 'torrentByInfoHash' | 'dumpFile' | 'fileInTorrent' | 'namesInTorrents'>;
  layout: Layout;
  clock: Clock;
  /** Asks for held files to be read again and repaired; asking twice is a no-op. */
  askForRepair: (ids: readonly DumpFileId[]) => void;
  /** Asks for a torrent's files to be made again from what they were made of; asking twice is a no-op. */
  rebuild?: (torrent: Torrent) => void;
}

/** What becomes of files that the seeder refuses. */
export interface ChangedFiles {
  /** A file is not of the size or time that it should be: whether its bytes are right, a reading has to say. */
  found(infoHash: string, path: string): void;
  /** A file was read again: when it is sound, it is served again. Never fails. */
  settled(id: DumpFileId, seeder: Pick<Seeder, 'renew'>): Promise<void>;
  /** True once for a torrent whose files were to be made again: whoever serves it has to forget what it knew of them. */
  takeRemade(infoHash: string): boolean;
}

/** A torrent that cannot be added is tried every few minutes; its file is read no more often than this. */
const ASK_AGAIN_MS = hours(1);

/** See `ChangedFiles`. */
export function createChangedFiles(deps: ChangedFilesDeps): ChangedFiles {
  const { catalog, layout, clock } = deps;
  const asked = new Map<DumpFileId | string, number>();
  const remade = new Set<string>();

  function isEarly(what: DumpFileId | string): boolean {
    const now = clock.monotonicMs();
    if (now - (asked.get(what) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) return true;
    asked.set(what, now);
    return false;
  }

  /** An unpacked file is no second name of anything held: it is unpacked once more. */
  function unpackAgain(torrent: Torrent, pathInTorrent: string): void {
    const { infoHash, retiredAt } = torrent;
    // The torrent's own texts lie beside the folders.
    if (retiredAt !== null || !pathInTorrent.includes('/')) return;
    if (deps.rebuild === undefined || isEarly(infoHash)) return;
    remade.add(infoHash);
    deps.rebuild(torrent);
  }

  return {
    found(infoHash, path) {
      const torrent = catalog.torrentByInfoHash(infoHash);
      if (torrent === null) return;
      const pathInTorrent = relative(torrentFolder(layout, torrent), path).split(sep).join('/');
      if (torrent.isUncompressed) return unpackAgain(torrent, pathInTorrent);
      // null: one of the torrent's own texts.
      const id = catalog.fileInTorrent(infoHash, pathInTorrent);
      // What is known to be damaged is repaired as soon as somebody has its bytes.
      if (id === null || catalog.dumpFile(id)?.damagedAt !== null) return;
      if (!isEarly(id)) deps.askForRepair([id]);
    },
    takeRemade: (infoHash) => remade.delete(infoHash),
    async settled(id, seeder) {
      const file = catalog.dumpFile(id);
      if (file === null || file.damagedAt !== null || file.storedMtimeMs === null) return;
      const mtimeMs = file.storedMtimeMs;
      for (const { infoHash, pathInTorrent, ...place } of catalog.namesInTorrents(id))
        await seeder.renew({ infoHash, path: fileOfTorrent(layout, place, pathInTorrent), mtimeMs });
    },
  };
}
