import { availableParallelism } from 'node:os';
import { type Catalog, HELD_STATUSES, type HeldSummary } from '../catalog/index.ts';
import {
  createHeldHashers,
  type HeldHashers,
  type HeldReading,
  heldFileOf,
  verifyFile,
} from '../download/index.ts';
import { describeError, errorCode, WikiSeedError } from '../lib/index.ts';
import type { Disk } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import type { ReadingProgress } from './reading-bar.ts';

/** What one held file turned out to be; `unread`: it could not be read, which says nothing of its bytes. */
export interface VerifiedFile extends HeldSummary {
  state: 'sound' | 'damaged' | 'unread';
  /** What was recorded of it when it was read. */
  sha1: string;
  /** null when it is sound. */
  reason: string | null;
}

/** More threads than this only make a disk seek. */
const THREADS_MAX = 4;
/** Beside a daemon a file may be replaced, repaired or deleted while it is read. */
const ROUNDS = 3;

/** What reading needs; the catalog may be over a connection that can only read. */
export interface VerifyDeps {
  catalog: Pick<Catalog, 'dumpFile' | 'pieceHashes'>;
  disk: Disk;
  layout: Layout;
  pieceLength: number;
  signal: AbortSignal;
  onProgress(progress: ReadingProgress): void;
}

/**
 * Reads held files from their first byte to their last, in threads, and compares them with what is recorded. Changes nothing.
 * Files that are not held any more when their turn comes are left out.
 * @throws WikiSeedError `dumps_folder_empty`; Interrupted
 */
export async function verifyFiles(deps: VerifyDeps, files: readonly HeldSummary[]): Promise<VerifiedFile[]> {
  if (files.length > 0) await assertDumpsThere(deps);
  const found = new Map<number, VerifiedFile>();
  const progress = {
    doneBytes: 0,
    totalBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    doneFiles: 0,
    totalFiles: files.length,
  };
  const hashers = createHeldHashers();
  const waiting = [...files];
  const inTurn = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { sizeBytes } = next;
      let countedBytes = 0;
      const count = (doneBytes: number): void => {
        progress.doneBytes += doneBytes - countedBytes;
        countedBytes = doneBytes;
        deps.onProgress({ ...progress });
      };
      const verified = await verifyOne(deps, hashers, next, count);
      if (verified !== null) found.set(next.id, verified);
      progress.doneFiles += 1;
      count(sizeBytes);
    }
  };
  try {
    await Promise.all(
      Array.from({ length: Math.min(availableParallelism(), THREADS_MAX, files.length) }, inTurn),
    );
  } finally {
    waiting.length = 0;
    await hashers.stop();
  }
  return files.flatMap(({ id }) => found.get(id) ?? []);
}

async function assertDumpsThere({ disk, layout }: VerifyDeps): Promise<void> {
  if ((await disk.list(layout.dumps)).some((name) => !name.startsWith('.'))) return;
  throw new WikiSeedError(
    'dumps_folder_empty',
    `${layout.dumps} holds nothing, but files are recorded as held`,
    { hint: 'Is the disk mounted?' },
  );
}

async function verifyOne(
  deps: VerifyDeps,
  hashers: HeldHashers,
  summary: HeldSummary,
  onRead: (doneBytes: number) => void,
): Promise<VerifiedFile | null> {
  const { catalog, disk, layout, pieceLength, signal } = deps;
  for (let round = 1; ; round += 1) {
    const row = catalog.dumpFile(summary.id);
    if (row === null || row.localPath === null || !HELD_STATUSES.includes(row.ourStatus)) return null;
    const { sha1, verifiedAt, damagedAt } = row;
    if (sha1 === null) return null;
    const known = { ...summary, sha1, verifiedAt, damagedAt };
    const file = heldFileOf(layout, row, catalog.pieceHashes(row.id));
    let reading: HeldReading;
    try {
      reading = await hashers.use((hasher) =>
        verifyFile(file, { disk, hasher, signal, pieceLength, onProgress: onRead }),
      );
    } catch (error) {
      const code = errorCode(error);
      if (code === 'held_file_changed' && round < ROUNDS) continue;
      if (code !== 'held_file_changed' && code !== 'held_file_unreadable') throw error;
      return { ...known, state: 'unread', reason: describeError(error) };
    }
    if (reading.kind === 'sound') return { ...known, state: 'sound', reason: null };
    if (reading.kind === 'missing') await assertDumpsThere(deps);
    const now = catalog.dumpFile(summary.id);
    // A daemon may have repaired it, or found it sound, since we began to read.
    const isSame =
      now?.sha1 === sha1 && now.verifiedAt === verifiedAt && HELD_STATUSES.includes(now.ourStatus);
    if (isSame || round === ROUNDS) return { ...known, state: 'damaged', reason: reading.reason };
  }
}
