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
function work({ databasePath, dataDir, input, isDetailed }: PlannerFacts): void {
  const say = (message: PlannerMessage): void => parentPort?.postMessage(message);
  const sqlite = new Database(databasePath, { readonly: true, fileMustExist: true, timeout: 5000 });
  try {
    const plan = makePlan({ sqlite, layout: createLayout(dataDir), stat: statOf, isDetailed }, input);
    const { neededBytes, plannedBytes, removed, kept, keptCounts, items, unpacked } = plan;
    const all = isDetailed ? [...removed, ...kept] : [];
    for (let from = 0; from < removed.length; from += CHUNK)
      say({ kind: 'removed', sets: removed.slice(from, from + CHUNK).map(chosenOf) });
    for (let from = 0; from < all.length; from += CHUNK)
      say({
        kind: 'details',
        sets: all.slice(from, from + CHUNK).map((set) => viewOf(set, plan.nameOf)),
      });
    say({ kind: 'done', neededBytes, plannedBytes, kept: keptCounts, items, unpacked });
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
