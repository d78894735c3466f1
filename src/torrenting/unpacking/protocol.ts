import type { Container } from '../../catalog/index.ts';

/** One file to unpack, for a thread. */
export interface UnpackTask {
  index: number;
  /** Where the packed file lies, absolute. */
  source: string;
  container: Container;
  /** What is recorded of the packed bytes: only such are unpacked. */
  sizeBytes: number;
  sha1: string;
  /** Where the unpacked file is to lie, absolute. Its folder is there; the file is not, until it is whole. */
  target: string;
  /** More unpacked bytes than this end the unpacking. */
  maxBytes: number;
}

/** Of an unpacked file. */
export interface UnpackedFacts {
  sizeBytes: number;
  /** Lower-case hex. */
  md5: string;
  sha1: string;
  sha256: string;
}

/** What a thread says: how far it is, and at the end of a file one of the others. */
export type UnpackMessage =
  /** `writtenBytes` is absolute, `addedBytes` are packed ones since the last message. */
  | { kind: 'progress'; index: number; addedBytes: number; writtenBytes: number }
  | { kind: 'unpacked'; index: number; facts: UnpackedFacts; mtimeMs: number }
  /** More than `maxBytes` came out. */
  | { kind: 'too_large'; index: number }
  /** The packed bytes are what is recorded, and are no whole container. */
  | { kind: 'broken'; index: number; reason: string }
  /** The packed file is absent or is not what is recorded. */
  | { kind: 'not_as_recorded'; index: number }
  /** The disk failed; says nothing about the file. `code` is Node's. */
  | { kind: 'failed'; index: number; path: string; code: string; message: string };
