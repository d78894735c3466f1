import { statSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { FileFacts } from '../ports/index.ts';
import { createLayout } from '../storage/index.ts';
import { makePlan } from './make-plan.ts';
import type { PlannerFacts, PlannerMessage } from './planner.ts';
import { chosenOf, viewOf } from './views.ts';

/** Sets told in one message: receiving it must not hold up the main thread. */
const CHUNK = 500;

/** Plans once, tells the plan in pieces, and ends. */
function work(facts: PlannerFacts): void {
  const say = (message: PlannerMessage): void => parentPort?.postMessage(message);
  const { removed, details, rest } = plan(facts);
  for (let from = 0; from < removed.length; from += CHUNK)
    say({ kind: 'removed', sets: removed.slice(from, from + CHUNK).map(chosenOf) });
  for (let from = 0; from < details.length; from += CHUNK)
    say({ kind: 'details', sets: details.slice(from, from + CHUNK) });
  say({ kind: 'done', ...rest });
}

/** The connection is closed before anything is told: whoever hears the end may close the database and be the last. */
function plan({ databasePath, dataDir, input, isDetailed }: PlannerFacts) {
  const sqlite = new Database(databasePath, { readonly: true, fileMustExist: true, timeout: 5000 });
  try {
    const made = makePlan({ sqlite, layout: createLayout(dataDir), stat: statOf, isDetailed }, input);
    const { neededBytes, plannedBytes, removed, kept, keptCounts, items, unpacked } = made;
    return {
      removed,
      // The names are read from the database, too.
      details: (isDetailed ? [...removed, ...kept] : []).map((set) => viewOf(set, made.nameOf)),
      rest: { neededBytes, plannedBytes, kept: keptCounts, items, unpacked },
    };
  } finally {
    sqlite.close();
  }
}

/** A folder that may not be read is no answer: it ends the plan. */
function statOf(path: string): FileFacts | null {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return null;
  return {
    sizeBytes: facts.size,
    allocatedBytes: facts.blocks * 512,
    mtimeMs: facts.mtimeMs,
    linkCount: facts.nlink,
    inode: facts.ino,
    isDirectory: facts.isDirectory(),
    isFile: facts.isFile(),
  } as FileFacts;
}

if (parentPort !== null) work(workerData as PlannerFacts);
