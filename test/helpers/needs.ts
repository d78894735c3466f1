import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * Says whether a program is on the PATH; prints a line that names it when it is not, so that a skip is never silent.
 * Use: `test.skipIf(!has('aria2c'))(…)`.
 */
export function has(program: string): boolean {
  const found = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  if (!found)
    console.log(
      `skipped: the program ${program} is not installed (scripts/install-test-peers.sh installs it)`,
    );
  return found;
}

/** Says whether a test may mount a small file system of its own, to fill it up; prints a line when it may not. */
export function canMountTmpfs(): boolean {
  const mount = 'mount -t tmpfs -o size=1m tmpfs /mnt';
  const isMounted = spawnSync('unshare', ['-Urm', 'sh', '-c', mount]).status === 0;
  if (!isMounted) console.log('skipped: unshare cannot mount a tmpfs here, so no disk can be filled up');
  return isMounted;
}

/** The folder of real Wikimedia data: `WIKISEED_FIXTURES`, else one beside the checkout; null with a printed reason. */
export function fixtures(): string | null {
  const named = process.env.WIKISEED_FIXTURES;
  const isNamed = named !== undefined && named !== '';
  const folder = isNamed
    ? resolve(named)
    : join(import.meta.dirname, '..', '..', '..', 'shared', 'fixtures', 'wikimedia');
  if (existsSync(folder)) return folder;
  console.log(
    isNamed
      ? `skipped: WIKISEED_FIXTURES names ${folder}, which is not there`
      : 'skipped: there is no real Wikimedia data (WIKISEED_FIXTURES names its folder)',
  );
  return null;
}
