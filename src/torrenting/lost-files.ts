import { z } from 'zod';
import type { Catalog, DumpFile } from '../catalog/index.ts';
import { DumpFileId, hours, minutes, PermanentError, Snooze } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import { isDamaged, isHeld } from './belonging.ts';
import type { Selection } from './selection.ts';
import type { DamagedFile } from './sources.ts';

/** What waiting for a file needs. */
export interface LostDeps {
  catalog: Pick<Catalog, 'dumpFile' | 'reopenDumpFile' | 'recordDamaged'>;
  clock: Clock;
  /** Asks for the repair of damaged files; asking twice is a no-op. */
  askForRepair: (ids: readonly DumpFileId[]) => void;
}

/** A minute: what is fetched again may be small, and looking costs one query. */
const LOOK_AGAIN_MS = 60_000;
/** The largest files take a day. Whoever waits longer waits for something that will not come. */
const WAIT_MAX_MS = hours(48);
/** A repair that found nobody is asked for again after as long as was waited so far, within these. Each reads the whole file. */
const ASK_AGAIN_MIN_MS = minutes(10);
const ASK_AGAIN_MAX_MS = hours(6);

/** One file that we wait for, epoch ms. */
interface Waiting {
  sinceMs: number;
  /** When its repair was asked for; null = never, or it is not to be repaired. */
  askedMs: number | null;
}

/** Files that were lost or damaged on disk and are to be had again; kept with the job. */
const Lost = z.array(
  z.object({
    dumpId: DumpFileId,
    sinceMs: z.number(),
    /** Jobs of earlier versions have none. */
    askedMs: z.number().nullable().default(null),
  }),
);
/** Since when we wait for each of them. */
export type LostFiles = Map<DumpFileId, Waiting>;

/**
 * Lets nobody wait longer than 48 hours: a new torrent is then made without the file, and says so.
 * @throws Snooze while files of this torrent that were lost on disk are being fetched again, or damaged ones repaired
 * @throws PermanentError `torrent_incomplete` when a recorded torrent will not have one of its files again
 */
export function waitForLost(deps: LostDeps, lost: LostFiles, selection: Selection, cursor: unknown): void {
  remember(lost, cursor);
  const now = deps.clock.now();
  const isAwaited = (file: DumpFile): boolean =>
    (file.ourStatus === 'pending' || file.ourStatus === 'downloading' || isDamaged(file)) &&
    now - (lost.get(file.id)?.sinceMs ?? Number.NEGATIVE_INFINITY) < WAIT_MAX_MS;
  // Somebody else may have found that what this torrent carries is lost or damaged.
  for (const file of [...selection.lost, ...selection.damaged]) {
    const known = lost.get(file.id);
    const isNew = known === undefined || (isDamaged(file) && known.sinceMs < (file.damagedAt ?? 0));
    if (isNew) lost.set(file.id, { sinceMs: now, askedMs: null });
  }
  const gone = selection.lost.filter((file) => !isAwaited(file));
  if (gone.length > 0)
    throw new PermanentError(
      'torrent_incomplete',
      `${selection.name} cannot be made again: ${gone[0]?.filename}${andMore(gone)} cannot be had any more`,
      {
        hint: 'Its .torrent file and its other files stay. Whoever else seeds it has the bytes; put them under dumps/, then: wikiseed verify --repair, or retry the download of a file that is gone.',
      },
    );
  const awaited = [...selection.lost, ...selection.absent, ...selection.damaged].filter(isAwaited);
  if (awaited.length === 0) return;
  askForRepair(deps, lost, awaited.filter(isDamaged));
  throw waiting(lost, awaited);
}

/** What an earlier process noted of its waiting. */
function remember(lost: LostFiles, cursor: unknown): void {
  for (const { dumpId, sinceMs, askedMs } of Lost.safeParse(cursor).data ?? []) {
    const known = lost.get(dumpId);
    if (known === undefined) lost.set(dumpId, { sinceMs, askedMs });
    else known.sinceMs = Math.min(sinceMs, known.sinceMs);
  }
}

function andMore(files: readonly DumpFile[]): string {
  return files.length === 1 ? '' : ` and ${files.length - 1} more`;
}

/**
 * Sends files that are missing back to be fetched again, and asks for the repair of damaged ones, of which no byte is given up.
 * @throws Snooze always
 */
export function sendBack(deps: LostDeps, lost: LostFiles, damaged: readonly DamagedFile[]): never {
  for (const { dump, reason, isRepairable } of damaged) {
    const row = deps.catalog.dumpFile(dump.id);
    if (isRepairable && dump.sha1 !== null) deps.catalog.recordDamaged(dump.id, { sha1: dump.sha1 });
    // Somebody else may have sent it back while we read the others.
    else if (row !== null && isHeld(row)) deps.catalog.reopenDumpFile(dump.id, reason);
    lost.set(dump.id, { sinceMs: deps.clock.now(), askedMs: null });
  }
  const files = damaged.map(({ dump }) => dump);
  askForRepair(
    deps,
    lost,
    damaged.filter(({ isRepairable }) => isRepairable).map(({ dump }) => dump),
  );
  throw waiting(lost, files);
}

/** Asks for those that nobody was asked for lately. */
function askForRepair(deps: LostDeps, lost: LostFiles, files: readonly DumpFile[]): void {
  const now = deps.clock.now();
  const due = files.flatMap(({ id }) => {
    const waitingFor = lost.get(id);
    if (waitingFor === undefined || !isTimeToAsk(waitingFor, now)) return [];
    waitingFor.askedMs = now;
    return [id];
  });
  if (due.length > 0) deps.askForRepair(due);
}

function isTimeToAsk({ sinceMs, askedMs }: Waiting, now: number): boolean {
  if (askedMs === null) return true;
  const pauseMs = Math.min(Math.max(askedMs - sinceMs, ASK_AGAIN_MIN_MS), ASK_AGAIN_MAX_MS);
  return now - askedMs >= pauseMs;
}

function waiting(lost: LostFiles, files: readonly DumpFile[]): Snooze {
  const [first] = files;
  return new Snooze(
    `${first?.filename}${andMore(files)} must be had again: missing or damaged on disk`,
    LOOK_AGAIN_MS,
    files.map(({ id }) => ({ dumpId: id, ...lost.get(id) })),
  );
}
