/** What the threads of a backup are asked, and what they answer. Paths are absolute. */

/** Copies a database in use, with the backup API, to a file that needs no log. */
export interface CopyTask {
  kind: 'copy';
  database: string;
  target: string;
}
export interface CopyResult {
  databaseBytes: number;
}

/** Reads a whole database and judges it. */
export interface CheckTask {
  kind: 'check';
  database: string;
}
export interface CheckResult {
  /** Damage of the file; empty = sound. At most a few lines. */
  problems: string[];
  /** Rows that refer to rows that are not there. At most a few lines. */
  orphans: string[];
  /** Rows of each table; empty when it could not be read. */
  rows: Record<string, number>;
}

/** Compresses one stretch of a file, and unpacks at once what came out: only what was read back is ever named a backup. */
export interface PackTask {
  kind: 'pack';
  source: string;
  target: string;
  fromByte: number;
  endExclusive: number;
}
export interface PackResult {
  sizeBytes: number;
}

/** Appends the other packed parts to the first, and hashes the whole. */
export interface JoinTask {
  kind: 'join';
  parts: string[];
}
export interface JoinResult {
  sizeBytes: number;
  sha256: string;
}

/** Gets the database out of a copy: `packed` a gzip file, `plain` a database file, `folder` a database with its log. */
export interface UnpackTask {
  kind: 'unpack';
  form: 'packed' | 'plain' | 'folder';
  source: string;
  target: string;
  /** For `packed`: more than this cannot be in it; where there is more, it is damaged (`UNPACKS_TO_TOO_MUCH`). */
  maxBytes: number;
  /** For `packed`: what the disk may take; more is `ENOSPC`, before the disk is full. */
  roomBytes: number;
}
export interface UnpackResult {
  /** Of the packed file; null for the other forms. */
  sha256: string | null;
  databaseBytes: number;
}

/** Opens a database as the daemon does, migrates it to this version, and judges it. */
export interface MigrateTask {
  kind: 'migrate';
  database: string;
}
export interface MigrateResult {
  from: number;
  to: number;
}

/** Code of a packed file that holds more than it can or should. */
export const UNPACKS_TO_TOO_MUCH = 'unpacks_to_too_much';

/** Code of a migration that SQLite itself took back, without a word why. */
export const MIGRATION_ROLLED_BACK = 'migration_rolled_back';

/** The result of each task. */
export interface Results {
  copy: CopyResult;
  check: CheckResult;
  pack: PackResult;
  join: JoinResult;
  unpack: UnpackResult;
  migrate: MigrateResult;
}
export type Task = CopyTask | CheckTask | PackTask | JoinTask | UnpackTask | MigrateTask;

/** From a thread. `code` is Node's or SQLite's word, such as `ENOSPC`, `SQLITE_FULL`, `Z_DATA_ERROR`. */
export type Reply =
  | { kind: 'progress'; doneBytes: number; totalBytes: number }
  | { kind: 'done'; result: Results[keyof Results] }
  | { kind: 'failed'; code: string; message: string };
