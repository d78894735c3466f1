import { dirname } from 'node:path';
import type { DumpFile } from '../../catalog/index.ts';
import type { Disk, Log } from '../../ports/index.ts';
import { type ByteSource, SourceFault } from '../sources/index.ts';
import type { HeldHasher } from './hash-thread.ts';
import { readySources, type ServerDeps } from './server-pieces.ts';
import type { HeldFile, Pieces } from './types.ts';
import { verifyFile } from './verify-file.ts';

/** One file to fetch from its first byte to its last, because nothing is known of its pieces. */
export interface WholeTask {
  row: DumpFile;
  file: HeldFile;
  /** Where the bytes go. */
  path: string;
  hasher: HeldHasher;
  pieceLength: number;
  signal: AbortSignal;
  log: Log;
  onProgress?: (doneBytes: number) => void;
}

/**
 * Fetches a file from one source after the other until its recorded hashes prove it.
 * @returns the piece hashes of what lies under `path` then; null when nobody had it, and nothing lies there
 * @throws Interrupted, and what the disk has to say
 */
export async function fetchWhole(
  deps: ServerDeps & { disk: Disk; isContested: (row: DumpFile) => boolean },
  task: WholeTask,
): Promise<Pieces | null> {
  const { row, file, path, log } = task;
  await deps.disk.makeDirectory(dirname(path));
  for (const source of readySources(deps.book, row)) {
    try {
      await receiveInto(deps, task, source);
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error;
      deps.book.noteFault(source, row, error);
      continue;
    }
    const reading = await verifyFile(
      { ...file, path, pieces: null },
      { ...deps, ...task, pace: async () => {} },
    );
    if (reading.kind === 'sound') {
      deps.book.noteGood(source, row);
      return reading.newPieces;
    }
    log.warn({ from: source.url }, 'other bytes than the recorded ones were offered and refused');
    if (!deps.isContested(row)) deps.book.noteFault(source, row, { kind: 'wrong_bytes' });
  }
  await deps.disk.remove(path);
  return null;
}

async function receiveInto(
  { book, client, clock, disk }: ServerDeps & { disk: Disk },
  { row, path, signal, onProgress }: WholeTask,
  source: ByteSource,
): Promise<void> {
  const { sizeBytes } = row;
  const startedMs = clock.monotonicMs();
  const target = await disk.open(path, 'create');
  let gotBytes = 0;
  onProgress?.(gotBytes);
  try {
    const body = await client.open(source, {
      ...{ startBytes: 0, endBytes: sizeBytes },
      ...{ sizeBytes, validator: null, signal },
    });
    try {
      for await (const chunk of body.chunks) {
        await target.write(chunk, gotBytes);
        gotBytes += chunk.length;
        onProgress?.(gotBytes);
      }
    } catch (error) {
      body.discard();
      throw error;
    }
    await target.sync();
  } finally {
    await target.close();
  }
  book.noteBytes(source, { bytes: gotBytes, durationMs: clock.monotonicMs() - startedMs });
}
