import type { Catalog } from '../../catalog/index.ts';
import { DumpFileId, Interrupted, minutes } from '../../lib/index.ts';
import type { Clock, FileFacts } from '../../ports/index.ts';
import type { CarriedFile } from './carried-files.ts';
import type { OpenedFile } from './opened.ts';
import { createProvenReads, DamagedBytesError, type PieceHashes } from './proven-reads.ts';
import type { Reader } from './shared-turns.ts';

/** Reads files while they are sent, as long as they are what they were when they were opened. */
export interface SoundReads {
  /** Whether a piece of it was found to be wrong a short time ago, and nobody wrote it anew. */
  isDamaged(row: Pick<CarriedFile, 'dumpId' | 'storedMtimeMs' | 'isUncompressed'>): boolean;
  /**
   * @param row null = one of the torrent's own texts, which have no hashes of their own
   * @returns reads bytes from a position; fewer than asked means the end of the file. Throws when the file was changed, or its bytes
   *   are wrong: then a repair of it was asked for; Interrupted when the reader is gone
   */
  readerOf(
    row: CarriedFile | null,
    opened: OpenedFile,
  ): (target: Uint8Array, position: number, reader: Reader) => Promise<number>;
}

/** A repair takes no longer, as a rule; if it finds that nothing is wrong, the file is tried again. */
const DAMAGED_MS = minutes(10);
const DAMAGED_MAX = 1000;
const DIGEST_BYTES = 20;

/** See `SoundReads`. */
export function createSoundReads(deps: {
  catalog: Pick<Catalog, 'pieceHashes'>;
  clock: Pick<Clock, 'monotonicMs'>;
  askForRepair: (ids: readonly DumpFileId[]) => void;
}): SoundReads {
  const { catalog, clock, askForRepair } = deps;
  const proven = createProvenReads();
  /** By id and time of the file: when it ends. */
  const damaged = new Map<string, number>();

  /** null = it has none that could be compared. */
  function hashesOf(id: DumpFileId, sizeBytes: number): PieceHashes | null {
    const stored = catalog.pieceHashes(id);
    const fits =
      stored !== null && stored.sha1s.length === Math.ceil(sizeBytes / stored.pieceLength) * DIGEST_BYTES;
    return fits ? stored : null;
  }

  function noteDamaged(state: string): void {
    damaged.delete(state);
    damaged.set(state, clock.monotonicMs() + DAMAGED_MS);
    const [oldest] = damaged.keys();
    if (damaged.size > DAMAGED_MAX && oldest !== undefined) damaged.delete(oldest);
  }

  return {
    isDamaged: (row) =>
      row.isUncompressed === 0 &&
      clock.monotonicMs() < (damaged.get(stateOf(row)) ?? Number.NEGATIVE_INFINITY),

    readerOf(row, { file, facts }) {
      // Unpacked bytes are no dump file's: nothing is stored of their pieces, and no repair brings them back.
      const id = row === null || row.isUncompressed === 1 ? null : DumpFileId.parse(row.dumpId);
      const hashes = id === null ? null : hashesOf(id, facts.sizeBytes);
      const key = `${id}:${facts.mtimeMs}`;
      const source = hashes === null ? null : { key, file, sizeBytes: facts.sizeBytes, hashes };

      async function readUnchanged(target: Uint8Array, position: number, reader: Reader): Promise<number> {
        mustBeSame(await file.facts(), facts);
        const got = await (source === null
          ? file.read(target, position)
          : proven.read(source, target, position, reader)
        ).catch(async (error: unknown) => {
          if (error instanceof Interrupted) throw error;
          // Written while it was read: its bytes say nothing of what was stored.
          mustBeSame(await file.facts(), facts);
          if (row !== null && error instanceof DamagedBytesError) noteDamaged(stateOf(row));
          throw error;
        });
        mustBeSame(await file.facts(), facts);
        return got;
      }

      return async (target, position, reader) => {
        try {
          return await readUnchanged(target, position, reader);
        } catch (error) {
          if (id !== null && !(error instanceof Interrupted)) askForRepair([id]);
          throw error;
        }
      };
    },
  };
}

/** Whoever writes it anew notes another time. */
function stateOf({ dumpId, storedMtimeMs }: Pick<CarriedFile, 'dumpId' | 'storedMtimeMs'>): string {
  return `${dumpId}:${storedMtimeMs}`;
}

function mustBeSame(found: FileFacts, expected: FileFacts): void {
  if (found.sizeBytes !== expected.sizeBytes || found.mtimeMs !== expected.mtimeMs)
    throw new Error('a file was changed while it was sent');
}
