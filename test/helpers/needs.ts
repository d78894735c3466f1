import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

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

/** The folder of real Wikimedia data beside the checkout, or null with a printed reason. */
export function fixtures(): string | null {
  const folder = join(import.meta.dirname, '..', '..', '..', 'shared', 'fixtures', 'wikimedia');
  if (existsSync(folder)) return folder;
  console.log('skipped: the real Wikimedia data (shared/fixtures beside the checkout) is not there');
  return null;
}
