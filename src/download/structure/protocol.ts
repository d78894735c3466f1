import type { Container } from '../../catalog/index.ts';

/** Messages between `check-structure.ts` and its thread. */

/** Bytes among which the wrong ones are to be looked for first; null when the container does not tell. */
export type BrokenPlace = { startBytes: number; endBytes: number } | null;

/** What the thread is started with; it does one file and ends. */
export interface StructureTask {
  path: string;
  container: Container;
  /** What the unpacked text must end with; null = nothing is known of it. */
  ending: string | null;
}

/** What the thread says: how far it came, and at the end one of the others. */
export type StructureMessage =
  | { kind: 'progress'; checkedBytes: number }
  | { kind: 'sound' }
  | { kind: 'broken'; reason: string; where: BrokenPlace }
  /** The file could not be read; says nothing about its structure. `code` is Node's. */
  | { kind: 'failed'; code: string; message: string };
