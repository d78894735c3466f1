import { z } from 'zod';
import { type Catalog, type DownloadFacts, type DumpFile, HELD_STATUSES } from '../../catalog/index.ts';
import {
  AssertionError,
  assert,
  CorruptError,
  DumpFileId,
  errorCode,
  formatBytes,
  hours,
  Interrupted,
  PermanentError,
  Snooze,
} from '../../lib/index.ts';
import type { Clock, Log } from '../../ports/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import { diskFull } from '../../storage/index.ts';
import { assertProvable, dueOf } from '../due.ts';
import type { FileLocks } from '../file-locks.ts';
import type { HashLanes } from '../hashing/index.ts';
import { type ObtainDeps, obtain } from '../obtain.ts';
import { judge } from '../verdict.ts';

const Input = z.object({ dumpFileId: DumpFileId });
/** The facts of the file; `pieceHashes` is not kept with the job, the catalog has it. */
const Output = z.object({
  sizeBytes: z.number().int().nonnegative(),
  md5: z.string(),
  sha1: z.string(),
  sha256: z.string(),
  verification: z.enum(['sha1', 'md5', 'sha256-upstream', 'structure-only']),
  localPath: z.string(),
  fetchedFromUrl: z.string(),
  pieceHashes: z.object({ pieceLength: z.number().int().positive(), sha1s: z.instanceof(Buffer) }).nullable(),
  storedMtimeMs: z.number().nullish(),
  /** New bytes of a file whose older ones we held. */
  isReplacement: z.boolean(),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

const DAY_MS = hours(24);

/**
 * Fetches, proves and stores one dump file, or the new version of one that upstream published anew.
 *
 * What may help against some failures is a fresh look at the run: `not_found` (gone, or upstream's bad day),
 * `checksum_mismatch`, `size_mismatch`, `structure_broken` (it may have been made anew).
 *
 * The largest files (100 GB and more at 5 MB/s) take most of a day, and over a slow line several: see `sliceOf`.
 */
export const downloadDump = defineJob<Input, Output>({
  type: 'download_dump',
  input: Input,
  output: Output,
  uniqueKey: ({ dumpFileId }) => String(dumpFileId),
  target: ['dumps', 'storage', 'disk'],
  timeoutMs: DAY_MS,
  subject: ({ dumpFileId }) => ({ dumpId: dumpFileId }),
});

/** What the handler needs. */
export interface DownloadDumpDeps extends ObtainDeps {
  lanes: HashLanes;
  /** Shared with the repair of held files. */
  locks: FileLocks;
  log: Log;
  /** So much more is held of a file than before, in bytes; called in the transaction that records it. */
  onRecorded?: (id: DumpFileId, heldDeltaBytes: number) => void;
}

/** Safe to repeat from any point: looks at the row, then at the stored file, then at the part file, and only then asks the network. */
export function handleDownloadDump(deps: DownloadDumpDeps): JobHandler<Input, Output> {
  const { catalog } = deps;
  return handleJob(downloadDump, {
    async run({ dumpFileId }, context) {
      const due = dueOf(catalog, dumpFileId);
      if (due === null) return recordedFacts(catalog, dumpFileId);
      assertProvable(catalog, due);
      // A file whose older bytes we hold stays held, whatever becomes of the new ones.
      if (!due.isReplacement && due.row.ourStatus !== 'downloading') catalog.markDownloading(dumpFileId);
      const stopped = new AbortController();
      const forget = deps.space.onHardStop((reason) => stopped.abort(reason));
      const slice = sliceOf(context.clock);
      const signal = AbortSignal.any([context.signal, stopped.signal, slice.over]);
      const { onGain } = slice;
      const isLastAttempt = context.attempt >= downloadDump.maxAttempts;
      try {
        const found = await deps.locks.alone(dumpFileId, () =>
          deps.lanes.use((lane) =>
            obtain(deps, { dumpFileId, lane, context: { ...context, signal }, isLastAttempt, onGain }),
          ),
        );
        if (found === null) return recordedFacts(catalog, dumpFileId);
        return { ...found.facts, isReplacement: found.isReplacement };
      } catch (error) {
        if (context.signal.aborted) throw new Interrupted();
        const isRefused = ['ENOSPC', 'EDQUOT'].includes(errorCode(error));
        // Whatever the abort was turned into on its way; only what the disk itself says goes before it.
        if (stopped.signal.aborted && !isRefused) throw stopped.signal.reason;
        if (slice.over.aborted && error instanceof Interrupted)
          throw new Snooze('stepped back for a moment, since it takes more than a day', BREATH_MS);
        if (!isRefused) throw error;
        // All others stop as well, before they meet the same.
        deps.space.noteFull(error);
        throw diskFull(
          `The disk was full while ${due.row.filename} (${formatBytes(due.facts.sizeBytes)}) was written.`,
          'Free some space or add a disk; downloads go on by themselves from where they stopped.',
          error,
        );
      } finally {
        forget();
        slice.end();
      }
    },
    record({ dumpFileId }, { isReplacement, ...facts }) {
      // The work was long: the row may be gone, or settled by another hand.
      const row = catalog.dumpFile(dumpFileId);
      if (row === null) return;
      if (!HELD_STATUSES.includes(row.ourStatus)) catalog.recordDownloaded(dumpFileId, facts);
      else if (isReplacement) recordReplacement(catalog, dumpFileId, facts);
      deps.onRecorded?.(dumpFileId, heldBytesOf(catalog.dumpFile(dumpFileId)) - heldBytesOf(row));
    },
    recordFailure({ dumpFileId }, error) {
      const row = catalog.dumpFile(dumpFileId);
      if (row === null) return;
      const message = error instanceof Error ? error.message : String(error);
      if (HELD_STATUSES.includes(row.ourStatus)) {
        deps.log.warn(
          { room: 'download', dumpFileId, filename: row.filename, code: errorCode(error), reason: message },
          'the new version of a held file could not be fetched; the old one stays',
        );
        catalog.recordNotReplaced(dumpFileId);
        return;
      }
      // What only the origin says may be its bad day; that nobody has it is final.
      const lackingSources = error instanceof PermanentError ? Number(error.subject.sources ?? 1) : 1;
      if (errorCode(error) === 'not_found' && lackingSources < 2) {
        catalog.recordMissing(dumpFileId, message);
        return;
      }
      // Only bytes that were there and were wrong are a reason to distrust a file; trouble on the way is not its fault.
      const state =
        error instanceof CorruptError
          ? 'quarantined'
          : error instanceof PermanentError
            ? 'failed'
            : 'pending';
      catalog.recordNotDownloaded(dumpFileId, state, message);
    },
    summarize: ({ pieceHashes: _, ...facts }) => facts,
  });
}

/** After so long an attempt steps back; what it then has to write down takes seconds. */
const SLICE_MS = DAY_MS - hours(1);
const BREATH_MS = 1000;

/**
 * An attempt at the largest files, or over a slow line, would be cut off as one that does not end, and counted, however far it got. One
 * that got further steps back before that, and goes on at once with what it has; one that did not is left to its fate.
 */
function sliceOf(clock: Clock): { over: AbortSignal; onGain(): void; end(): void } {
  const over = new AbortController();
  let hasGained = false;
  const end = clock.after(SLICE_MS, () => {
    if (hasGained) over.abort();
  });
  return {
    over: over.signal,
    onGain() {
      hasGained = true;
    },
    end,
  };
}

const heldBytesOf = (row: DumpFile | null): number =>
  row !== null && HELD_STATUSES.includes(row.ourStatus) ? row.sizeBytes : 0;

/** The new bytes lie where the old ones lay; the row may not go on telling of the old ones. */
function recordReplacement(catalog: Catalog, id: DumpFileId, facts: DownloadFacts): void {
  const replacement = catalog.replacement(id);
  const isWanted = replacement?.kind === 'replaced' && judge(replacement, facts).kind !== 'wrong';
  if (isWanted) catalog.recordReplaced(id, facts);
  // Upstream changed its mind between the last look at the bytes and now: the row may not tell of bytes that are gone. The
  // next download sorts it out.
  else catalog.reopenDumpFile(id, 'upstream changed it again while its new version was stored');
}

/** The answer for a file that is held already: what the catalog knows. */
function recordedFacts(catalog: Catalog, id: DumpFileId): Output {
  const row = catalog.dumpFile(id);
  assert(row !== null, `dump file ${id} is not known`);
  const { md5, sha1, sha256, verification, localPath } = row;
  if (md5 === null || sha1 === null || sha256 === null || verification === null || localPath === null)
    throw new AssertionError(`dump file ${id} counts as held but its facts are incomplete`);
  return {
    sizeBytes: row.sizeBytes,
    md5,
    sha1,
    sha256,
    verification,
    localPath,
    fetchedFromUrl: row.fetchedFromUrl ?? row.wikimediaUrl,
    pieceHashes: catalog.pieceHashes(id),
    storedMtimeMs: row.storedMtimeMs,
    isReplacement: false,
  };
}
