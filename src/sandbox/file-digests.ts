import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Size and hashes (lower-case hex) of a file as it lies on disk. */
export interface FileDigests {
  sizeBytes: number;
  md5: string;
  sha1: string;
  sha256: string;
}

/** Reads a file for its hashes. */
export async function fileDigests(path: string): Promise<FileDigests> {
  const [md5, sha1, sha256] = [createHash('md5'), createHash('sha1'), createHash('sha256')];
  let sizeBytes = 0;
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    for (const hash of [md5, sha1, sha256]) hash.update(piece as Buffer);
    sizeBytes += (piece as Buffer).length;
  }
  return { sizeBytes, md5: md5.digest('hex'), sha1: sha1.digest('hex'), sha256: sha256.digest('hex') };
}
