import { z } from 'zod';
import type { Catalog, DumpFile } from '../catalog/index.ts';
import { DumpFileId, hours, PermanentError, Snooze } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import { isHeld } from './belonging.ts';
import type { Selection } from './selection.ts';
import type { DamagedFile } from './sources.ts';

/** What waiting for a file needs. */
interface LostDeps {
  catalog: Pick<Catalog, 'dumpFile' | 'reopenDumpFile'>;
  clock: Clock;
}

/** A minute: what is fetched again may be small, and looking costs one query. */
const LOOK_AGAIN_MS = 60_000;
/** The largest files take a day. Whoever waits longer waits for something that will not come. */
const WAIT_MAX_MS = hours(48);

/** Files that were lost on disk and are fetched again, with the time we began to wait; kept with the job. */
const Lost = z.array(z.object({ dumpId: DumpFileId, sinceMs: z.number() }));
/** When we began to wait for each of them, epoch ms. */
export type LostFiles = Map<DumpFileId, number>;

/**
 * @throws Snooze while files of this torrent that were lost on disk are being fetched again
 * @throws PermanentError `torrent_incomplete` when a recorded torrent will not have one of its files again
 */
export function waitForLost(deps: LostDeps, lost: LostFiles, selection: Selection, cursor: unknown): void {
  for (const { dumpId, sinceMs } of Lost.safeParse(cursor).data ?? [])
    lost.set(dumpId, Math.min(sinceMs, lost.get(dumpId) ?? sinceMs));
  const now = deps.clock.now();
  const isAwaited = ({ id, ourStatus }: DumpFile): boolean =>
    (ourStatus === 'pending' || ourStatus === 'downloading') &&
    now - (lost.get(id) ?? Number.NEGATIVE_INFINITY) < WAIT_MAX_MS;
  // Somebody else may have sent back what a recorded torrent carries.
  for (const { id } of selection.lost) lost.set(id, lost.get(id) ?? now);
  const gone = selection.lost.filter((file) => !isAwaited(file));
  if (gone.length > 0)
    throw new PermanentError(
      'torrent_incomplete',
      `${selection.name} cannot be made again: ${gone[0]?.filename}${andMore(gone)} cannot be had any more`,
      {
        hint: 'Its .torrent file and its other files stay. Whoever else seeds it has the bytes; put them under dumps/ and retry the download.',
      },
    );
  const awaited = [...selection.lost, ...selection.absent].filter(isAwaited);
  if (awaited.length > 0) throw waiting(lost, awaited);
}

function andMore(files: readonly DumpFile[]): string {
  return files.length === 1 ? '' : ` and ${files.length - 1} more`;
}

/**
 * Sends damaged files back to be fetched again.
 * @throws Snooze always
 */
export function sendBack(deps: LostDeps, lost: LostFiles, damaged: readonly DamagedFile[]): never {
  for (const { dump, reason } of damaged) {
    const row = deps.catalog.dumpFile(dump.id);
    // Somebody else may have sent it back while we read the others.
    if (row !== null && isHeld(row)) deps.catalog.reopenDumpFile(dump.id, reason);
    lost.set(dump.id, deps.clock.now());
  }
  throw waiting(
    lost,
    damaged.map(({ dump }) => dump),
  );
}

function waiting(lost: LostFiles, files: readonly DumpFile[]): Snooze {
  const [first] = files;
  return new Snooze(
    `${first?.filename}${andMore(files)} must be fetched again: missing or damaged on disk`,
    LOOK_AGAIN_MS,
    files.map(({ id }) => ({ dumpId: id, sinceMs: lost.get(id) })),
  );
}
