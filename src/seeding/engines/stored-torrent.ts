import { join } from 'node:path';
import { RetryableError } from '../../lib/index.ts';
import type { Disk } from '../../ports/index.ts';
import { inspectFiles, SeedFileError } from '../known-files.worker.ts';
import type { SeedSpec } from '../protocol.ts';
import { readTorrentFile } from '../torrent-file.ts';

/** A torrent whose files were all seen at their size. */
export interface StoredTorrent {
  /** The .torrent file. */
  bytes: Buffer;
  /** With padding. */
  fileCount: number;
}

/**
 * Reads a .torrent and looks at its files: a program that misses one would fetch it, over what is stored.
 * @throws RetryableError `seed_file_missing`, `seed_file_changed` (subject `path`), `torrent_file_missing`, `torrent_file_unreadable`
 */
export async function readStoredTorrent(
  disk: Pick<Disk, 'stat' | 'open'>,
  spec: SeedSpec,
): Promise<StoredTorrent> {
  const bytes = await readWhole(disk, spec.torrentFile);
  if (bytes === null)
    throw new RetryableError('torrent_file_missing', `${spec.torrentFile} is not there`, {
      hint: 'It is made again at the next start.',
    });
  try {
    const { name, files } = readTorrentFile(bytes);
    await inspectFiles(
      files.map(({ path, sizeBytes, isPadding }) => ({
        absolutePath: isPadding ? null : join(spec.contentRoot, name, ...path),
        sizeBytes,
      })),
    );
    return { bytes, fileCount: files.length };
  } catch (error) {
    if (error instanceof SeedFileError)
      throw new RetryableError(error.code, error.message, {
        subject: { path: error.path },
        hint: 'The file was moved, changed or is on a disk that is not mounted; once it is as it was, it is seeded again by itself.',
      });
    throw new RetryableError('torrent_file_unreadable', `${spec.torrentFile} cannot be used`, {
      cause: error,
    });
  }
}

/** null when there is no such file. */
export async function readWhole(disk: Pick<Disk, 'stat' | 'open'>, path: string): Promise<Buffer | null> {
  const facts = await disk.stat(path);
  if (facts === null) return null;
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(facts.sizeBytes);
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}
