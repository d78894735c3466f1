import { PermanentError, RetryableError } from '../lib/index.ts';
import { type Metainfo, MetainfoError, readMetainfo } from '../lib/metainfo.ts';
import { type Disk, readWhole } from '../ports/index.ts';

/** Larger ones no client reads. */
const TORRENT_MAX_BYTES = 64 * 2 ** 20;

/** A .torrent file of ours, as bytes and as what they say. */
export interface ReadTorrent {
  bytes: Buffer;
  facts: Metainfo;
}

/**
 * Reads a recorded torrent's file.
 * @throws RetryableError `torrent_file_missing`; PermanentError `torrent_file_unreadable` when it is damaged, or another torrent's
 */
export async function readTorrent(
  disk: Disk,
  path: string,
  torrent: { name: string; infoHash: string },
): Promise<ReadTorrent> {
  const bytes = await readWhole(disk, path, { maxBytes: TORRENT_MAX_BYTES });
  if (bytes === null)
    throw new RetryableError('torrent_file_missing', `${torrent.name}.torrent is not there`, {
      hint: 'The next start makes it again.',
    });
  const hint = 'Remove it, or run "wikiseed rebuild": it is made again at the next start.';
  try {
    const facts = await readMetainfo(bytes);
    if (facts.infoHash === torrent.infoHash) return { bytes, facts };
  } catch (error) {
    if (!(error instanceof MetainfoError)) throw error;
    throw new PermanentError(error.code, `${torrent.name}.torrent is damaged: ${error.message}`, { hint });
  }
  throw new PermanentError('torrent_file_unreadable', `${torrent.name}.torrent is that of another torrent`, {
    hint,
  });
}
