import { fstatSync } from 'node:fs';
import { type FileHandle, stat } from 'node:fs/promises';
import { inParallel } from '../lib/in-parallel.ts';
import {
  assertUnchanged,
  changed,
  isSameTime,
  type KnownFile,
  missing,
  SeedFileError,
  type StoredFile,
} from './known-files.worker.ts';
import { OpenFiles } from './open-files.worker.ts';
import { createProvenMemory, type ProvenMemory } from './proven-memory.ts';
import { DamagedPieceError, ProvenPieces } from './proven-pieces.ts';

/*
 * The chunk store webtorrent reads from while it seeds. Runs in the seeding thread, so it may use the file system.
 *
 * Why not the stock store: it opens files for writing and creates what is missing, so a lost disk would look like an
 * unfinished download, and it serves whatever a file holds. Dump files are hard links of the one stored copy: nothing here may
 * ever write to them, and no byte leaves that is not what the torrent promises.
 */

/** Some bytes on disk that hold a piece that is not what it should be. */
export interface DamagedPiece {
  index: number;
  /** Absolute; every file that has bytes of it, since the hash of a piece does not tell which of them. */
  paths: string[];
}

/** What the store is created with; webtorrent hands it on as `storeOpts`. */
export interface ReadOnlyStoreOptions {
  /** In torrent order. */
  knownFiles: readonly KnownFile[];
  /** SHA-1 of each piece, 20 bytes each. */
  sha1s: Uint8Array;
  /** Shared by the stores of a thread; one of its own unless given. */
  openFiles?: OpenFiles;
  memory?: ProvenMemory;
  /** Who asks while `get` is called; webtorrent does not hand it on. */
  askedBy?: () => string;
  /** How long a refusal takes. Default 1 s: some clients ask again at once, thousands of times a second. */
  refusalDelayMs?: number;
  /** Hands out the store, which its user makes. */
  onMade?: (store: ReadOnlyStore) => void;
  /** Called at every read of a file that is missing or has changed. */
  onRefused?: (error: SeedFileError) => void;
  /** Called once for each damaged piece until one of its files is renewed. */
  onDamaged?: (piece: DamagedPiece) => void;
}

const REFUSAL_DELAY_MS = 1000;
/** Small files of one piece that are read at the same time. */
const FILES_AT_ONCE = 8;

type Done<T> = (error: Error | null, value?: T) => void;
interface GetOptions {
  offset?: number;
  length?: number;
}

/** A part of the torrent within one file. */
interface Slice {
  file: StoredFile;
  /** In the file. */
  position: number;
  /** In what is read. */
  from: number;
  length: number;
}

/** An abstract-chunk-store that only reads, proves what it gives, and has a bounded number of open files. */
export class ReadOnlyStore {
  readonly chunkLength: number;
  readonly #files: readonly KnownFile[];
  readonly #starts: number[] = [];
  readonly #onRefused: (error: SeedFileError) => void;
  readonly #open: OpenFiles;
  readonly #pieces: ProvenPieces;
  readonly #refusalDelayMs: number;
  readonly #askedBy: () => string;
  #isClosed = false;

  constructor(chunkLength: number, options: ReadOnlyStoreOptions) {
    this.chunkLength = chunkLength;
    this.#files = options.knownFiles;
    this.#onRefused = options.onRefused ?? (() => {});
    this.#refusalDelayMs = options.refusalDelayMs ?? REFUSAL_DELAY_MS;
    this.#askedBy = options.askedBy ?? (() => '');
    this.#open = options.openFiles ?? new OpenFiles();
    let totalBytes = 0;
    for (const file of this.#files) {
      this.#starts.push(totalBytes);
      totalBytes += file.sizeBytes;
    }
    this.#pieces = new ProvenPieces({
      ...{ pieceLength: chunkLength, totalBytes, sha1s: options.sha1s },
      memory: options.memory ?? createProvenMemory(),
      read: (position, target) => this.#readRange(position, target),
      onDamaged: (index) => options.onDamaged?.({ index, paths: this.#pathsOf(index) }),
    });
    options.onMade?.(this);
  }

  /**
   * Knows a file by another modification time from now on, and opens it anew: it was repaired, or only touched. Damaged
   * pieces of it are tried again.
   * @returns those pieces; null when it is none of ours, or is not of its size and that time
   */
  async renew(path: string, mtimeMs: number): Promise<number[] | null> {
    const at = this.#files.findIndex((file) => file.kind === 'file' && file.absolutePath === path);
    const known = this.#files[at];
    if (known?.kind !== 'file') return null;
    const facts = await stat(path).catch(() => null);
    if (facts?.isFile() !== true || facts.size !== known.sizeBytes) return null;
    if (!isSameTime(facts.mtimeMs, mtimeMs)) return null;
    known.mtimeMs = facts.mtimeMs;
    // What is open may be a file that another one took the place of.
    await this.#open.forget(known);
    const start = this.#starts[at]!;
    const last = Math.max(start, start + known.sizeBytes - 1);
    return this.#pieces.forgive(Math.floor(start / this.chunkLength), Math.floor(last / this.chunkLength));
  }

  /** Number of files open now, for tests. */
  get openCount(): number {
    return this.#open.count;
  }

  /** Always refuses: what we serve is the one stored copy. */
  put(_index: number, _bytes: Uint8Array, done: Done<never> = () => {}): void {
    queueMicrotask(() => done(new Error('this store is read-only')));
  }

  /** Reads a part of a piece; the default is the whole piece. */
  get(index: number, options: GetOptions | null | Done<Uint8Array>, callback?: Done<Uint8Array>): void {
    const done = typeof options === 'function' ? options : (callback ?? (() => {}));
    const wanted = typeof options === 'function' || options === null ? {} : options;
    this.#read(index, wanted, this.#askedBy()).then(
      (bytes) => done(null, bytes),
      // It keeps nobody from ending.
      (error: Error) => void setTimeout(() => done(error), this.#refusalDelayMs).unref(),
    );
  }

  close(done: Done<never> = () => {}): void {
    this.#isClosed = true;
    this.#pieces.clear();
    const files = this.#files.filter((file) => file.kind === 'file');
    Promise.all(files.map((file) => this.#open.forget(file))).then(
      () => done(null),
      (error: Error) => done(error),
    );
  }

  /** Closes; the files stay. */
  destroy(done: Done<never> = () => {}): void {
    this.close(done);
  }

  async #read(index: number, { offset = 0, length }: GetOptions, asker: string): Promise<Uint8Array> {
    if (this.#isClosed) throw new Error('the store is closed');
    const pieceBytes = this.#pieces.lengthOf(index);
    const wanted = length ?? pieceBytes - offset;
    // A peer chooses these numbers.
    if (
      !(Number.isInteger(index) && index >= 0 && offset >= 0 && wanted >= 0 && offset + wanted <= pieceBytes)
    ) {
      throw new RangeError(`no such range: piece ${index}, offset ${offset}, length ${wanted}`);
    }
    try {
      // Also of what is in memory: a file that changed is to be told of, and may mean that its whole disk is gone.
      for (const { file } of this.#slices(index * this.chunkLength + offset, wanted)) {
        const looked = this.#open.peek(file, (handle) => check(file, handle));
        if (!looked) await this.#lookAt(file);
      }
      return await this.#pieces.read(index, offset, wanted, asker);
    } catch (error) {
      if (error instanceof SeedFileError) this.#onRefused(error);
      throw error instanceof DamagedPieceError ? this.#damaged(error) : error;
    }
  }

  #damaged({ index }: DamagedPieceError): SeedFileError {
    const [path = '', ...others] = this.#pathsOf(index);
    const more = others.length === 0 ? '' : `, or one of ${others.length} files after it`;
    const text = `${path}${more} is damaged: piece ${index} is not what the torrent was made from`;
    return new SeedFileError('seed_file_damaged', path, text);
  }

  /** A look takes microseconds and touches no disk while the file is open; one that is closed need not be opened for it. */
  async #lookAt(file: StoredFile): Promise<void> {
    const facts = await stat(file.absolutePath).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? missing(file.absolutePath) : error;
    });
    assertUnchanged(file, facts);
  }

  #pathsOf(index: number): string[] {
    const slices = this.#slices(index * this.chunkLength, this.#pieces.lengthOf(index));
    return [...new Set(slices.map(({ file }) => file.absolutePath))];
  }

  /** The files of a range; padding and empty files have no bytes on disk. */
  #slices(start: number, length: number): Slice[] {
    const slices: Slice[] = [];
    let done = 0;
    for (let at = this.#fileAt(start); done < length; at += 1) {
      const file = this.#files[at]!;
      const position = start + done - this.#starts[at]!;
      const count = Math.min(length - done, file.sizeBytes - position);
      if (file.kind === 'file' && count > 0) slices.push({ file, position, from: done, length: count });
      done += count;
    }
    return slices;
  }

  /** Last file that starts at or before a position of the torrent. */
  #fileAt(position: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#starts[middle]! <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  async #readRange(start: number, target: Uint8Array): Promise<void> {
    const slices = this.#slices(start, target.length);
    // Padding lies between them.
    if (slices.reduce((sum, { length }) => sum + length, 0) < target.length) target.fill(0);
    await inParallel(slices, FILES_AT_ONCE, ({ file, position, from, length }) =>
      this.#open.use(file, (handle) =>
        readFully(file, handle, target.subarray(from, from + length), position),
      ),
    );
  }
}

async function readFully(
  file: StoredFile,
  handle: FileHandle,
  target: Uint8Array,
  position: number,
): Promise<void> {
  check(file, handle);
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw changed(file.absolutePath, 'it ends too early');
    done += bytesRead;
  }
  // Again, because it may have been changed while we read.
  check(file, handle);
}

function check(file: StoredFile, handle: FileHandle): void {
  assertUnchanged(file, fstatSync(handle.fd));
}
