import { fstatSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';

/*
 * The chunk store webtorrent reads from while it seeds. Runs in the seeding thread, so it may use the file system.
 *
 * Why not the stock store: it opens files for writing and creates what is missing, so a lost disk would look like an
 * unfinished download. Dump files are hard links of the one stored copy: nothing here may ever write to them.
 */

/** What a file was when its torrent was added; it is served only as long as it stays that. */
export type KnownFile =
  | { kind: 'file'; absolutePath: string; sizeBytes: number; mtimeMs: number }
  /** Zeros between files; they are on no disk (BEP 47). */
  | { kind: 'padding'; sizeBytes: number };

type StoredFile = Extract<KnownFile, { kind: 'file' }>;

/** A file that is not, or no longer, what the torrent was made from. */
export class SeedFileError extends Error {
  readonly code: 'seed_file_missing' | 'seed_file_changed';
  readonly path: string;
  constructor(code: SeedFileError['code'], path: string, message: string) {
    super(message);
    this.name = 'SeedFileError';
    this.code = code;
    this.path = path;
  }
}

/** What the store is created with; webtorrent hands it on as `storeOpts`. */
export interface ReadOnlyStoreOptions {
  /** In torrent order. */
  knownFiles: readonly KnownFile[];
  /** Open files at once; default 128, far below the usual limit of 1024 for a process. */
  handlesMax?: number;
  /** Hands out the store, which its user makes. */
  onMade?: (store: ReadOnlyStore) => void;
  /** Called at every read of a file that is missing or has changed. */
  onRefused?: (error: SeedFileError) => void;
}

/** How exactly the time of a file can be set, ms, with a little for rounding. */
const TIME_GRAIN_MS = 0.002;

type Done<T> = (error: Error | null, value?: T) => void;
interface GetOptions {
  offset?: number;
  length?: number;
}

/** An open file with the number of reads that use it now. */
interface OpenFile {
  handle: Promise<FileHandle>;
  users: number;
}

/**
 * Looks at every file before its torrent is served.
 * @param files padding has no path
 * @throws SeedFileError for the first one that is missing or of another size
 */
export async function inspectFiles(
  files: readonly { absolutePath: string | null; sizeBytes: number }[],
): Promise<KnownFile[]> {
  const known: KnownFile[] = [];
  for (const { absolutePath, sizeBytes } of files) {
    if (absolutePath === null) {
      known.push({ kind: 'padding', sizeBytes });
      continue;
    }
    const facts = await stat(absolutePath).catch(() => null);
    if (facts?.isFile() !== true) throw missing(absolutePath);
    if (facts.size !== sizeBytes) throw changed(absolutePath, `${facts.size} bytes instead of ${sizeBytes}`);
    known.push({ kind: 'file', absolutePath, sizeBytes, mtimeMs: facts.mtimeMs });
  }
  return known;
}

/** An abstract-chunk-store that only reads, with a bounded number of open files. */
export class ReadOnlyStore {
  readonly chunkLength: number;
  readonly #files: readonly KnownFile[];
  readonly #starts: number[] = [];
  readonly #totalBytes: number;
  readonly #handlesMax: number;
  readonly #onRefused: (error: SeedFileError) => void;
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #open = new Map<number, OpenFile>();
  #isClosed = false;

  constructor(chunkLength: number, options: ReadOnlyStoreOptions) {
    this.chunkLength = chunkLength;
    this.#files = options.knownFiles;
    this.#handlesMax = options.handlesMax ?? 128;
    this.#onRefused = options.onRefused ?? (() => {});
    let total = 0;
    for (const file of this.#files) {
      this.#starts.push(total);
      total += file.sizeBytes;
    }
    this.#totalBytes = total;
    options.onMade?.(this);
  }

  /**
   * Knows a file by another modification time from now on, and opens it anew: it was repaired, or only touched.
   * @returns false when it is none of ours, or is not of its size and that time
   */
  async renew(path: string, mtimeMs: number): Promise<boolean> {
    const index = this.#files.findIndex((file) => file.kind === 'file' && file.absolutePath === path);
    const known = this.#files[index];
    if (known?.kind !== 'file') return false;
    const facts = await stat(path).catch(() => null);
    if (facts?.isFile() !== true || facts.size !== known.sizeBytes) return false;
    if (Math.abs(facts.mtimeMs - mtimeMs) > TIME_GRAIN_MS) return false;
    known.mtimeMs = facts.mtimeMs;
    // What is open may be a file that another one took the place of.
    await this.#close(index);
    return true;
  }

  /** Number of files open now, for tests. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Always refuses: what we serve is the one stored copy. */
  put(_index: number, _bytes: Uint8Array, done: Done<never> = () => {}): void {
    queueMicrotask(() => done(new Error('this store is read-only')));
  }

  /** Reads a part of a piece; the default is the whole piece. */
  get(index: number, options: GetOptions | null | Done<Uint8Array>, callback?: Done<Uint8Array>): void {
    const done = typeof options === 'function' ? options : (callback ?? (() => {}));
    const wanted = typeof options === 'function' || options === null ? {} : options;
    this.#read(index, wanted).then(
      (bytes) => done(null, bytes),
      (error: Error) => done(error),
    );
  }

  close(done: Done<never> = () => {}): void {
    this.#isClosed = true;
    const files = [...this.#open.keys()];
    Promise.all(files.map((file) => this.#close(file))).then(
      () => done(null),
      (error: Error) => done(error),
    );
  }

  /** Closes; the files stay. */
  destroy(done: Done<never> = () => {}): void {
    this.close(done);
  }

  async #read(index: number, { offset = 0, length }: GetOptions): Promise<Uint8Array> {
    if (this.#isClosed) throw new Error('the store is closed');
    const start = index * this.chunkLength;
    const pieceBytes = Math.min(this.chunkLength, this.#totalBytes - start);
    const wanted = length ?? pieceBytes - offset;
    // A peer chooses these numbers.
    if (
      !(Number.isInteger(index) && index >= 0 && offset >= 0 && wanted >= 0 && offset + wanted <= pieceBytes)
    ) {
      throw new RangeError(`no such range: piece ${index}, offset ${offset}, length ${wanted}`);
    }
    const bytes = Buffer.allocUnsafe(wanted);
    let done = 0;
    let file = this.#fileAt(start + offset);
    while (done < wanted) {
      const position = start + offset + done - this.#starts[file]!;
      const known = this.#files[file]!;
      const count = Math.min(wanted - done, known.sizeBytes - position);
      const target = bytes.subarray(done, done + count);
      if (known.kind === 'padding') target.fill(0);
      else if (count > 0) await this.#readFile(file, known, target, position);
      done += count;
      file += 1;
    }
    return bytes;
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

  async #readFile(file: number, known: StoredFile, target: Uint8Array, position: number): Promise<void> {
    const open = this.#use(file, known);
    try {
      const handle = await open.handle;
      assertUnchanged(known, handle);
      let done = 0;
      while (done < target.length) {
        const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
        if (bytesRead === 0) throw changed(known.absolutePath, 'it ends too early');
        done += bytesRead;
      }
      // Again, because it may have been changed while we read.
      assertUnchanged(known, handle);
    } catch (error) {
      if (error instanceof SeedFileError) this.#onRefused(error);
      throw error;
    } finally {
      open.users -= 1;
    }
  }

  #use(file: number, { absolutePath: path }: StoredFile): OpenFile {
    let entry = this.#open.get(file);
    if (entry === undefined) {
      const handle = open(path, 'r').catch((error: NodeJS.ErrnoException) => {
        this.#open.delete(file);
        throw error.code === 'ENOENT' ? missing(path) : error;
      });
      entry = { handle, users: 0 };
      this.#closeOldest();
    } else {
      this.#open.delete(file);
    }
    entry.users += 1;
    this.#open.set(file, entry);
    return entry;
  }

  #closeOldest(): void {
    for (const [file, entry] of this.#open) {
      if (this.#open.size < this.#handlesMax) return;
      // A file in use is passed over: the limit may be exceeded by as many reads as run at once.
      if (entry.users === 0) void this.#close(file).catch(() => {});
    }
  }

  async #close(file: number): Promise<void> {
    const entry = this.#open.get(file);
    this.#open.delete(file);
    const handle = await entry?.handle.catch(() => null);
    await handle?.close();
  }
}

/** A look at an open file takes microseconds and touches no disk, so it is taken at every read. */
function assertUnchanged(known: StoredFile, handle: FileHandle): void {
  const facts = fstatSync(handle.fd);
  if (facts.size !== known.sizeBytes) {
    throw changed(known.absolutePath, `${facts.size} bytes instead of ${known.sizeBytes}`);
  }
  // A repair gives a file its time back, which the system takes in whole microseconds.
  if (Math.abs(facts.mtimeMs - known.mtimeMs) > TIME_GRAIN_MS)
    throw changed(known.absolutePath, 'it was written to');
}

function missing(path: string): SeedFileError {
  return new SeedFileError('seed_file_missing', path, `${path} is not there`);
}

function changed(path: string, how: string): SeedFileError {
  return new SeedFileError(
    'seed_file_changed',
    path,
    `${path} is not the file the torrent was made from: ${how}`,
  );
}
