import { join } from 'node:path';
import { PermanentError } from '../lib/index.ts';

/** Where everything lies below the data directory; see docs/architecture.md. All paths absolute. */
export interface Layout {
  readonly dataDir: string;
  readonly database: string;
  readonly dumps: string;
  readonly partial: string;
  readonly torrents: string;
  readonly publish: string;
  /** What the catalog says, beside the data; see docs/decisions/0012. */
  readonly records: string;
  readonly backups: string;
  /** The one stored copy of a dump file. */
  dumpFile(file: { wikiDbName: string; runDate: string; filename: string }): string;
  /** In-flight bytes of that file. */
  partialFile(file: { wikiDbName: string; runDate: string; filename: string }): string;
  /** `dumps/aawiki/20260101/x` -> absolute, and back; stored paths are relative so that the folder can move. */
  absolute(relative: string): string;
  relative(absolute: string): string;
}

/** Letters, digits, dot, dash, underscore; no leading dot or dash. Everything Wikimedia publishes fits. */
const SAFE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;

/** True for a name from the network that may become one path segment. */
export function isSafeName(name: string): boolean {
  return SAFE_NAME.test(name) && !name.includes('..');
}

/** @throws PermanentError `unsafe_name` when a name from outside must not become a path segment */
export function assertSafeName(name: string): string {
  if (!isSafeName(name))
    throw new PermanentError('unsafe_name', `refusing ${JSON.stringify(name.slice(0, 80))} as a file name`);
  return name;
}

/** Paths of one data directory. */
export function createLayout(dataDir: string): Layout {
  const dumps = join(dataDir, 'dumps');
  const partial = join(dumps, '.partial');
  const below = (root: string, f: { wikiDbName: string; runDate: string; filename: string }): string =>
    join(root, assertSafeName(f.wikiDbName), assertSafeName(f.runDate), assertSafeName(f.filename));
  return {
    dataDir,
    database: join(dataDir, 'db', 'jobs.db'),
    dumps,
    partial,
    torrents: join(dataDir, 'torrents'),
    publish: join(dataDir, 'publish'),
    records: join(dataDir, 'records'),
    backups: join(dataDir, 'backups'),
    dumpFile: (file) => below(dumps, file),
    partialFile: (file) => `${below(partial, file)}.part`,
    absolute: (relative) => join(dataDir, ...relative.split('/').map(assertSafeName)),
    relative: (absolute) => absolute.slice(dataDir.length + 1),
  };
}
