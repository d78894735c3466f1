import { type Catalog, type DumpFile, HELD_STATUSES } from '../../catalog/index.ts';
import type { Bus } from '../../events/index.ts';
import { type DumpFileId, formatBytes, HaltPipelineError, minutes, Snooze } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Log } from '../../ports/index.ts';
import { dueOf } from '../due.ts';
import type { FileLocks } from '../file-locks.ts';
import { createDamageAlert } from './damage-alert.ts';
import { explained } from './explain-trouble.ts';
import { createHeldHashers, type HeldHasher } from './hash-thread.ts';
import { type MendDeps, type Mended, mendFile } from './repair-file.ts';
import { type HeldFile, type HeldReading, heldFileOf, type ReadSoFar } from './types.ts';
import { verifyFile } from './verify-file.ts';

/** What became of one file. */
export interface HeldOutcome {
  /** `gone`: it is not held any more, its recorded bytes changed meanwhile, or a newer version of it is on its way. */
  state: 'sound' | 'repaired' | 'damaged' | 'gone';
  /** Pieces that were put right. */
  healedPieces: number;
  /** What is, or was, wrong, one sentence; null = nothing. */
  reason: string | null;
}

/** How one file is read. */
export interface HeldTask {
  signal: AbortSignal;
  /** Asked before so many bytes are read. */
  pace?: (bytes: number) => Promise<void>;
  soFar?: ReadSoFar | null;
  onRead?: (doneBytes: number, soFar: ReadSoFar) => void;
  /** While it is being repaired. */
  onProgress?: (doneBytes: number, totalBytes: number, label: string) => void;
}

/** What somebody else read of a held file and found to be wrong or missing. */
export interface FoundDamage {
  id: DumpFileId;
  /** What was recorded of it then: the SHA-1 that the bytes should have, and when they were last found right, epoch ms. */
  sha1: string;
  verifiedAt: number | null;
}

/** Reads held files again and repairs them; writes what it finds into the catalog at once. One at a time for each file. */
export interface HeldFiles {
  /** Reads one file and records what was found. Nothing on disk is changed. */
  verify(id: DumpFileId, task: HeldTask): Promise<HeldOutcome>;
  /**
   * Reads one file, puts right what is wrong as far as anybody has the bytes, and reads it again.
   * @throws Snooze while a newer version of it is on its way; HaltPipelineError `dumps_folder_empty`, `disk_full`;
   *   PermanentError `held_file_unwritable`; RetryableError `held_file_changed`; what `verifyFile` throws
   */
  repair(id: DumpFileId, task: HeldTask): Promise<HeldOutcome>;
  /**
   * Records what another process found. A file whose bytes or record changed since then is left alone.
   * @returns those of them that count as damaged now
   */
  noteDamage(found: readonly FoundDamage[]): DumpFileId[];
  /** Says what is damaged now, as an alert, or that nothing is any more. */
  tell(): void;
  stop(): Promise<void>;
}

/** What looking after held files needs. */
export interface HeldFilesDeps extends MendDeps {
  catalog: Catalog;
  clock: Clock;
  log: Log;
  /** Shared with the downloads. */
  locks: FileLocks;
  bus?: Bus;
}

/** A newer version takes hours; then there is nothing to be repaired any more. */
const REPLACED_FIRST_MS = minutes(15);
const UNMOUNTED_PAUSE_MS = minutes(5);

/** See `HeldFiles`; starts no thread before the first file. */
export function createHeldFiles(deps: HeldFilesDeps): HeldFiles {
  const { catalog, disk, layout, locks, pieceLength } = deps;
  const log = deps.log.child({ room: 'download' });
  const hashers = createHeldHashers();
  const tell = createDamageAlert({ catalog, ...(deps.bus === undefined ? {} : { bus: deps.bus }) });

  function find(id: DumpFileId): { row: DumpFile; file: HeldFile; sha1: string } | null {
    const row = catalog.dumpFile(id);
    if (row === null || row.sha1 === null || row.localPath === null) return null;
    if (!HELD_STATUSES.includes(row.ourStatus)) return null;
    return { row, file: heldFileOf(layout, row, catalog.pieceHashes(id)), sha1: row.sha1 };
  }

  /** Between the rename of its new bytes and their record the row still tells of the old ones: so nothing is judged by it. */
  const isReplaced = (id: DumpFileId): boolean => dueOf(catalog, id)?.isReplacement === true;

  async function read(file: HeldFile, hasher: HeldHasher, task: HeldTask): Promise<HeldReading> {
    const { signal, pace, soFar, onRead } = task;
    const reading = await verifyFile(file, {
      ...{ disk, hasher, signal, pieceLength, soFar: soFar ?? null },
      ...(pace === undefined ? {} : { pace }),
      ...(onRead === undefined ? {} : { onProgress: onRead }),
    });
    if (reading.kind === 'missing') await assertDumpsThere();
    return reading;
  }

  /** A disk that is not mounted is no reason to fetch terabytes again. */
  async function assertDumpsThere(): Promise<void> {
    if ((await disk.list(layout.dumps)).some((name) => !name.startsWith('.'))) return;
    throw new HaltPipelineError(
      'dumps_folder_empty',
      `${layout.dumps} holds nothing, but files are recorded as held`,
      {
        scope: 'disk',
        pauseMs: UNMOUNTED_PAUSE_MS,
        isNeverOwnFault: true,
        hint: `Is the disk mounted? If the files are really lost, say so with: touch ${layout.dumps}/lost, and they are fetched again.`,
      },
    );
  }

  function recordSound(
    { row, sha1 }: { row: DumpFile; sha1: string },
    reading: Extract<HeldReading, { kind: 'sound' }>,
    storedMtimeMs = reading.mtimeMs,
  ): boolean {
    const { newPieces } = reading;
    const pieceHashes = newPieces === null ? null : { pieceLength: newPieces.length, sha1s: newPieces.sha1s };
    const isRecorded = catalog.recordSound(row.id, { sha1, storedMtimeMs, pieceHashes });
    if (row.damagedAt !== null) tell();
    return isRecorded;
  }

  function recordDamaged(
    { row, sha1 }: { row: DumpFile; sha1: string },
    { reason }: { reason: string },
  ): void {
    if (!catalog.recordDamaged(row.id, { sha1 })) {
      // Whoever recorded it before may have told nobody.
      tell();
      return;
    }
    step('held:damage_recorded');
    log.error(
      { wiki: row.wikiDbName, dumpFileId: row.id, filename: row.filename, reason },
      'a held file is damaged',
    );
    tell();
  }

  function noteDamage(damages: readonly FoundDamage[]): DumpFileId[] {
    const known = damages.filter(({ id, sha1, verifiedAt }) => {
      const found = find(id);
      if (found === null || found.sha1 !== sha1 || found.row.verifiedAt !== verifiedAt) return false;
      return !isReplaced(id);
    });
    for (const { id, sha1 } of known)
      if (catalog.recordDamaged(id, { sha1 }))
        log.error({ dumpFileId: id }, 'a held file is damaged: found by "wikiseed verify"');
    tell();
    return known.map(({ id }) => id);
  }

  /** Reads and records. */
  async function look(id: DumpFileId, hasher: HeldHasher, task: HeldTask) {
    const found = find(id);
    if (found === null) return null;
    const reading = await read(found.file, hasher, task);
    // It took hours, perhaps: bytes that are recorded by now may be others.
    if (catalog.dumpFile(id)?.sha1 !== found.sha1 || find(id) === null || isReplaced(id)) return null;
    if (reading.kind === 'sound') recordSound(found, reading);
    else recordDamaged(found, reading);
    return { found, reading };
  }

  const gone: HeldOutcome = { state: 'gone', healedPieces: 0, reason: null };
  const sound: HeldOutcome = { state: 'sound', healedPieces: 0, reason: null };

  async function mend(
    { row, file }: { row: DumpFile; file: HeldFile },
    reading: Exclude<HeldReading, { kind: 'sound' }>,
    { hasher, task }: { hasher: HeldHasher; task: HeldTask },
  ): Promise<Mended> {
    try {
      const { signal, onProgress } = task;
      const bound = log.child({ wiki: row.wikiDbName, dumpFileId: row.id, filename: row.filename });
      return await mendFile(deps, {
        ...{ row, file, reading, hasher, signal, log: bound },
        ...(onProgress === undefined ? {} : { onProgress }),
      });
    } catch (error) {
      throw explained(error, row);
    }
  }

  /** Whoever serves the file, or copies it elsewhere, knows its bytes by this time. */
  async function settleTime(file: HeldFile, mtimeMs: number): Promise<number | null> {
    const opened = await disk.open(file.path, 'read');
    try {
      await opened.setModified(mtimeMs);
      await opened.sync();
    } finally {
      await opened.close();
    }
    return (await disk.stat(file.path))?.mtimeMs ?? null;
  }

  async function verifyOne(id: DumpFileId, task: HeldTask): Promise<HeldOutcome> {
    // It is nobody's turn but ours: what changes it is a download.
    if (find(id) === null || isReplaced(id) || locks.isChanging(id)) return gone;
    const seen = await hashers.use((hasher) => look(id, hasher, task));
    if (seen === null) return gone;
    const { reading } = seen;
    return reading.kind === 'sound' ? sound : { state: 'damaged', healedPieces: 0, reason: reading.reason };
  }

  async function repairOne(id: DumpFileId, hasher: HeldHasher, task: HeldTask): Promise<HeldOutcome> {
    const seen = await look(id, hasher, task);
    if (seen === null) return gone;
    const { found, reading } = seen;
    if (reading.kind === 'sound') return sound;
    const { row, file, sha1 } = found;
    const mended = await mend(found, reading, { hasher, task });
    const { reason } = reading;
    if (mended.left !== 0) {
      const left = mended.left === null ? 'the file' : `${mended.left} of its pieces`;
      log.warn(
        { wiki: row.wikiDbName, dumpFileId: id, filename: row.filename, healed: mended.healed, reason },
        `nobody has ${left} now; it is tried again tomorrow`,
      );
      return { state: 'damaged', healedPieces: mended.healed, reason };
    }
    // All of it once more: what counts is what the disk gives back.
    const again = find(id);
    if (again === null || again.sha1 !== sha1) return gone;
    const proof = await read(again.file, hasher, { signal: task.signal });
    if (proof.kind !== 'sound')
      return { state: 'damaged', healedPieces: mended.healed, reason: proof.reason };
    const before = row.storedMtimeMs ?? (reading.kind === 'damaged' ? reading.mtimeMs : null);
    const mtimeMs = before === null ? proof.mtimeMs : await settleTime(file, before);
    if (mtimeMs === null || !recordSound({ ...again, sha1 }, proof, mtimeMs)) return gone;
    tell();
    step('held:repaired');
    log.warn(
      {
        ...{ wiki: row.wikiDbName, dumpFileId: id, filename: row.filename },
        ...{ pieces: mended.healed, bytes: formatBytes(row.sizeBytes), reason },
      },
      'a damaged held file was repaired',
    );
    return { state: 'repaired', healedPieces: mended.healed, reason };
  }

  return {
    verify: (id, task) => locks.inTurn(id, () => verifyOne(id, task)),
    repair: (id, task) =>
      locks.inTurn(id, async () => {
        if (find(id) === null) return gone;
        // It is nobody's turn but ours: what changes it is a download.
        if (isReplaced(id) || locks.isChanging(id))
          throw new Snooze('a newer version of it is to be fetched first', REPLACED_FIRST_MS);
        return await locks.alone(id, () => hashers.use((hasher) => repairOne(id, hasher, task)));
      }),
    noteDamage,
    tell,
    stop: () => hashers.stop(),
  };
}
