import type { Deletion } from '../catalog/index.ts';
import { formatBytes } from '../lib/index.ts';
import type { PlanOutline, SetView, UnpackedTorrent, Waiting } from '../pruning/index.ts';
import type { PruneUsage } from '../storage/index.ts';
import type { CliIo } from './io.ts';
import { formatTable } from './table.ts';
import { counted } from './words.ts';

/** A plan, and what earlier ones decided on that is still there; `program`: who may seed that, null = nobody beside WikiSeed. */
export type ShownPlan = PlanOutline & { waiting: Waiting & { program: string | null } };

/** The plan as scripts know it: one entry for each held file. */
export function prunePlanJson(plan: ShownPlan, usage: PruneUsage): object {
  return {
    mode: usage.mode,
    needed_bytes: plan.neededBytes,
    planned_bytes: plan.plannedBytes,
    waiting_files: plan.waiting.files,
    waiting_bytes: plan.waiting.sizeBytes,
    is_enough: plan.plannedBytes + plan.waiting.sizeBytes >= plan.neededBytes,
    items_to_prove: plan.items.map(({ identifier }) => identifier),
    unpacked: plan.unpacked.map(({ name, cycleDate, files, sizeBytes, action, reason }) => ({
      ...{ torrent: name, cycle: cycleDate, files, size_bytes: sizeBytes, action, reason },
    })),
    files: plan.details.flatMap((set) =>
      set.files.map(({ filename, sizeBytes }) => ({
        wiki: set.wikiDbName,
        source: set.source,
        run_date: set.runDate,
        cycle: set.cycleDate,
        dump_type: set.dumpType,
        file: filename,
        size_bytes: sizeBytes,
        action: set.action,
        rule: set.rule,
        reason: set.reason,
      })),
    ),
  };
}

/** The plan for people: what goes, set by set, and why the rest stays. */
export function printPrunePlan(
  io: CliIo,
  plan: ShownPlan,
  usage: PruneUsage,
  { detail, wiki }: { detail: 'reasons' | 'sets' | 'files'; wiki: string | null },
): void {
  const { neededBytes, plannedBytes, waiting } = plan;
  if (neededBytes === 0)
    io.out.write(
      `No room is needed (storage is ${usage.mode.replaceAll('_', ' ')}): nothing would be deleted.\n`,
    );
  else {
    io.out.write(
      `${formatBytes(neededBytes)} must go (storage is ${usage.mode.replaceAll('_', ' ')}); ${formatBytes(plannedBytes)} would be deleted${wiki === null ? '' : `, of all wikis; below is ${wiki}`}.\n`,
    );
    if (waiting.files > 0)
      io.out.write(
        `Decided on before and not carried out yet: ${counted(waiting.files, 'file')} (${formatBytes(waiting.sizeBytes)})${waiting.program === null ? '' : `; they go when ${waiting.program} is known not to seed them any more`}. Nothing else goes in their place.\n`,
      );
    if (plannedBytes + waiting.sizeBytes < neededBytes)
      io.out.write('That is not enough: nothing else may be deleted, for the reasons below.\n');
  }
  if (wiki === null) printUnpacked(io, plan.unpacked);
  const removed = plan.details.filter(({ action }) => action === 'remove');
  const kept = plan.details.filter(({ action }) => action === 'keep');
  if (removed.length > 0) {
    io.out.write(`\nWould be deleted, in this order (${totals(removed)}):\n`);
    printItems(io, removed, detail);
  }
  if (kept.length === 0) {
    if (removed.length === 0) io.out.write(`No dump file${wiki === null ? '' : ` of ${wiki}`} is held.\n`);
    return;
  }
  io.out.write(`\nWould stay (${totals(kept)}):\n`);
  if (detail !== 'reasons') {
    printItems(io, kept, detail);
    io.out.write('\nThe same by reason:\n');
  }
  const rules = [...Map.groupBy(kept, ({ rule }) => rule)]
    .map(([rule, sets]) => ({ rule, sets, sizeBytes: sizeOf(sets) }))
    .sort((a, b) => b.sizeBytes - a.sizeBytes);
  const rows = rules.map(({ rule, sets, sizeBytes }) => [
    rule.replaceAll('_', ' '),
    String(sets.length),
    String(filesOf(sets)),
    formatBytes(sizeBytes),
    sets[0]?.reason ?? '',
  ]);
  const heads = ['why', 'sets', 'files', 'size', 'for example'];
  io.out.write(`${formatTable(rows, { heads, numbers: [1, 2, 3], flexible: [4], ...widthOf(io) })}\n`);
  if (detail !== 'files')
    io.out.write(
      wiki === null
        ? '"--all" names every file, "--wiki <name>" shows one wiki.\n'
        : '"--all" names every file.\n',
    );
}

/** What goes before any dump file. */
function printUnpacked(io: CliIo, unpacked: readonly UnpackedTorrent[]): void {
  if (unpacked.length === 0) return;
  io.out.write('\nUnpacked files, which go before any dump:\n');
  const rows = unpacked.map(({ name, files, sizeBytes, action, reason }) => [
    ...[name, String(files), formatBytes(sizeBytes), action === 'remove' ? 'goes' : 'stays', reason],
  ]);
  const heads = ['torrent', 'files', 'size', 'then', 'reason'];
  io.out.write(`${formatTable(rows, { heads, numbers: [1, 2], flexible: [0, 4], ...widthOf(io) })}\n`);
}

/** One row for each set, or for each of its files; what goes is always listed. */
function printItems(io: CliIo, sets: readonly SetView[], detail: 'reasons' | 'sets' | 'files'): void {
  if (detail === 'files') {
    const rows = sets.flatMap((set) =>
      set.files.map(({ filename, sizeBytes }) => [filename, set.source, formatBytes(sizeBytes), set.reason]),
    );
    const heads = ['file', 'source', 'size', 'reason'];
    io.out.write(`${formatTable(rows, { heads, numbers: [2], flexible: [0, 3], ...widthOf(io) })}\n`);
    return;
  }
  const rows = sets.map((set) => [
    set.wikiDbName,
    set.source,
    set.runDate,
    set.dumpType,
    String(set.files.length),
    formatBytes(set.sizeBytes),
    set.reason,
  ]);
  const heads = ['wiki', 'source', 'run', 'dump type', 'files', 'size', 'reason'];
  io.out.write(`${formatTable(rows, { heads, numbers: [4, 5], flexible: [3, 6], ...widthOf(io) })}\n`);
}

/** What was deleted, newest first; files of a wiki's day and reason together, unless each is asked for. */
export function printHistory(
  io: CliIo,
  deletions: readonly Deletion[],
  { areFilesShown }: { areFilesShown: boolean },
): void {
  if (deletions.length === 0) {
    io.out.write('Nothing was deleted.\n');
    return;
  }
  const dayOf = ({ deletedAt }: Deletion): string => new Date(deletedAt).toISOString().slice(0, 10);
  const stateOf = ({ removedAt }: Deletion): string => (removedAt === null ? 'under way' : 'gone');
  const keyOf = (row: Deletion): string =>
    [dayOf(row), row.path.split('/').slice(0, -1).join('/'), stateOf(row), row.reason].join('\t');
  const groups = areFilesShown ? deletions.map((row) => [row]) : [...Map.groupBy(deletions, keyOf).values()];
  const rows = groups.map((group) => {
    const first = group[0] as Deletion;
    const folder = first.path.split('/').slice(0, -1).join('/');
    const what = areFilesShown ? first.path : folder;
    const sizeBytes = group.reduce((sum, row) => sum + row.sizeBytes, 0);
    return [dayOf(first), what, String(group.length), formatBytes(sizeBytes), stateOf(first), first.reason];
  });
  const heads = ['day', areFilesShown ? 'file' : 'run', 'files', 'size', 'state', 'reason'];
  io.out.write(`${formatTable(rows, { heads, numbers: [2, 3], flexible: [1, 5], ...widthOf(io) })}\n`);
  const sizeBytes = deletions.reduce((sum, row) => sum + row.sizeBytes, 0);
  io.out.write(`\n${counted(deletions.length, 'file')} deleted, ${formatBytes(sizeBytes)}\n`);
}

const sizeOf = (sets: readonly SetView[]): number => sets.reduce((sum, set) => sum + set.sizeBytes, 0);
const filesOf = (sets: readonly SetView[]): number => sets.reduce((sum, set) => sum + set.files.length, 0);
const totals = (sets: readonly SetView[]): string =>
  `${counted(sets.length, 'set')}, ${counted(filesOf(sets), 'file')}, ${formatBytes(sizeOf(sets))}`;
const widthOf = (io: CliIo): { width?: number } =>
  io.out.isTTY === true && io.out.columns !== undefined ? { width: io.out.columns } : {};
