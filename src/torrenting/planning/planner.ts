import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import type { Selection, SelectionCatalog } from '../selection.ts';
import {
  makePlan,
  type PayloadPlan,
  type PlanInput,
  type PlanRefusal,
  refused,
  type TorrentPlan,
} from './make-plan.ts';

/** Says what goes into a torrent. */
export interface TorrentPlanner {
  /**
   * Reads one state of the catalog.
   * @throws PermanentError `nothing_to_supplement`; RetryableError `torrent_plan_failed`; Interrupted
   */
  plan(input: PlanInput, signal: AbortSignal): Promise<TorrentPlan>;
}

/** What a planning thread is given. */
export interface PlannerFacts {
  databasePath: string;
  input: PlanInput;
  /** Takes `PlanPart`s. */
  port: MessagePort;
}

/** A stretch of one of the lists of a plan: whole, they would hold the main thread up. */
export type PlanPart =
  | { of: 'selection'; list: SelectionList; items: never[] }
  | { of: 'payload'; list: keyof PayloadPlan; items: never[] };

/** The lists of a selection that may be long. */
export const SELECTION_LISTS = ['included', 'absent', 'damaged', 'lost', 'gaps'] as const;
type SelectionList = (typeof SELECTION_LISTS)[number];

/** What a planning thread says last; what is long is on the port by then. */
export type PlannerMessage =
  | { kind: 'refused'; refusal: PlanRefusal }
  | { kind: 'planned'; selection: Selection; hasPayload: boolean; refusal: PlanRefusal | null };

/**
 * Plans in a thread of its own with a connection of its own: selecting 30,000 files and writing what is said of them is more
 * than a second of work, and meanwhile the catalog may change.
 */
export function createThreadPlanner({ databasePath }: { databasePath: string }): TorrentPlanner {
  return {
    async plan(input, signal) {
      if (signal.aborted) throw new Interrupted();
      const { port1: parts, port2 } = new MessageChannel();
      const worker = new Worker(threadScript(import.meta.url, 'planner'), {
        workerData: { databasePath, input, port: port2 } satisfies PlannerFacts,
        transferList: [port2],
        // Of the rows that pass through few live on: room for the young ones saves half of the time.
        resourceLimits: { maxYoungGenerationSizeMb: 32 },
      });
      const onAbort = (): void => void worker.terminate();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        const message = await new Promise<PlannerMessage>((resolve, reject) => {
          worker.on('message', resolve);
          worker.on('error', (cause) => reject(failed(cause)));
          worker.on('exit', () => reject(signal.aborted ? new Interrupted() : failed(undefined)));
        });
        if (message.kind === 'refused') throw refused(message.refusal);
        // Its memory is free from here on; what it told waits here.
        await worker.terminate();
        return await collect(message, parts, signal);
      } finally {
        signal.removeEventListener('abort', onAbort);
        parts.close();
        await worker.terminate();
      }
    },
  };
}

/** One part in a turn: a port that is listened to gives all that wait at once. */
async function collect(
  { selection, hasPayload, refusal }: PlannerMessage & { kind: 'planned' },
  parts: MessagePort,
  signal: AbortSignal,
): Promise<TorrentPlan> {
  const payload: PayloadPlan | null = hasPayload ? { files: [], leftOut: [], gaps: [] } : null;
  for (;;) {
    const received = receiveMessageOnPort(parts) as { message: PlanPart } | undefined;
    if (received === undefined) return { selection, payload, refusal };
    const { message } = received;
    if (message.of === 'selection') selection[message.list].push(...message.items);
    else payload?.[message.list].push(...message.items);
    await nextTurn();
    if (signal.aborted) throw new Interrupted();
  }
}

function failed(cause: unknown): RetryableError {
  return new RetryableError(
    'torrent_plan_failed',
    `what belongs into a torrent could not be found out${cause instanceof Error ? `: ${cause.message}` : ''}`,
    { cause },
  );
}

/** Plans at once, where nobody waits: for catalogs that are no database. */
export function createDirectPlanner(catalog: SelectionCatalog): TorrentPlanner {
  return { plan: async (input) => makePlan(catalog, input) };
}
