import { createHash } from 'node:crypto';
import { dirname, join, relative } from 'node:path';
import type { Catalog } from '../../catalog/index.ts';
import type { Db } from '../../db/index.ts';
import { DumpFileId } from '../../lib/index.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { isSafeName, type Layout } from '../../storage/index.ts';
import type { WebseedConfig } from '../candidates.ts';
import { type CarriedFile, createCarriedFiles } from './carried-files.ts';
import { placesElsewhere } from './elsewhere.ts';
import { openExpected } from './opened.ts';
import { createPayloadLists } from './payload-lists.ts';
import type { Reader } from './shared-turns.ts';
import { createSoundReads } from './sound-reads.ts';

/** What is answered for a path of a torrent. */
export type Served =
  | {
      kind: 'bytes';
      sizeBytes: number;
      /** Names these very bytes; without quotes. */
      tag: string;
      /** Epoch ms; null = there is no such time. */
      modifiedMs: number | null;
      /**
       * Fewer bytes than asked means that the file has become shorter.
       * @throws Error when the file was changed since it was opened, or a piece of it is not what its hash says; Interrupted when the
       *   reader is gone, at once unless the disk reads for it
       */
      read(target: Uint8Array, position: number, reader: Reader): Promise<number>;
      /** Must be called, once, and not before the last read has ended. */
      close(): Promise<void>;
    }
  /** Whoever has them, as far as is known. */
  | { kind: 'elsewhere'; url: string }
  /** It cannot be said at the moment: too many ask for too many things, or a .torrent cannot be read. */
  | { kind: 'busy' };

/** Answers for the paths of recorded torrents, and for nothing else. */
export interface Serving {
  /**
   * @param infoName name of the torrent in its info dictionary
   * @param path below its folder, as its .torrent has it
   * @returns null when no torrent of that name has such a path, or nobody is known to have its bytes
   */
  open(infoName: string, path: string): Promise<Served | null>;
}

/** What serving needs. */
export interface ServingDeps {
  db: Db;
  catalog: Pick<Catalog, 'pieceHashes'>;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  /** A held file is missing or is not what it was. */
  askForRepair: (ids: readonly DumpFileId[]) => void;
  config: WebseedConfig;
  /** A copy at the archive that was verified so recently is the best place to be sent to. */
  remoteProofMaxAgeMs: number;
}

/** See `Serving`. */
export function createServing(deps: ServingDeps): Serving {
  const { disk, layout, clock } = deps;
  const carried = createCarriedFiles(deps);
  const lists = createPayloadLists({ disk, clock });
  const sound = createSoundReads(deps);

  async function openCarried(row: CarriedFile, infoName: string, path: string): Promise<Served | null> {
    if (row.damagedAt !== null || row.isHeld === 0 || row.localPath === null) return null;
    const sha1 = row.isUncompressed === 1 ? row.unpackedSha1 : row.dumpSha1;
    if (sha1 === null || sound.isDamaged(row)) return null;
    const opened =
      row.isUncompressed === 1
        ? await openExpected(disk, layout.absolute(row.contentPath), join(infoName, path), {
            sizeBytes: row.sizeBytes,
            mtimeMs: null,
          })
        : row.dumpSizeBytes !== row.sizeBytes
          ? null
          : await openExpected(disk, layout.dumps, relative(layout.dumps, layout.absolute(row.localPath)), {
              sizeBytes: row.sizeBytes,
              mtimeMs: row.storedMtimeMs,
            });
    if (opened === null) {
      // The record says that it is held and sound, and the disk does not.
      if (row.isUncompressed === 0) deps.askForRepair([DumpFileId.parse(row.dumpId)]);
      return null;
    }
    const { file, facts } = opened;
    return {
      ...{ kind: 'bytes', sizeBytes: row.sizeBytes, tag: sha1, modifiedMs: facts.mtimeMs },
      read: sound.readerOf(row, opened),
      close: () => file.close(),
    };
  }

  /** The best place out there. Torrents of that name and path may carry several files: none is left out. */
  function elsewhere(rows: readonly CarriedFile[]): Served | null {
    const facts = { now: clock.now(), remoteProofMaxAgeMs: deps.remoteProofMaxAgeMs };
    for (const row of rows) {
      const [url] = placesElsewhere(row, carried.rootsOf(row.dumpId), deps.config, facts);
      if (url !== undefined) return { kind: 'elsewhere', url };
    }
    return null;
  }

  /** The texts and the padding of a torrent. */
  async function openPayload(infoName: string, path: string): Promise<Served | null> {
    for (const torrent of carried.named(infoName)) {
      // Runs carry upstream's files and nothing else.
      if (torrent.grouping === 'wiki_run') continue;
      const { name, infoHash } = torrent;
      const torrentFile = layout.absolute(torrent.torrentFilePath);
      const entry = await lists.find({ name, infoHash, torrentFile }, path);
      if (entry === 'busy') return { kind: 'busy' };
      if (entry === null) continue;
      if (entry.isPadding) return zeros(entry.sizeBytes);
      const { sizeBytes } = entry;
      const opened = await openExpected(disk, layout.absolute(torrent.contentPath), join(infoName, path), {
        sizeBytes,
        mtimeMs: null,
      });
      if (opened === null) continue;
      const { file, facts } = opened;
      return {
        ...{ kind: 'bytes', sizeBytes, tag: textTag(infoHash, path), modifiedMs: facts.mtimeMs },
        read: sound.readerOf(null, opened),
        close: () => file.close(),
      };
    }
    return null;
  }

  return {
    async open(infoName, path) {
      // `.pad`, the folder of padding, is the one name of ours that begins with a dot.
      const isPadding = dirname(path) === '.pad';
      const parts = isPadding ? [path.slice('.pad/'.length)] : path.split('/');
      if (!isSafeName(infoName) || !parts.every(isSafeName)) return null;
      const rows = isPadding ? [] : carried.find(infoName, path);
      for (const row of rows) {
        const served = await openCarried(row, infoName, path);
        if (served !== null) return served;
      }
      return rows.length > 0 ? elsewhere(rows) : openPayload(infoName, path);
    },
  };
}

/** The infohash says what the bytes of every path are. */
function textTag(infoHash: string, path: string): string {
  return createHash('sha1').update(`${infoHash}:${path}`).digest('hex');
}

function zeros(sizeBytes: number): Served {
  return {
    ...{ kind: 'bytes', sizeBytes, tag: `zeros-${sizeBytes}`, modifiedMs: null },
    async read(target, position) {
      const length = Math.max(0, Math.min(target.length, sizeBytes - position));
      target.fill(0, 0, length);
      return length;
    },
    close: async () => {},
  };
}
