import type { Catalog, DumpFile } from '../catalog/index.ts';
import type { FileFacts } from '../ports/index.ts';
import type { AlignedFile, Arrangement } from './arrangement.ts';

/** Length of a SHA-1, bytes. */
export const DIGEST_BYTES = 20;

/** Files whose stored hashes are asked for without a pause: some 5 ms. */
export const FILES_AT_ONCE = 500;

/** What asking for stored hashes needs. */
interface StoredDeps {
  catalog: Pick<Catalog, 'pieceHashes'>;
}

/** A file that has another modification time than is recorded, although its bytes are the recorded ones. */
export interface TouchedFile {
  dump: DumpFile;
  mtimeMs: number;
}

/** True when the file is what it was when its bytes were last right. */
export function isUntouched({ file }: AlignedFile, found: FileFacts | undefined): boolean {
  const { dump } = file.content;
  return (
    found?.isFile === true &&
    found.sizeBytes === dump.sizeBytes &&
    found.mtimeMs === dump.storedMtimeMs &&
    dump.damagedAt === null
  );
}

/** Null when there are none, or of another piece length. */
export function storedPieces(
  deps: StoredDeps,
  { file, pieceCount }: AlignedFile,
  pieceLength: number,
): Uint8Array | null {
  const stored = deps.catalog.pieceHashes(file.content.dump.id);
  const fits = stored?.pieceLength === pieceLength && stored.sha1s.length === pieceCount * DIGEST_BYTES;
  return fits ? stored.sha1s : null;
}

/**
 * Which of the aligned files, all of which were proved, may count as untouched from now on. Those whose stored pieces are not
 * what was read are no such files: they are read again the next time, too. Pauses at each `yield`.
 */
export function* touchedFiles(
  deps: StoredDeps,
  { aligned, pieceLength }: Arrangement,
  { facts, pieces }: { facts: ReadonlyMap<string, FileFacts>; pieces: Uint8Array },
): Generator<void, TouchedFile[]> {
  const touched: TouchedFile[] = [];
  let asked = 0;
  for (const each of aligned) {
    const { dump } = each.file.content;
    const mtimeMs = facts.get(each.file.path)?.mtimeMs;
    if (mtimeMs === undefined || mtimeMs === dump.storedMtimeMs) continue;
    asked += 1;
    if (asked % FILES_AT_ONCE === 0) yield;
    const stored = storedPieces(deps, each, pieceLength);
    // The last piece of it in the torrent may hold more than the file; the stored one is compared whenever it is used.
    const compared = (each.pieceCount - (each.endsAlone ? 0 : 1)) * DIGEST_BYTES;
    const start = each.firstPiece * DIGEST_BYTES;
    const isSame =
      stored !== null &&
      Buffer.compare(stored.subarray(0, compared), pieces.subarray(start, start + compared)) === 0;
    if (isSame) touched.push({ dump, mtimeMs });
  }
  return touched;
}
