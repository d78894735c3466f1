import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ReceivedBody } from './receive-body.ts';

/** A value of item metadata: one text, or several. */
export type MetadataValue = string | string[];

/** A file of an item as it was received. `state` is `queued` until its task has run, `failed` after a red one. */
export interface StoredFile {
  name: string;
  size: number;
  md5: string;
  sha1: string;
  crc32: string;
  /** Seconds since 1970. */
  mtime: number;
  /** Fields from `x-archive-filemeta…` headers. */
  extra: Record<string, MetadataValue>;
  state: 'queued' | 'visible' | 'failed';
  /** The md5 that the metadata shows; differs from `md5` only under a `late-loss` fault. */
  shownMd5: string;
  taskId: number;
}

/** An item and its files by name. */
export interface StoredItem {
  identifier: string;
  metadata: Record<string, MetadataValue>;
  /** Seconds since 1970. */
  created: number;
  files: Record<string, StoredFile>;
}

/**
 * The archive's disk: `<dir>/items/<identifier>/item.json` and `files/…` beside it, `<dir>/incoming/` for uploads on
 * their way. An item file is replaced atomically after every change, so that a restart finds what was acknowledged.
 */
export class ArchiveStore {
  readonly items = new Map<string, StoredItem>();
  readonly #dir: string;
  #nextIncoming = 0;
  #saves = Promise.resolve();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens the store and throws away what earlier uploads left half-done. */
  static async open(dir: string): Promise<ArchiveStore> {
    const store = new ArchiveStore(dir);
    await rm(join(dir, 'incoming'), { recursive: true, force: true });
    await mkdir(join(dir, 'incoming'), { recursive: true });
    await mkdir(join(dir, 'items'), { recursive: true });
    for (const name of await readdir(join(dir, 'items'))) {
      const text = await readFile(join(dir, 'items', name, 'item.json'), 'utf8').catch(() => null);
      if (text === null) continue;
      const item = JSON.parse(text) as StoredItem;
      store.items.set(item.identifier, item);
    }
    return store;
  }

  /** A fresh path for a body that is being received. */
  incomingPath(): string {
    this.#nextIncoming += 1;
    return join(this.#dir, 'incoming', String(this.#nextIncoming));
  }

  /** Where a file's bytes are. Every segment of the key is encoded: no key can name a path outside of its item. */
  filePath(identifier: string, key: string): string {
    const segments = key.split('/').map((segment) => `=${encodeURIComponent(segment)}`);
    return join(this.#dir, 'items', identifier, 'files', ...segments);
  }

  /** Takes over a received body as a file of the item. */
  async adopt(item: StoredItem, file: StoredFile, incoming: string): Promise<void> {
    const path = this.filePath(item.identifier, file.name);
    await mkdir(dirname(path), { recursive: true });
    await rename(incoming, path);
    item.files[file.name] = file;
    await this.save(item);
  }

  /** Moves a file that is about to be overwritten to `history/files/<name>.~N~`; nothing to do when there is none. */
  async keepOldVersion(item: StoredItem, name: string): Promise<void> {
    const old = item.files[name];
    if (old === undefined) return;
    let version = 1;
    while (item.files[`history/files/${name}.~${version}~`] !== undefined) version += 1;
    const kept = `history/files/${name}.~${version}~`;
    const path = this.filePath(item.identifier, kept);
    await mkdir(dirname(path), { recursive: true });
    await rename(this.filePath(item.identifier, name), path);
    item.files[kept] = { ...old, name: kept };
    delete item.files[name];
  }

  /** Removes a file and its bytes; true when it was there. */
  async remove(item: StoredItem, name: string): Promise<boolean> {
    if (item.files[name] === undefined) return false;
    delete item.files[name];
    await rm(this.filePath(item.identifier, name), { force: true });
    await this.save(item);
    return true;
  }

  /** Writes the item's description; saves run one after another, so that the last state wins. */
  save(item: StoredItem): Promise<void> {
    const write = async (): Promise<void> => {
      const folder = join(this.#dir, 'items', item.identifier);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'item.json.tmp'), JSON.stringify(item));
      await rename(join(folder, 'item.json.tmp'), join(folder, 'item.json'));
    };
    const done = this.#saves.then(write);
    this.#saves = done.catch(() => undefined);
    return done;
  }

  /** Resolves when everything so far is on disk. */
  settled(): Promise<void> {
    return this.#saves;
  }
}

/** A file's description from what was received. */
export function storedFile(
  name: string,
  body: ReceivedBody,
  extra: StoredFile['extra'],
  taskId: number,
): StoredFile {
  return {
    name,
    size: body.sizeBytes,
    md5: body.md5,
    sha1: body.sha1,
    crc32: body.crc32,
    mtime: Math.floor(Date.now() / 1000),
    extra,
    state: 'queued',
    shownMd5: body.md5,
    taskId,
  };
}
