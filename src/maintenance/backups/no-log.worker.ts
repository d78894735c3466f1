import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

/**
 * Makes a whole database file one that needs no log beside it, and puts it on stable storage. Bytes 18 and 19 tell the mode:
 * 2 = WAL, 1 = not. `openDb` switches WAL on again.
 */
export function needNoLog(path: string): void {
  const handle = openSync(path, 'r+');
  try {
    const mode = new Uint8Array(2);
    if (readSync(handle, mode, 0, 2, 18) === 2 && mode[0] === 2)
      writeSync(handle, Uint8Array.of(1, 1), 0, 2, 18);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
