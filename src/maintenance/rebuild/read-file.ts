import { describeError, errorCode, formatBytes } from '../../lib/index.ts';
import type { Disk, FileFacts } from '../../ports/index.ts';

/** One record: the largest of ours, the files of a run with their piece hashes, has some megabytes. */
export const RECORD_MAX_BYTES = 64e6;
/** Manifests and HASH.json name every file they cover, some 20 MB for a cycle of 1,000 wikis. A string ends at 512 MB. */
export const METADATA_MAX_BYTES = 256e6;
/** 20 bytes for each piece: as many as 200 TB have at 16 MiB a piece. */
export const TORRENT_MAX_BYTES = 256e6;

/** Something is there, and it cannot be read. */
export class Unreadable {
  readonly code: string;
  /** For people, half a sentence. */
  readonly reason: string;

  constructor(code: string, reason: string) {
    this.code = code;
    this.reason = reason;
  }
}

/** These tell of this process or of the machine, nothing of one file. */
const NOT_OF_A_FILE: readonly string[] = ['EMFILE', 'ENFILE', 'ENOMEM'];

/** What stands at a path; null when nothing does. */
export function lookAt(disk: Disk, path: string): Promise<FileFacts | Unreadable | null> {
  return unlessUnreadable(() => disk.stat(path));
}

/** Names in a folder; none when it is not there. */
export function listFolder(disk: Disk, path: string): Promise<string[] | Unreadable> {
  return unlessUnreadable(() => disk.list(path));
}

/** A whole file; null when it is not there. Whatever else keeps its bytes from us comes back as the reason. */
export async function readBytes(
  disk: Disk,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | Unreadable | null> {
  const facts = await lookAt(disk, path);
  if (facts === null || facts instanceof Unreadable) return facts;
  // Asked before it is opened: opening a pipe waits for whoever writes to it, and no signal ends that.
  if (facts.isDirectory) return new Unreadable('EISDIR', 'a folder is in its place');
  if (!facts.isFile) return new Unreadable('not_a_file', 'a pipe, socket or device is in its place');
  if (facts.sizeBytes > maxBytes)
    return new Unreadable(
      'too_large',
      `it has ${formatBytes(facts.sizeBytes)}, and ${formatBytes(maxBytes)} are the most one of these can have`,
    );
  return unlessUnreadable(() => readAll(disk, path, facts.sizeBytes));
}

/** The same as text, in UTF-8. */
export async function readText(
  disk: Disk,
  path: string,
  maxBytes: number,
): Promise<string | Unreadable | null> {
  const bytes = await readBytes(disk, path, maxBytes);
  return bytes instanceof Uint8Array ? Buffer.from(bytes.buffer, 0, bytes.length).toString('utf8') : bytes;
}

async function readAll(disk: Disk, path: string, sizeBytes: number): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(sizeBytes);
    let done = 0;
    while (done < bytes.length) {
      const count = await file.read(bytes.subarray(done), done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    await file.close();
  }
}

/** Errors of the file system become values; ours and programmer's go on. */
async function unlessUnreadable<T>(work: () => Promise<T>): Promise<T | Unreadable> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    // Node's own codes are `ERR_…`, those of the operating system have no underscore.
    if (!/^E[A-Z0-9]+$/.test(code) || NOT_OF_A_FILE.includes(code)) throw error;
    return new Unreadable(
      code,
      code === 'ELOOP'
        ? 'it is a link that leads in a circle'
        : `it cannot be read (${describeError(error)})`,
    );
  }
}
