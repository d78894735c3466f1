import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError, threadScript } from '../lib/index.ts';
import type { FileFacts } from '../ports/index.ts';
import type { KeptCount, Layout } from '../storage/index.ts';
import { type ItemToProve, makePlan, type PlanInput } from './make-plan.ts';
import type { Connection } from './read-files.ts';
import type { UnpackedTorrent } from './unpacked.ts';
import { type ChosenSet, chosenOf, type SetView, viewOf } from './views.ts';

/** A plan as the main thread gets it. */
export interface PlanOutline {
  neededBytes: number;
  /** What the plan decides on; what waits from earlier ones is not in it. */
  plannedBytes: number;
  /** In the order in which they go. */
  removed: ChosenSet[];
  kept: KeptCount[];
  /** Every set with its files; empty unless asked for. */
  details: SetView[];
  /** To be asked about at the archive. */
  items: ItemToProve[];
  /** Every torrent of unpacked files; those that go do so before any set. */
  unpacked: UnpackedTorrent[];
}

/** Makes prune plans. */
export interface Planner {
  /** @throws Interrupted; RetryableError `prune_plan_failed` when the facts could not be read */
  plan(input: PlanInput, options?: { isDetailed?: boolean; signal?: AbortSignal }): Promise<PlanOutline>;
}

/** What the thread is given. */
export interface PlannerFacts {
  databasePath: string;
  dataDir: string;
  input: PlanInput;
  isDetailed: boolean;
}

/** What the thread says: sets in pieces, then the rest, once. */
export type PlannerMessage =
  | { kind: 'removed'; sets: ChosenSet[] }
  | { kind: 'details'; sets: SetView[] }
  | ({ kind: 'done' } & Pick<PlanOutline, 'neededBytes' | 'plannedBytes' | 'kept' | 'items' | 'unpacked'>);

/** Plans in a thread of its own with a read-only connection: 400,000 files are a second of work. */
export function createThreadPlanner(deps: { databasePath: string; dataDir: string }): Planner {
  return {
    async plan(input, { isDetailed = false, signal } = {}) {
      if (signal?.aborted) throw new Interrupted();
      const worker = new Worker(threadScript(import.meta.url, 'planner'), {
        workerData: { ...deps, input, isDetailed } satisfies PlannerFacts,
        // Of the rows that pass through few live on: room for the young ones saves half of the time.
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      });
      const onAbort = (): void => void worker.terminate();
      signal?.addEventListener('abort', onAbort, { once: true });
      const removed: ChosenSet[] = [];
      const details: SetView[] = [];
      try {
        return await new Promise<PlanOutline>((resolve, reject) => {
          worker.on('message', (message: PlannerMessage) => {
            if (message.kind === 'removed') removed.push(...message.sets);
            else if (message.kind === 'details') details.push(...message.sets);
            else {
              const { kind: _, ...rest } = message;
              resolve({ ...rest, removed, details });
            }
          });
          worker.on('error', (cause) => reject(failed(cause)));
          worker.on('exit', () => reject(signal?.aborted ? new Interrupted() : failed(undefined)));
        });
      } finally {
        signal?.removeEventListener('abort', onAbort);
        // Its connection is closed then: whoever closes the database next is the last to do so.
        await worker.terminate();
      }
    },
  };
}

function failed(cause: unknown): RetryableError {
  return new RetryableError(
    'prune_plan_failed',
    `what may be deleted could not be found out${cause instanceof Error ? `: ${cause.message}` : ''}; nothing was deleted`,
    { cause },
  );
}

/** Plans at once, where nobody waits: for tests, with a disk of their own. */
export function createDirectPlanner(deps: {
  sqlite: Connection;
  layout: Pick<Layout, 'absolute'>;
  stat: (path: string) => FileFacts | null;
}): Planner {
  return {
    async plan(input, { isDetailed = false } = {}) {
      const { neededBytes, plannedBytes, removed, kept, keptCounts, items, unpacked, nameOf } = makePlan(
        { ...deps, isDetailed },
        input,
      );
      return {
        ...{ neededBytes, plannedBytes, items, unpacked },
        removed: removed.map(chosenOf),
        kept: keptCounts,
        details: isDetailed ? [...removed, ...kept].map((set) => viewOf(set, nameOf)) : [],
      };
    },
  };
}
