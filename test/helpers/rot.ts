import { chmodSync, closeSync, openSync, readSync, statSync, utimesSync, writeSync } from 'node:fs';

/** Flips one bit of a stored byte, as a disk does it: nobody is told, and the file's time stays. */
export function rot(path: string, at: number): void {
  const { atimeMs, mtimeMs } = statSync(path);
  chmodSync(path, 0o644);
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 1;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
  chmodSync(path, 0o444);
  utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
}
