import { join } from 'node:path';
import { describeError, RetryableError } from '../../lib/index.ts';
import { readMetainfo } from '../../lib/metainfo.ts';
import { type Disk, readWhole } from '../../ports/index.ts';
import { inspectFiles, SeedFileError } from '../known-files.worker.ts';
import type { SeedSpec } from '../protocol.ts';

/** The .torrent files of what is seeded, and what they say of the stored files. */
export interface StoredTorrents {
  /**
   * Looks at every file of a torrent: a program that misses one would fetch it, over what is stored. The list of files is kept while
   * the .torrent stays as it was, since that of a large one takes a good part of a second to read.
   * @returns how many files it has, with padding
   * @throws RetryableError `seed_file_missing`, `seed_file_changed` (subject `path`), `torrent_file_missing`, `torrent_file_unreadable`
   */
  inspect(spec: SeedSpec): Promise<{ fileCount: number }>;
  /** The .torrent itself. @throws RetryableError `torrent_file_missing`, `torrent_file_unreadable` */
  bytes(spec: SeedSpec): Promise<Buffer>;
  /** It is not seeded any more. */
  forget(infoHash: string): void;
}

interface KnownList {
  sizeBytes: number;
  mtimeMs: number;
  name: string;
  fileCount: number;
  /** Without padding. */
  files: { path: string; sizeBytes: number }[];
}

/** See `StoredTorrents`. */
export function createStoredTorrents({ disk }: { disk: Pick<Disk, 'stat' | 'open'> }): StoredTorrents {
  const lists = new Map<string, KnownList>();

  async function bytesOf({ torrentFile }: SeedSpec): Promise<Buffer> {
    const bytes = await readWhole(disk, torrentFile).catch((error: unknown) => {
      throw unreadable(torrentFile, error);
    });
    if (bytes === null) throw missing(torrentFile);
    return bytes;
  }

  async function listOf(spec: SeedSpec): Promise<KnownList> {
    const { infoHash, torrentFile } = spec;
    const facts = await disk.stat(torrentFile).catch((error: unknown) => {
      throw unreadable(torrentFile, error);
    });
    if (facts === null) throw missing(torrentFile);
    const { sizeBytes, mtimeMs } = facts;
    const known = lists.get(infoHash);
    if (known?.sizeBytes === sizeBytes && known.mtimeMs === mtimeMs) return known;
    const metainfo = await readMetainfo(await bytesOf(spec)).catch((error: unknown) => {
      if (error instanceof RetryableError) throw error;
      throw unreadable(torrentFile, error);
    });
    if (metainfo.infoHash !== infoHash) throw unreadable(torrentFile, 'it is that of another torrent');
    const files = metainfo.files
      .filter(({ isPadding }) => !isPadding)
      .map(({ path, sizeBytes: size }) => ({ path, sizeBytes: size }));
    const list = { sizeBytes, mtimeMs, name: metainfo.name, fileCount: metainfo.files.length, files };
    lists.set(infoHash, list);
    return list;
  }

  return {
    bytes: bytesOf,
    async inspect(spec) {
      const { name, files, fileCount } = await listOf(spec);
      const folder = join(spec.contentRoot, name);
      try {
        await inspectFiles(
          files.map(({ path, sizeBytes }) => ({ absolutePath: join(folder, path), sizeBytes })),
        );
      } catch (error) {
        if (!(error instanceof SeedFileError)) throw error;
        throw new RetryableError(error.code, error.message, {
          subject: { path: error.path },
          hint: 'The file was moved, changed or is on a disk that is not mounted; once it is as it was, it is seeded again by itself.',
        });
      }
      return { fileCount };
    },
    forget: (infoHash) => void lists.delete(infoHash),
  };
}

const missing = (torrentFile: string): RetryableError =>
  new RetryableError('torrent_file_missing', `${torrentFile} is not there`, {
    hint: 'It is made again at the next start.',
  });

const unreadable = (torrentFile: string, why: unknown): RetryableError =>
  new RetryableError(
    'torrent_file_unreadable',
    `${torrentFile} cannot be used: ${typeof why === 'string' ? why : describeError(why)}`,
    {
      hint: 'Correct its owner and rights, or look at the disk; a damaged one may be removed: it is made again at the next start.',
      cause: why,
    },
  );
