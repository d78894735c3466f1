import { availableParallelism } from 'node:os';
import type { Catalog } from '../catalog/index.ts';
import { inParallel } from '../lib/in-parallel.ts';
import { inTurns } from '../lib/in-turns.ts';
import { RetryableError, threadScript } from '../lib/index.ts';
import type { FileFacts } from '../ports/index.ts';
import type { Arrangement } from './arrangement.ts';
import type { ContentFile } from './payload/content.ts';
import type { DumpPayloadFile, PayloadFile } from './payload/payload.ts';
import type { ReadingMessage, ReadingPart, ReadingTask } from './reading.worker.ts';
import { type Reading, type Stretch, stretchesOf, tailOf, wholeFile } from './readings.ts';
import {
  assertDumpsThere,
  assertSame,
  type Proof,
  proveSources,
  type SourceDeps,
  sourcePath,
} from './sources.ts';
import {
  DIGEST_BYTES,
  FILES_AT_ONCE,
  isUntouched,
  storedPieces,
  type TouchedFile,
  touchedFiles,
} from './stored-pieces.ts';
import { runInThreads } from './thread-pool.ts';

/** What proving needs; the number of bytes to be read is known before the first one is. */
export interface ProveDeps extends Omit<SourceDeps, 'onProgress'> {
  catalog: Pick<Catalog, 'pieceHashes'>;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** A proof with the hashes that came with it. */
export interface HashedProof extends Proof {
  /** 20 bytes for each piece of the torrent; only complete when nothing is damaged. */
  pieces: Uint8Array;
  /** Aligned files that were read because somebody had touched them, and that are right. */
  touched: TouchedFile[];
}

/** A thread takes some 50 ms to start; less than this is read sooner by one that runs. */
const BYTES_PER_THREAD = 64 * 2 ** 20;
/** Files that are looked at on the disk at the same time. */
const LOOKS_AT_ONCE = 16;
/** Files that change while they are read again and again are somebody else's work in progress. */
const ROUNDS_MAX = 3;

/**
 * Proves every held file and hashes the pieces, so that no byte is in a torrent that was not proved:
 *
 * - an aligned file with stored piece hashes that was not touched since its bytes were right (size, modification time) is
 *   not read but for its last piece, which ends with padding here;
 * - everything else is read once, and the same bytes give its SHA-1 and the pieces.
 *
 * What seems damaged is looked at again by `proveSources`, which also restores names.
 * @throws as `proveSources`
 */
export async function proveAndHash(deps: ProveDeps, arrangement: Arrangement): Promise<HashedProof> {
  await assertDumpsThere(deps);
  const pieces = new Uint8Array(arrangement.pieceCount * DIGEST_BYTES);
  const facts = new Map<string, FileFacts>();
  const dumps = arrangement.entries.filter(isDump);
  const lookAt = async (files: readonly PayloadFile[]): Promise<void> => {
    await inParallel(files.filter(isDump), LOOKS_AT_ONCE, async (file) => {
      const found = await deps.disk.stat(sourcePath(deps.layout, file.content.dump));
      if (found !== null) facts.set(file.path, found);
    });
  };
  await lookAt(dumps);
  const ends: Ends = { heads: new Map(), overlaps: new Map() };
  let open = await inTurns(planReadings(deps, arrangement, { facts, pieces }));
  for (let round = 1; open.length > 0; round += 1) {
    const doubted = await runReadings(deps, open, { arrangement, pieces, ends });
    if (doubted.size === 0) break;
    const suspects: ContentFile[] = [...new Set([...doubted.values()].flat())].map(({ content }) => content);
    const { damaged } = await proveSources({ ...deps, onProgress: () => {} }, suspects);
    if (damaged.length > 0 || round === ROUNDS_MAX) {
      if (damaged.length === 0) throw changed(suspects);
      return { damaged, pieces, touched: [], assertUnchanged: async () => {} };
    }
    // Their bytes are right after all: they were given back by a torrent's folder, or what was stored of them is wrong.
    open = [...doubted].map(([reading, files]) =>
      reading.kind === 'tail' && files.length > 0 ? wholeFile(reading.aligned, reading.next) : reading,
    );
    await lookAt(open.flatMap((reading) => (reading.kind === 'stretch' ? reading.files : [])));
  }
  // The same bytes were read in two stretches, and proved in one of them.
  for (const [next, overlaps] of ends.overlaps)
    if (overlaps !== ends.heads.get(next))
      throw changed(next.files.filter(isDump).map(({ content }) => content));
  return {
    damaged: [],
    pieces,
    touched: await inTurns(touchedFiles(deps, arrangement, { facts, pieces })),
    async assertUnchanged() {
      await inParallel(dumps, LOOKS_AT_ONCE, async ({ content, path }) =>
        assertSame(
          content.dump,
          facts.get(path),
          await deps.disk.stat(sourcePath(deps.layout, content.dump)),
        ),
      );
    },
  };
}

/** What was read at the borders of stretches, as SHA-1. */
interface Ends {
  heads: Map<Stretch, string>;
  /** Of each stretch, what was seen of its head by whoever reads what is before it. */
  overlaps: Map<Stretch, string>;
}

/** Takes from the store what can be taken, and says what must be read; pauses, since each file is a question to the catalog. */
function* planReadings(
  deps: ProveDeps,
  arrangement: Arrangement,
  { facts, pieces }: { facts: ReadonlyMap<string, FileFacts>; pieces: Uint8Array },
): Generator<void, Reading[]> {
  const readings: Reading[] = [];
  const stretches = stretchesOf(arrangement);
  const [first] = stretches;
  for (const [index, aligned] of arrangement.aligned.entries()) {
    if (index % FILES_AT_ONCE === FILES_AT_ONCE - 1) yield;
    const next = aligned.endsAlone || aligned.padding !== null ? null : (first ?? null);
    const stored = isUntouched(aligned, facts.get(aligned.file.path))
      ? storedPieces(deps, aligned, arrangement.pieceLength)
      : null;
    if (stored === null) {
      readings.push(wholeFile(aligned, next));
      continue;
    }
    pieces.set(stored, aligned.firstPiece * DIGEST_BYTES);
    if (!aligned.endsAlone) readings.push(tailOf(aligned, stored.subarray(-DIGEST_BYTES), next));
  }
  return [...readings, ...stretches];
}

/** @returns what must be read again, each with the files that were not as recorded */
async function runReadings(
  deps: ProveDeps,
  readings: readonly Reading[],
  { arrangement, pieces, ends }: { arrangement: Arrangement; pieces: Uint8Array; ends: Ends },
): Promise<Map<Reading, DumpPayloadFile[]>> {
  const doubted = new Map<Reading, DumpPayloadFile[]>();
  const { pieceLength } = arrangement;
  const totalBytes = readings.reduce((sum, reading) => sum + bytesOf(reading, pieceLength), 0);
  let doneBytes = 0;
  // The largest first, so that no thread is left alone with it at the end.
  const order = [...readings.entries()].sort(
    ([, a], [, b]) => bytesOf(b, pieceLength) - bytesOf(a, pieceLength),
  );
  await runInThreads<ReadingTask, ReadingMessage>({
    script: threadScript(import.meta.url, 'reading'),
    tasks: order.map(([index, reading]) => taskOf(deps, reading, { index, pieceLength })),
    threads: Math.min(availableParallelism(), Math.max(1, Math.ceil(totalBytes / BYTES_PER_THREAD))),
    signal: deps.signal,
    onMessage(message) {
      switch (message.kind) {
        case 'progress':
          doneBytes += message.addedBytes;
          // What two stretches share is read in both.
          deps.onProgress?.(Math.min(doneBytes, totalBytes), totalBytes);
          return 'more';
        case 'failed':
          // A disk that cannot be read proves nothing about the bytes.
          throw new RetryableError('torrent_read_failed', `cannot read ${message.path}: ${message.message}`);
        case 'tail': {
          const tail = readings[message.index];
          if (tail?.kind !== 'tail') return 'done';
          const { file, firstPiece, pieceCount } = tail.aligned;
          if (message.digests === null || Buffer.compare(message.digests.short, tail.expected) !== 0)
            doubted.set(tail, [file]);
          else pieces.set(message.digests.whole, (firstPiece + pieceCount - 1) * DIGEST_BYTES);
          if (tail.next !== null) ends.overlaps.set(tail.next, message.overlapSha1);
          return 'done';
        }
        case 'stretch': {
          const stretch = readings[message.index];
          if (stretch?.kind !== 'stretch') return 'done';
          const wrong = stretch.files.filter(
            (file, index): file is DumpPayloadFile =>
              isDump(file) && file.content.dump.sha1 !== message.sha1s[index],
          );
          assertUnpackedAsMade(stretch, message.sha1s);
          if (wrong.length > 0) doubted.set(stretch, wrong);
          else pieces.set(message.pieces, stretch.firstPiece * DIGEST_BYTES);
          ends.heads.set(stretch, message.headSha1);
          if (stretch.next !== null) ends.overlaps.set(stretch.next, message.overlapSha1);
          return 'done';
        }
      }
    },
  });
  // The last piece of a stretch may hold bytes of a file that was doubted in the one after.
  for (const reading of readings)
    if (reading.next !== null && doubted.has(reading.next) && !doubted.has(reading)) doubted.set(reading, []);
  return doubted;
}

function taskOf(
  { layout }: ProveDeps,
  reading: Reading,
  { index, pieceLength }: { index: number; pieceLength: number },
): ReadingTask {
  const partOf = (file: PayloadFile): ReadingPart => {
    switch (file.kind) {
      case 'text':
        return { kind: 'bytes', bytes: file.bytes };
      case 'unpacked':
        return { kind: 'file', path: file.absolutePath, sizeBytes: file.sizeBytes };
      case 'dump':
        return { kind: 'file', path: sourcePath(layout, file.content.dump), sizeBytes: file.sizeBytes };
    }
  };
  if (reading.kind === 'tail') {
    const { file, padding } = reading.aligned;
    return {
      ...{ kind: 'tail', index, path: sourcePath(layout, file.content.dump) },
      ...{ sizeBytes: file.sizeBytes, pieceLength, paddingBytes: padding?.sizeBytes ?? 0 },
      overlap: reading.following.map(partOf),
    };
  }
  const { files, headBytes, following, paddingBytes } = reading;
  return {
    kind: 'stretch',
    ...{ index, pieceLength, headBytes, paddingBytes },
    parts: files.map(partOf),
    overlap: following.map(partOf),
  };
}

/** Bytes a thread takes from the disk, the overlap apart. */
function bytesOf(reading: Reading, pieceLength: number): number {
  return reading.kind === 'tail'
    ? reading.aligned.file.sizeBytes % pieceLength
    : reading.files.filter(isDump).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function isDump(file: { kind: string }): file is DumpPayloadFile {
  return file.kind === 'dump';
}

/** An unpacked file is not what it was when it was unpacked: it is to be unpacked again. */
export class UnpackedFileChanged extends RetryableError {
  readonly path: string;
  constructor(path: string) {
    super('unpacked_file_changed', `${path} is not what was unpacked; it is unpacked again`);
    this.path = path;
  }
}

function assertUnpackedAsMade({ files }: Stretch, sha1s: readonly (string | null)[]): void {
  for (const [index, file] of files.entries())
    if (file.kind === 'unpacked' && file.sha1 !== sha1s[index])
      throw new UnpackedFileChanged(file.absolutePath);
}

function changed(files: readonly ContentFile[]): RetryableError {
  return new RetryableError(
    'dump_file_changed',
    `${files[0]?.dump.localPath ?? 'a file'} was changed while the torrent was made`,
  );
}
