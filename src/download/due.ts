import { type Catalog, containerOf, type DumpFile, HELD_STATUSES } from '../catalog/index.ts';
import { type DumpFileId, hours, PermanentError, Snooze } from '../lib/index.ts';
import { hasUpstreamHash, type UpstreamFacts, upstreamHashesOf } from './verdict.ts';

/** A file that is to be fetched, as things stand now. */
export interface Due {
  row: DumpFile;
  /** What its bytes have to be. */
  facts: UpstreamFacts;
  /** We hold older bytes of it, which stay until the new ones are proved. */
  isReplacement: boolean;
}

/**
 * Asks the catalog what has to be fetched; the answer may change with every look at upstream.
 * @returns null when nothing is to be fetched: we hold it, and upstream has nothing newer, or its cycle is sealed
 * @throws PermanentError `no_such_dump_file`
 */
export function dueOf(
  catalog: Pick<Catalog, 'cycle' | 'dumpFile' | 'replacement'>,
  dumpFileId: DumpFileId,
): Due | null {
  const row = catalog.dumpFile(dumpFileId);
  if (row === null)
    throw new PermanentError(
      'no_such_dump_file',
      `there is no dump file ${dumpFileId}; upstream may have renamed it`,
    );
  if (!HELD_STATUSES.includes(row.ourStatus))
    return {
      row,
      facts: { sizeBytes: row.sizeBytes, hashes: upstreamHashesOf(row) },
      isReplacement: false,
    };
  // What a sealed cycle carries is final: its torrents hold these very bytes.
  if (catalog.cycle(row.cycleDate)?.status !== 'open') return null;
  const replacement = catalog.replacement(dumpFileId);
  if (replacement?.kind !== 'replaced') return null;
  const { sizeBytes, hashes } = replacement;
  return { row, facts: { sizeBytes, hashes }, isReplacement: true };
}

/** How long a finished file without any published hash is left alone before we look again. */
const HASH_WAIT_MS = hours(1);

/**
 * Lets a file pass that can be proved by a hash, or that may go without because its cycle ends soon and its container says
 * whether it is whole. Of a file without either nothing could be proved, so it is waited for as long as its cycle takes files.
 * @throws Snooze while a hash may still come, PermanentError `unprovable` when none can come any more
 */
export function assertProvable(catalog: Pick<Catalog, 'mayGoWithoutHash' | 'takesFiles'>, due: Due): void {
  const { row, facts } = due;
  if (hasUpstreamHash(facts)) return;
  if (containerOf(row.filename) !== null) {
    if (catalog.mayGoWithoutHash(row.cycleDate)) return;
  } else if (!catalog.takesFiles(row.cycleDate))
    throw new PermanentError(
      'unprovable',
      `upstream published no hash for ${row.filename}, and it is not packed in a way that could be checked`,
      { subject: { dumpFileId: row.id, wiki: row.wikiDbName } },
    );
  throw new Snooze('no upstream hash yet', HASH_WAIT_MS);
}
