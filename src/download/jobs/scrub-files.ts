import { z } from 'zod';
import type { Catalog } from '../../catalog/index.ts';
import { type DumpFileId, describeError, errorCode, hours, Interrupted, Snooze } from '../../lib/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { HeldFiles } from '../held/held-files.ts';
import type { ReadPace } from '../held/read-pace.ts';

const Input = z.object({});
const Output = z.object({
  files: z.number().int(),
  bytes: z.number().int(),
  /** Found by this run. */
  damaged: z.number().int(),
});
type Output = z.infer<typeof Output>;

/** Where a run is; saved with the job. */
const Cursor = z.object({
  ...Output.shape,
  /** Files that could not be read for a reason that says nothing of their bytes. */
  skipped: z.array(z.number().int()),
  /** The file that is being read. */
  reading: z
    .object({
      id: z.number().int(),
      nextPiece: z.number().int().nonnegative(),
      badPieces: z.array(z.number().int()),
      unreadablePieces: z.array(z.number().int()),
      mtimeMs: z.number(),
    })
    .nullable(),
});
type Cursor = z.infer<typeof Cursor>;

/**
 * Reads held files again, slowly, those first whose last reading is longest ago, until none is due. A damaged one is repaired
 * by a job of its own; those that could not be repaired before are tried again.
 */
export const scrubFiles = defineJob<object, Output>({
  type: 'scrub_files',
  input: Input,
  output: Output,
  uniqueKey: () => 'all',
  timeoutMs: hours(24),
  isUpkeep: true,
});

/** What the handler needs. */
export interface ScrubDeps {
  catalog: Pick<Catalog, 'filesToScrub' | 'damagedFiles'>;
  held: Pick<HeldFiles, 'verify' | 'tell'>;
  pace: ReadPace;
  /** `maintenance.scrub.period`: every file once in this time. */
  periodMs: number;
  /** Asks for the repair of files; asking twice is a no-op. */
  askForRepair: (ids: readonly DumpFileId[]) => void;
}

/** After so long the job steps back for a moment, so that it never counts as one that does not end. */
const SLICE_MS = hours(1);
const BREATH_MS = 1000;
/** More than this at once says more about the disk than about the files. */
const SKIPPED_MAX = 100;

/** Safe to cut short anywhere: what was read is recorded file by file, and inside a file with the cursor. */
export function handleScrubFiles(deps: ScrubDeps): JobHandler<object, Output> {
  return handleJob(scrubFiles, { run: (_input, context) => scrub(deps, context) });
}

async function scrub(deps: ScrubDeps, context: JobContext): Promise<Output> {
  const { clock, signal } = context;
  const saved = Cursor.safeParse(context.cursor).data ?? null;
  if (saved === null) {
    deps.held.tell();
    deps.askForRepair(deps.catalog.damagedFiles().map(({ id }) => id));
  }
  const cursor: Cursor = saved ?? { files: 0, bytes: 0, damaged: 0, skipped: [], reading: null };
  const startedMs = clock.monotonicMs();
  while (cursor.skipped.length < SKIPPED_MAX) {
    if (signal.aborted) throw new Interrupted();
    if (clock.monotonicMs() - startedMs >= SLICE_MS)
      throw new Snooze('stepped back for a moment', BREATH_MS, cursor);
    const next = nextFile(deps, clock.now(), cursor.skipped);
    if (next === null) break;
    await readNext(deps, context, { cursor, next });
  }
  const { files, bytes, damaged } = cursor;
  return { files, bytes, damaged };
}

function nextFile(
  { catalog, periodMs }: ScrubDeps,
  now: number,
  skipped: readonly number[],
): { id: DumpFileId; sizeBytes: number } | null {
  const due = catalog.filesToScrub(now - periodMs, skipped.length + 1);
  return due.find(({ id }) => !skipped.includes(id)) ?? null;
}

async function readNext(
  { held, pace, askForRepair }: ScrubDeps,
  context: JobContext,
  { cursor, next }: { cursor: Cursor; next: { id: DumpFileId; sizeBytes: number } },
): Promise<void> {
  const { signal } = context;
  const { id, sizeBytes } = next;
  const soFar = cursor.reading?.id === id ? cursor.reading : null;
  try {
    const { state } = await held.verify(id, {
      signal,
      soFar,
      pace: (bytes) => pace(bytes, signal),
      onRead(doneBytes, reading) {
        cursor.reading = { id, ...reading };
        context.progress({ doneBytes, totalBytes: sizeBytes, cursor });
      },
    });
    cursor.files += 1;
    cursor.bytes += sizeBytes;
    if (state === 'damaged') {
      cursor.damaged += 1;
      askForRepair([id]);
    }
    // Neither sound nor damaged: it would come up again and again.
    if (state === 'gone') cursor.skipped.push(id);
  } catch (error) {
    if (!['held_file_unreadable', 'held_file_changed'].includes(errorCode(error))) throw error;
    context.log.warn({ dumpFileId: id, reason: describeError(error) }, 'a held file could not be read again');
    cursor.skipped.push(id);
  }
  cursor.reading = null;
  context.progress({ doneBytes: sizeBytes, totalBytes: sizeBytes, cursor });
}
