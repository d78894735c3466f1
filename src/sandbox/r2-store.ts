import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** An object's description. `headers` are those it is served with, `x-amz-meta-…` among them. */
export interface StoredObject {
  key: string;
  sizeBytes: number;
  md5: string;
  /** Milliseconds since 1970. */
  modifiedAtMs: number;
  headers: Record<string, string>;
}

/** The objects of one bucket on disk: `<dir>/<sha1 of the key>` holds the bytes, `….json` the description. */
export class ObjectStore {
  readonly objects = new Map<string, StoredObject>();
  readonly #dir: string;
  #nextIncoming = 0;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens the store and drops what an earlier process was still receiving. */
  static async open(dir: string): Promise<ObjectStore> {
    const store = new ObjectStore(dir);
    await mkdir(dir, { recursive: true });
    for (const name of await readdir(dir)) {
      if (name.startsWith('incoming-')) await rm(join(dir, name), { force: true });
      if (!name.endsWith('.json')) continue;
      const object = JSON.parse(await readFile(join(dir, name), 'utf8')) as StoredObject;
      store.objects.set(object.key, object);
    }
    return store;
  }

  incomingPath(): string {
    this.#nextIncoming += 1;
    return join(this.#dir, `incoming-${this.#nextIncoming}`);
  }

  /** Where an object's bytes are; hashed, because keys are longer than file names may be. */
  path(key: string): string {
    return join(this.#dir, createHash('sha1').update(key).digest('hex'));
  }

  async adopt(object: StoredObject, incoming: string): Promise<void> {
    const path = this.path(object.key);
    await writeFile(`${incoming}.description`, JSON.stringify(object));
    await rename(incoming, path);
    await rename(`${incoming}.description`, `${path}.json`);
    this.objects.set(object.key, object);
  }

  async remove(key: string): Promise<void> {
    this.objects.delete(key);
    await rm(`${this.path(key)}.json`, { force: true });
    await rm(this.path(key), { force: true });
  }
}
