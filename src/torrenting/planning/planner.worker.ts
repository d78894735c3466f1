import { parentPort, workerData } from 'node:worker_threads';
import { createCatalog } from '../../catalog/index.ts';
import { openDb } from '../../db/index.ts';
import { PermanentError } from '../../lib/index.ts';
import { createSystemClock } from '../../ports/index.ts';
import { makePlan, type PayloadPlan, refusalOf, type TorrentPlan } from './make-plan.ts';
import { type PlannerFacts, type PlannerMessage, SELECTION_LISTS } from './planner.ts';

/** Items told in one message: some 5 ms for whoever receives it. */
const CHUNK = 400;
type Item = { bytes?: Uint8Array };

/** Plans once, tells the plan in parts, and ends. */
function work({ databasePath, input, port }: PlannerFacts): void {
  const say = (message: PlannerMessage): void => parentPort?.postMessage(message);
  const tell = (of: string, list: string, items: readonly Item[]): void => {
    for (let from = 0; from < items.length; from += CHUNK) {
      port.postMessage({ of, list, items: items.slice(from, from + CHUNK).map(shared) });
    }
  };
  const plan = planFromOneState(databasePath, input);
  if ('refusal' in plan && !('selection' in plan)) {
    say({ kind: 'refused', refusal: plan.refusal });
    return;
  }
  const { payload, refusal } = plan;
  const selection = { ...plan.selection };
  // What is told of a torrent is in its payload by then.
  if (payload !== null) selection.gaps = [];
  for (const list of SELECTION_LISTS) {
    tell('selection', list, selection[list] as Item[]);
    selection[list] = [];
  }
  for (const list of Object.keys(payload ?? {}) as (keyof PayloadPlan)[])
    tell('payload', list, (payload?.[list] ?? []) as Item[]);
  say({ kind: 'planned', selection, hasPayload: payload !== null, refusal });
}

/** The texts of a large torrent are 60 MB, which go on to another thread: nobody copies them on the way. */
function shared(item: Item): Item {
  if (item.bytes === undefined) return item;
  const bytes = new Uint8Array(new SharedArrayBuffer(item.bytes.length));
  bytes.set(item.bytes);
  return { ...item, bytes };
}

function planFromOneState(
  databasePath: string,
  input: PlannerFacts['input'],
): TorrentPlan | { refusal: ReturnType<typeof refusalOf> } {
  const db = openDb(databasePath, 'readonly');
  try {
    // All reads see the same rows, whatever is written meanwhile.
    db.sqlite.exec('BEGIN');
    return makePlan(createCatalog({ db, clock: createSystemClock() }), input);
  } catch (error) {
    if (error instanceof PermanentError) return { refusal: refusalOf(error) };
    throw error;
  } finally {
    db.close();
  }
}

if (parentPort !== null) work(workerData as PlannerFacts);
