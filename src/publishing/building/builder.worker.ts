import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { BuilderFacts, BuilderMessage, BuiltFile } from './builder.ts';
import { createSnapshot } from './snapshot.ts';
import { type Output, writeManifests } from './write-manifests.ts';

/** Read at once when two files are compared. */
const BLOCK_BYTES = 1024 * 1024;
/** Page cache, for files in the order of their paths, which is not that of their rows. */
const CACHE_KIB = 64_000;

/** Writes the manifests once, from one state of the catalog, says what they are, and ends. */
function work({ databasePath, publish, unfinished, infoHashes, addresses, version }: BuilderFacts): void {
  const say = (message: BuilderMessage): void => parentPort?.postMessage(message);
  // What an earlier one left when it was killed.
  fs.rmSync(unfinished, { recursive: true, force: true });
  const files: BuiltFile[] = [];
  const open = (key: string): Output =>
    startFile(join(unfinished, key), (facts, path) => {
      const isChanged = !isSame(path, join(publish, key));
      if (!isChanged) fs.rmSync(path);
      files.push({ key, ...facts, isChanged });
    });
  const sqlite = new Database(databasePath, { readonly: true, fileMustExist: true, timeout: 5000 });
  try {
    sqlite.pragma(`cache_size = -${CACHE_KIB}`);
    // All reads see the same rows, whatever is written meanwhile.
    sqlite.exec('BEGIN');
    const snapshot = createSnapshot(sqlite, addresses);
    const told = (name: string): void => say({ kind: 'progress', name });
    writeManifests({ snapshot, infoHashes: new Set(infoHashes), version, open, told });
  } finally {
    sqlite.close();
  }
  say({ kind: 'built', files });
}

/** Hashes while it writes. */
function startFile(
  path: string,
  finished: (facts: Pick<BuiltFile, 'sizeBytes' | 'sha256' | 'md5'>, path: string) => void,
): Output {
  fs.mkdirSync(dirname(path), { recursive: true });
  const fd = fs.openSync(path, 'w', 0o644);
  const [sha256, md5] = [createHash('sha256'), createHash('md5')];
  let sizeBytes = 0;
  return {
    write(bytes) {
      sha256.update(bytes);
      md5.update(bytes);
      for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done, bytes.length - done);
      sizeBytes += bytes.length;
    },
    finish() {
      fs.fsyncSync(fd);
      fs.closeSync(fd);
      finished({ sizeBytes, sha256: sha256.digest('hex'), md5: md5.digest('hex') }, path);
    },
  };
}

function isSame(path: string, known: string): boolean {
  const [facts, knownFacts] = [fs.statSync(path), fs.statSync(known, { throwIfNoEntry: false })];
  if (knownFacts?.isFile() !== true || knownFacts.size !== facts.size) return false;
  const [fd, knownFd] = [fs.openSync(path, 'r'), fs.openSync(known, 'r')];
  const [block, knownBlock] = [Buffer.alloc(BLOCK_BYTES), Buffer.alloc(BLOCK_BYTES)];
  try {
    for (;;) {
      const count = readBlock(fd, block);
      if (count !== readBlock(knownFd, knownBlock)) return false;
      if (count === 0) return true;
      if (!block.subarray(0, count).equals(knownBlock.subarray(0, count))) return false;
    }
  } finally {
    fs.closeSync(fd);
    fs.closeSync(knownFd);
  }
}

/** Fewer bytes than the block takes mean that the file ends. */
function readBlock(fd: number, block: Buffer): number {
  let done = 0;
  while (done < block.length) {
    const count = fs.readSync(fd, block, done, block.length - done, null);
    if (count === 0) break;
    done += count;
  }
  return done;
}

if (parentPort !== null) work(workerData as BuilderFacts);
