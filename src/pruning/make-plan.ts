import type { FileFacts } from '../ports/index.ts';
import { type Layout, type PrunePlan, type PrunePolicy, planPrune } from '../storage/index.ts';
import { createNames, lookOf } from './names.ts';
import { readFacts } from './read-facts.ts';
import type { Connection } from './read-files.ts';
import { planUnpacked, type UnpackedTorrent } from './unpacked.ts';

/** An item at the archive whose metadata is to be asked again, and whose files it has. */
export interface ItemToProve {
  identifier: string;
  wikiDbName: string;
  runDate: string;
}

/** What a plan is made for. */
export interface PlanInput {
  /** Epoch ms. */
  now: number;
  policy: PrunePolicy;
  /** Bytes that become free without any further decision, see `lookForWaiting`; default 0. */
  waitingBytes?: number;
}

/** The same as `PrunePlan`, with the items to ask about, and with unpacked files. `plannedBytes` is of both, and not of what waits. */
export interface MadePlan extends PrunePlan {
  items: ItemToProve[];
  /** Every torrent of unpacked files; those that go do so before any set. */
  unpacked: UnpackedTorrent[];
  /** Name of a file, by its id. */
  nameOf: (id: number) => string;
}

/** So many items are asked about at once: the archive is asked gently. */
const ITEMS_MAX = 200;

/**
 * Reads the facts, as of one moment, and plans: the one code path of `prune_storage`, of `wikiseed prune` and of its dry run.
 * Takes a second or two for 400,000 files, so not on the main thread of a daemon.
 * @param deps.stat looks at one name, without waiting; null = nothing is there
 */
export function makePlan(
  deps: {
    sqlite: Connection;
    layout: Pick<Layout, 'absolute'>;
    stat: (path: string) => FileFacts | null;
    /** Lists what stays, too. */
    isDetailed: boolean;
  },
  { now, policy, waitingBytes = 0 }: PlanInput,
): MadePlan {
  const { sqlite, stat, isDetailed } = deps;
  const filename = sqlite.prepare<[number], string>('SELECT filename FROM dumps WHERE id = ?').pluck();
  const names = createNames(sqlite, deps.layout);
  const read = (): MadePlan => {
    const facts = readFacts(sqlite, {
      now,
      statsMaxAgeMs: policy.seedersMaxAgeMs,
      look(file) {
        const { dump, trees } = names(file.id);
        return dump === null ? null : lookOf(stat(dump), trees.map(stat));
      },
    });
    const unpacked = planUnpacked(deps, policy.neededBytes, waitingBytes);
    const beforeBytes = unpacked.reduce(
      (sum, { action, sizeBytes }) => sum + (action === 'remove' ? sizeBytes : 0),
      waitingBytes,
    );
    const plan = planPrune(facts, policy, { isDetailed, beforeBytes });
    return {
      ...plan,
      plannedBytes: plan.plannedBytes - waitingBytes,
      items: itemsOf(sqlite, plan),
      unpacked,
      nameOf: (id) => filename.get(id) ?? '',
    };
  };
  return sqlite.transaction(read).deferred();
}

function itemsOf(sqlite: Connection, plan: PrunePlan): ItemToProve[] {
  const itemOf = sqlite
    .prepare<[number], string | null>('SELECT ia_identifier FROM dumps WHERE id = ?')
    .pluck();
  const items = new Map<string, ItemToProve>();
  for (const { file, wikiDbName, runDate } of plan.toProve) {
    const identifier = itemOf.get(file.id) ?? null;
    if (identifier !== null && items.size < ITEMS_MAX)
      items.set(identifier, { identifier, wikiDbName, runDate });
  }
  return [...items.values()];
}
