import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { dateFolders } from './folder-times.ts';

/** The site's `index.json`, on disk: at a thousand wikis it has tens of megabytes. */
export interface IndexDocument {
  /** Path of the document as it is to be answered now; it is made anew only when a status file in it has changed. */
  path(): Promise<string>;
  /** Keeps the present document until `follow`. */
  hold(): Promise<void>;
  follow(): void;
  /** Shows a wiki as `{}` or not at all; `null` for as it is. */
  setEntry(dbname: string, shown: 'empty' | 'absent' | null): void;
  /** Removes the document. */
  close(): Promise<void>;
}

interface Entry {
  dbname: string;
  /** null for `{}`. */
  path: string | null;
  mtimeMs: number;
  sizeBytes: number;
}

/** Wikis looked at together: the file system answers several questions at once. */
const AT_ONCE = 32;

/**
 * Makes the index of a tree: the status of every wiki's newest run, taken over as it stands. It lies outside of the tree,
 * because that one may be somebody's recorded files.
 */
export function createIndexDocument(root: string): IndexDocument {
  const overrides = new Map<string, 'empty' | 'absent'>();
  let folder: Promise<string> | null = null;
  let made: { key: string; path: string; mtimeMs: number } | null = null;
  let isHeld = false;
  let last: Promise<unknown> = Promise.resolve();

  const refresh = async (): Promise<string> => {
    if (made !== null && isHeld) return made.path;
    const entries = await newestRuns(root, overrides);
    const key = entries.map((entry) => `${entry.path} ${entry.mtimeMs} ${entry.sizeBytes}`).join('\n');
    if (made?.key === key) return made.path;
    folder ??= mkdtemp(join(tmpdir(), 'wikiseed-index-'));
    const path = join(await folder, 'index.json');
    await pipeline(Readable.from(documentPieces(entries)), createWriteStream(`${path}.new`));
    // When a run vanishes its time goes with it, and the document's would go back.
    const newestMs = Math.max(0, ...entries.map((entry) => entry.mtimeMs));
    const mtimeMs = Math.max(newestMs, made === null ? 0 : made.mtimeMs + 1000);
    await utimes(`${path}.new`, new Date(mtimeMs), new Date(mtimeMs));
    await rename(`${path}.new`, path);
    made = { key, path, mtimeMs };
    return path;
  };
  const inTurn = (): Promise<string> => {
    const done = last.then(refresh);
    last = done.catch(() => undefined);
    return done;
  };
  return {
    path: inTurn,
    async hold() {
      await inTurn();
      isHeld = true;
    },
    follow() {
      isHeld = false;
    },
    setEntry(dbname, shown) {
      if (shown === null) overrides.delete(dbname);
      else overrides.set(dbname, shown);
    },
    async close() {
      await last.catch(() => undefined);
      if (folder !== null) await rm(await folder, { recursive: true, force: true });
    },
  };
}

async function newestRuns(
  root: string,
  overrides: ReadonlyMap<string, 'empty' | 'absent'>,
): Promise<Entry[]> {
  const folders = (await readdir(root)).filter((name) => /^[a-z0-9][a-z0-9_]*$/.test(name));
  const dbnames = [...new Set([...folders, ...overrides.keys()])].toSorted();
  const entries: Entry[] = [];
  for (let at = 0; at < dbnames.length; at += AT_ONCE) {
    const found = await Promise.all(
      dbnames.slice(at, at + AT_ONCE).map(async (dbname): Promise<Entry | null> => {
        const shown = overrides.get(dbname);
        if (shown === 'absent') return null;
        if (shown === 'empty') return { dbname, path: null, mtimeMs: 0, sizeBytes: 0 };
        return newestRun(root, dbname);
      }),
    );
    entries.push(...found.filter((entry) => entry !== null));
  }
  return entries;
}

async function newestRun(root: string, dbname: string): Promise<Entry | null> {
  const dates = await dateFolders(join(root, dbname));
  for (const date of dates.filter((name) => /^\d{8}$/.test(name)).toReversed()) {
    const path = join(root, dbname, date, 'dumpstatus.json');
    const stats = await stat(path).catch(() => null);
    if (stats !== null) return { dbname, path, mtimeMs: stats.mtimeMs, sizeBytes: stats.size };
  }
  return null;
}

async function* documentPieces(entries: readonly Entry[]): AsyncGenerator<Buffer | string> {
  yield '{"wikis": {';
  let separator = '';
  for (const { dbname, path } of entries) {
    yield `${separator}${JSON.stringify(dbname)}: `;
    if (path === null) yield '{}';
    else yield* createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
    separator = ', ';
  }
  yield '}}';
}
