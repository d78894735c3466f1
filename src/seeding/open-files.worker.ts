import { type FileHandle, open } from 'node:fs/promises';
import { missing, type StoredFile } from './known-files.worker.ts';

/*
 * The open files of the seeding thread, all torrents together: a torrent has tens of thousands of files, and a process may
 * usually open 1024.
 */

/** What is read from at once; far below the usual limit, and enough for the peers of one uplink. */
const HANDLES_MAX = 128;

interface OpenFile {
  handle: Promise<FileHandle>;
  /** The same once it is open. */
  opened: FileHandle | null;
  /** Reads that use it now. */
  users: number;
  /** It is closed by whoever uses it last. */
  isDoomed: boolean;
}

/** Files opened for reading, never more than the limit. */
export class OpenFiles {
  readonly #max: number;
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #files = new Map<StoredFile, OpenFile>();
  /** Those that are being opened or closed included. */
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max = HANDLES_MAX) {
    this.#max = max;
  }

  /** Number of files open now. */
  get count(): number {
    return this.#taken;
  }

  /**
   * Opens a file, or takes it as it is open, and keeps it open for the next one. Waits while the limit is reached and all are
   * in use, so a reader never holds one while it waits for another.
   * @throws SeedFileError `seed_file_missing`; what opening it throws; what `read` throws
   */
  async use<T>(file: StoredFile, read: (handle: FileHandle) => Promise<T>): Promise<T> {
    let entry = this.#files.get(file);
    while (entry === undefined) {
      if (this.#taken < this.#max) {
        entry = this.#open(file);
        break;
      }
      const idle = [...this.#files].find(([, { users }]) => users === 0);
      if (idle === undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      else await this.#close(...idle);
      entry = this.#files.get(file);
    }
    entry.users += 1;
    // Now it is the one used last.
    if (this.#files.delete(file)) this.#files.set(file, entry);
    try {
      return await read(await entry.handle);
    } finally {
      entry.users -= 1;
      if (entry.isDoomed && entry.users === 0) await this.#close(file, entry);
      else this.#waiting.shift()?.();
    }
  }

  /** Looks at a file that is open, at once. @returns false when it is not open */
  peek(file: StoredFile, look: (handle: FileHandle) => void): boolean {
    const opened = this.#files.get(file)?.opened ?? null;
    if (opened === null) return false;
    look(opened);
    return true;
  }

  /** Closes a file when nobody reads it any more; it is opened anew for the next one. */
  async forget(file: StoredFile): Promise<void> {
    const entry = this.#files.get(file);
    if (entry === undefined) return;
    this.#files.delete(file);
    entry.isDoomed = true;
    if (entry.users === 0) await this.#close(file, entry);
  }

  #open(file: StoredFile): OpenFile {
    this.#taken += 1;
    const entry: OpenFile = {
      users: 0,
      isDoomed: false,
      opened: null,
      handle: open(file.absolutePath, 'r').catch((error: NodeJS.ErrnoException) => {
        if (this.#files.get(file) === entry) this.#files.delete(file);
        this.#free();
        throw error.code === 'ENOENT' ? missing(file.absolutePath) : error;
      }),
    };
    this.#files.set(file, entry);
    entry.handle.then(
      (handle) => {
        entry.opened = handle;
      },
      () => {},
    );
    return entry;
  }

  async #close(file: StoredFile, entry: OpenFile): Promise<void> {
    if (this.#files.get(file) === entry) this.#files.delete(file);
    const handle = await entry.handle.catch(() => null);
    // One that could not be opened was counted off already.
    if (handle === null) return;
    // What was only read cannot be lost by a close that fails.
    await handle.close().catch(() => {});
    this.#free();
  }

  #free(): void {
    this.#taken -= 1;
    this.#waiting.shift()?.();
  }
}
