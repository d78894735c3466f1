import type { DumpFile } from '../../catalog/index.ts';
import { errorCode, formatBytes, PermanentError } from '../../lib/index.ts';
import { diskFull } from '../../storage/index.ts';

/** What the disk said, with what to do. */
export function explained(error: unknown, row: DumpFile): unknown {
  const code = errorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return diskFull(
      `The disk was full while ${row.filename} (${formatBytes(row.sizeBytes)}) was repaired.`,
      'Free some space or add a disk; the repair is tried again by itself.',
      error,
    );
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new PermanentError('held_file_unwritable', `cannot write ${row.localPath} (${code})`, {
      hint: 'Mount the disk for writing, and give the data directory to the user WikiSeed runs as: chown -R <user> <data_dir>',
      cause: error,
      subject: { dumpFileId: row.id, wiki: row.wikiDbName },
    });
  return error;
}
