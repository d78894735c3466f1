import { join } from 'node:path';
import { hours, Interrupted } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import { type DumpFilePlace, isSafeName, type Layout } from './layout.ts';

/** A run as the folders below `dumps/.partial` name it. */
export type PartialRun = Pick<DumpFilePlace, 'wikiDbName' | 'source' | 'runDate'>;

/** What one cleaning did. */
export interface PartialsCleaned {
  removedFiles: number;
  freedBytes: number;
  /** Files that belong to a download that goes on or will. */
  keptFiles: number;
  /** Files that nothing needs, too young to be removed yet. */
  youngFiles: number;
}

/** What cleaning needs. */
export interface CleanPartialsDeps {
  disk: Disk;
  layout: Pick<Layout, 'partial'>;
  clock: Clock;
  log: Log;
  /**
   * Names of the run's files whose bytes are still to come, or that a job is at. Asked again right before something is removed, because a
   * look may have asked for the file anew meanwhile.
   */
  liveNames: (run: PartialRun) => ReadonlySet<string>;
  signal?: AbortSignal;
}

/**
 * What was written or made within this time is left for the next cleaning, whatever the catalog says: a download that was given
 * up a moment ago may not have closed its file yet.
 */
export const PARTIAL_REST_MS = hours(1);

/**
 * Part files end in this. What a download keeps beside its part file has the same name and more: `x.bz2.part.state`.
 */
const PART = '.part';

/** The dump file that a name below `dumps/.partial/<wiki>/<run>/` belongs to; null = none. Pure. */
export function dumpNameOf(name: string): string | null {
  const match = /^(.+)\.part(?:\.[A-Za-z0-9.-]+)?$/.exec(name);
  return match?.[1] !== undefined && isSafeName(match[1]) ? match[1] : null;
}

/** The run that a folder below `dumps/.partial/` belongs to, the other way round than `runFolder`; null = none. Pure. */
export function runOfFolder(wikiDbName: string, folder: string): PartialRun | null {
  if (!isSafeName(wikiDbName)) return null;
  if (/^\d{8}$/.test(folder)) return { wikiDbName, source: 'classic', runDate: folder };
  const match = /^(\d{4}-\d{2}-\d{2})(-history)?$/.exec(folder);
  if (match?.[1] === undefined) return null;
  return {
    wikiDbName,
    source: match[2] === undefined ? 'content_current' : 'content_history',
    runDate: match[1],
  };
}

/**
 * Removes part files, and what lies beside them, of files that nobody will go on with: of runs that vanished, of files that are settled or
 * given up, and whatever has no business there. Safe to repeat from any point, and beside running downloads.
 */
export async function cleanPartials(deps: CleanPartialsDeps): Promise<PartialsCleaned> {
  const { disk, layout, signal } = deps;
  const done: PartialsCleaned = { removedFiles: 0, freedBytes: 0, keptFiles: 0, youngFiles: 0 };

  async function isYoung(path: string): Promise<boolean> {
    const facts = await disk.stat(path);
    return facts === null || Math.abs(deps.clock.now() - facts.mtimeMs) < PARTIAL_REST_MS;
  }

  /** `isLive` is asked in the very turn in which the removal begins. */
  async function removeFile(path: string, isLive: () => boolean): Promise<void> {
    const facts = await disk.stat(path);
    if (facts === null) return;
    if (isLive()) done.keptFiles += 1;
    else if (Math.abs(deps.clock.now() - facts.mtimeMs) < PARTIAL_REST_MS) done.youngFiles += 1;
    else {
      await disk.remove(path);
      step('storage:partial_removed');
      done.removedFiles += 1;
      done.freedBytes += Math.min(facts.sizeBytes, facts.allocatedBytes);
    }
  }

  /** A folder where none should be, or of which nothing can be live. */
  async function cleanStray(folder: string): Promise<void> {
    for (const name of await disk.list(folder)) await cleanStrayEntry(join(folder, name));
    if (!(await isYoung(folder))) await disk.removeEmpty(folder);
  }

  async function cleanStrayEntry(path: string): Promise<void> {
    if (signal?.aborted === true) throw new Interrupted();
    if ((await disk.stat(path))?.isDirectory === true) await cleanStray(path);
    else await removeFile(path, () => false);
  }

  async function cleanRun(folder: string, run: PartialRun): Promise<void> {
    // The part before what describes it: a description alone is of no use to anybody, a part alone might look like one to go on with.
    const names = (await disk.list(folder)).sort(
      (a, b) => Number(b.endsWith(PART)) - Number(a.endsWith(PART)),
    );
    for (const name of names) {
      if (signal?.aborted === true) throw new Interrupted();
      const path = join(folder, name);
      const dumpName = dumpNameOf(name);
      if (dumpName === null) await cleanStrayEntry(path);
      else await removeFile(path, () => deps.liveNames(run).has(dumpName));
    }
    // A download that is about to begin may have made sure of its folder already.
    if (!(await isYoung(folder)) && deps.liveNames(run).size === 0) await disk.removeEmpty(folder);
  }

  for (const wikiDbName of await disk.list(layout.partial)) {
    const wikiFolder = join(layout.partial, wikiDbName);
    if ((await disk.stat(wikiFolder))?.isDirectory !== true) {
      await cleanStrayEntry(wikiFolder);
      continue;
    }
    for (const name of await disk.list(wikiFolder)) {
      if (signal?.aborted === true) throw new Interrupted();
      const run = runOfFolder(wikiDbName, name);
      const folder = join(wikiFolder, name);
      if (run !== null && (await disk.stat(folder))?.isDirectory === true) await cleanRun(folder, run);
      else await cleanStrayEntry(folder);
    }
    if (!(await isYoung(wikiFolder))) await disk.removeEmpty(wikiFolder);
  }
  if (done.removedFiles > 0)
    deps.log.info({ ...done, room: 'storage' }, 'part files that nobody will go on with were removed');
  return done;
}
