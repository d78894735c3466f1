import { errorCode } from '../../lib/index.ts';
import type { Disk, FileFacts } from '../../ports/index.ts';

/** These tell of this process or of the machine, nothing of one file. */
const NOT_OF_A_FILE: readonly string[] = ['EMFILE', 'ENFILE', 'ENOMEM', 'SQLITE_NOMEM'];

/** True for a code that says nothing of the file that was being read. */
export function isOfTheProcess(code: string): boolean {
  return NOT_OF_A_FILE.includes(code);
}

/** True for what the operating system says when one file cannot be read. Node's own codes are `ERR_…`, ours have an underscore. */
export function isUnreadable(error: unknown): boolean {
  const code = errorCode(error);
  return /^E[A-Z0-9]+$/.test(code) && !isOfTheProcess(code);
}

/** What stands at a path; null when nothing does; for people, half a sentence, when nobody can tell or it is no file to be read. */
export async function lookAtFile(disk: Disk, path: string): Promise<FileFacts | string | null> {
  try {
    const facts = await disk.stat(path);
    if (facts === null || facts.isFile) return facts;
    // Asked before it is opened: opening a pipe waits for whoever writes to it, and no signal ends that.
    return facts.isDirectory ? 'a folder is in its place' : 'a pipe, socket or device is in its place';
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return errorCode(error) === 'ELOOP'
      ? 'it is a link that leads in a circle'
      : `it cannot be read (${errorCode(error)})`;
  }
}
