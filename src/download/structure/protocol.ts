/** Messages between `check-structure.ts` and its thread. */

/** What a file is packed as; decided by its name. */
export type Container = 'gz' | 'bz2' | '7z';

/** What the thread is started with; it does one file and ends. */
export interface StructureTask {
  path: string;
  container: Container;
}

/** What the thread says: how far it came, and at the end one of the others. */
export type StructureMessage =
  | { kind: 'progress'; checkedBytes: number }
  | { kind: 'sound' }
  | { kind: 'broken'; reason: string }
  /** The file could not be read; says nothing about its structure. `code` is Node's. */
  | { kind: 'failed'; code: string; message: string };
