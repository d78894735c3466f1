import { join } from 'node:path';
import { PermanentError } from '../lib/index.ts';

/** What the place of a dump file depends on; a row of `dumps` will do. */
export interface DumpFilePlace {
  /** Family of dumps; each writes its dates in its own way. */
  source: 'classic' | 'content_current' | 'content_history';
  wikiDbName: string;
  /** As upstream writes it: `YYYYMMDD` for classic runs, `YYYY-MM-DD` for content exports. */
  runDate: string;
  filename: string;
}

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
  /**
   * The one stored copy of a dump file: upstream's own layout. History exports may carry the very names of the current
   * ones, so their folder says so: `dumps/aawiki/2026-01-01-history/x`.
   * @throws PermanentError `unsafe_name`
   */
  dumpFile(file: DumpFilePlace): string;
  /** In-flight bytes of that file. */
  partialFile(file: DumpFilePlace): string;
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

/**
 * Folder of a run below its wiki's. Dates of another form than the source's are refused: two sources would share a folder.
 * @throws PermanentError `unsafe_name`
 */
export function runFolder({ source, runDate }: Pick<DumpFilePlace, 'source' | 'runDate'>): string {
  const form = source === 'classic' ? /^\d{8}$/ : /^\d{4}-\d{2}-\d{2}$/;
  if (!form.test(runDate))
    throw new PermanentError(
      'unsafe_name',
      `refusing ${JSON.stringify(runDate.slice(0, 80))} as the date of a ${source} run`,
    );
  return source === 'content_history' ? `${runDate}-history` : runDate;
}

/** Paths of one data directory. */
export function createLayout(dataDir: string): Layout {
  const dumps = join(dataDir, 'dumps');
  const partial = join(dumps, '.partial');
  const below = (root: string, file: DumpFilePlace): string =>
    join(root, assertSafeName(file.wikiDbName), runFolder(file), assertSafeName(file.filename));
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
