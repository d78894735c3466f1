import { basename, dirname } from 'node:path';
import { describeError } from '../../lib/index.ts';
import type { Disk } from '../../ports/index.ts';
import type { Layout } from '../../storage/index.ts';
import type { RebuildReport } from './report.ts';

/**
 * What stands where the daemon will write and cannot be read: it is told, and moved aside, because the daemon would stumble
 * over it as well. Its bytes stay, for whoever can read them.
 */
export interface UnreadableFiles {
  /** Notes and reports it; a path that was told before is not told again. */
  add(path: string, reason: string): void;
  /** Moves one of any kind out of the way at once; false, and reported, when that fails. */
  moveAside(path: string, why: 'damaged' | 'unreadable'): Promise<boolean>;
  /** Moves away everything noted. Last of all: a rebuild that is cut short finds it again. */
  moveAllAside(): Promise<void>;
}

/** @param deps.stamp of this rebuild, part of the new names */
export function createUnreadableFiles(
  deps: { disk: Disk; layout: Layout; stamp: string },
  report: RebuildReport,
): UnreadableFiles {
  const { disk, layout, stamp } = deps;
  /** By path: whether it still stands there. */
  const noted = new Map<string, boolean>();
  const unreadable: UnreadableFiles = {
    add(path, reason) {
      if (noted.has(path)) return;
      noted.set(path, true);
      report.problems.push({ what: layout.relative(path), reason });
    },
    async moveAside(path, why) {
      const aside = `${path}.${why}-${stamp}`;
      if (noted.has(path)) noted.set(path, false);
      try {
        await disk.rename(path, aside);
        await disk.syncDirectory(dirname(path));
      } catch (error) {
        report.problems.push({
          what: layout.relative(path),
          reason: `it could not be moved out of the way (${describeError(error)}); do that, or it cannot be written anew`,
        });
        return false;
      }
      report.notes.push(`${layout.relative(path)} is ${why} and was kept as ${basename(aside)}`);
      return true;
    },
    async moveAllAside() {
      for (const [path, stands] of noted) if (stands) await unreadable.moveAside(path, 'unreadable');
    },
  };
  return unreadable;
}
