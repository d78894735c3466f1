import { matchesGlob } from 'node:path';
import cliProgress from 'cli-progress';
import type { PlanAction, PlanRow } from '../discovery/index.ts';
import { formatBytes, UsageError } from '../lib/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';
import { makePlan, type Plan } from './make-plan.ts';
import { printReasons, typeOf } from './plan-reasons.ts';
import { formatTable } from './table.ts';
import { counted, isDay } from './words.ts';

const ACTIONS: readonly PlanAction[] = ['download', 'held', 'wait', 'skip'];

/** What the command understands. */
export interface PlanOptions {
  config?: string;
  cycle?: string;
  wiki?: string;
  all?: boolean;
  ask?: boolean;
  json?: boolean;
}

/** `plan`, and `run --dry-run`: what would be fetched for a cycle, and why; changes nothing. */
export async function planCommand(io: CliIo, options: PlanOptions): Promise<number> {
  const { cycle, wiki } = options;
  if (cycle !== undefined && !isDay(cycle))
    throw new UsageError(`${cycle} is not a cycle date`, 'Write it as YYYY-MM-DD.');
  const { config } = loadForCommand(io, options.config);
  const bar = showAsking(io);
  let plan: Plan;
  try {
    plan = await makePlan({
      config,
      signal: io.signal,
      cycleDate: cycle,
      ask: options.ask,
      onProgress: bar.update,
    });
  } finally {
    bar.stop();
  }
  if (wiki !== undefined) plan = narrow(plan, wiki);
  if (options.json === true) printJson(io, toJson(plan));
  else printPlan(io, plan, { areRowsShown: wiki !== undefined || options.all === true });
  return EXIT.ok;
}

/**
 * A plan of some wikis only.
 * @throws UsageError no wiki matches
 */
function narrow(plan: Plan, glob: string): Plan {
  const wikis = plan.wikis.filter((row) => matchesGlob(row.wikiDbName, glob));
  if (wikis.length === 0)
    throw new UsageError(
      `no wiki matches ${glob}`,
      '"wikiseed wikis" lists those we know, such as enwiki or be_x_oldwiki.',
    );
  return { ...plan, wikis, files: plan.files.filter((row) => matchesGlob(row.wikiDbName, glob)) };
}

/** The plan as scripts know it. */
function toJson(plan: Plan): unknown {
  return {
    cycle: plan.cycleDate,
    files: plan.files.map((row) => ({
      wiki: row.wikiDbName,
      source: row.source,
      run_date: row.runDate,
      dump_type: row.dumpType,
      file: row.filename,
      size_bytes: row.sizeBytes,
      url: row.url,
      action: row.action,
      reason: row.reason,
    })),
    wikis: plan.wikis.map(({ wikiDbName, included, reason }) => ({ wiki: wikiDbName, included, reason })),
    notices: plan.notices,
  };
}

function printPlan(io: CliIo, plan: Plan, options: { areRowsShown: boolean }): void {
  const width = io.out.isTTY === true ? io.out.columns : undefined;
  const history = plan.includesHistory ? 'with history' : 'without history';
  const state = plan.state.replaceAll('_', ' ');
  io.out.write(`Cycle ${plan.cycleDate} (${state}, ${history}): ${verdict(plan.files)}\n`);
  const summary = summarize(plan.files);
  if (summary.length > 0) {
    const heads = ['source', 'dump type', 'action', 'wikis', 'files', 'size'];
    io.out.write(
      `\n${formatTable(summary, { heads, numbers: [3, 4, 5], flexible: [1], ...widthOf(width) })}\n`,
    );
  }
  if (options.areRowsShown) printRows(io, plan.files, width);
  else printReasons(io, plan.files, width);
  printWikis(io, plan, options, width);
  if (plan.notices.length > 0) io.out.write('\n');
  for (const notice of plan.notices) io.out.write(`${notice}\n`);
}

const widthOf = (width: number | undefined): { width?: number } => (width === undefined ? {} : { width });

function verdict(rows: readonly PlanRow[]): string {
  const parts = ACTIONS.flatMap((action) => {
    const files = rows.filter((row) => row.action === action && row.filename !== null);
    if (files.length === 0 || action === 'skip') return [];
    const words = { download: 'to download', held: 'held', wait: 'not ready yet', skip: '' }[action];
    return [`${counted(files.length, 'file')} ${words} (${formatBytes(sizeOf(files))})`];
  });
  return parts.length === 0 ? 'nothing to download' : parts.join(', ');
}

const sizeOf = (rows: readonly PlanRow[]): number => rows.reduce((sum, row) => sum + (row.sizeBytes ?? 0), 0);

/** One line for each source, dump type and action of what is or will be ours. */
function summarize(rows: readonly PlanRow[]): string[][] {
  const groups = Map.groupBy(
    rows.filter((row) => row.filename !== null && row.action !== 'skip'),
    (row) => [row.source, row.dumpType ?? '', ACTIONS.indexOf(row.action)].join('\t'),
  );
  return [...groups]
    .sort(byKey)
    .map(([, group]) => [
      group[0]?.source ?? '',
      group[0]?.dumpType ?? '-',
      group[0]?.action ?? '',
      String(new Set(group.map(({ wikiDbName }) => wikiDbName)).size),
      String(group.length),
      formatBytes(sizeOf(group)),
    ]);
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : a > b ? 1 : 0);

function printRows(io: CliIo, rows: readonly PlanRow[], width: number | undefined): void {
  if (rows.length === 0) return;
  const heads = ['wiki', 'source', 'file or dump type', 'size', 'action', 'reason'];
  const cells = rows.map((row) => [
    row.wikiDbName,
    row.source,
    row.filename ?? typeOf(row.dumpType),
    row.sizeBytes === null ? '-' : formatBytes(row.sizeBytes),
    row.action,
    row.reason,
  ]);
  io.out.write(`\n${formatTable(cells, { heads, numbers: [3], flexible: [2, 5], ...widthOf(width) })}\n`);
}

function printWikis(
  io: CliIo,
  { wikis }: Plan,
  { areRowsShown }: { areRowsShown: boolean },
  width: number | undefined,
): void {
  const left = wikis.filter(({ included }) => !included);
  io.out.write(`\n${counted(wikis.length - left.length, 'wiki')} included, ${left.length} not`);
  if (left.length === 0) return void io.out.write('\n');
  const rows = areRowsShown
    ? left.map(({ wikiDbName, reason }) => [wikiDbName, reason])
    : [...Map.groupBy(left, ({ reason }) => reason)]
        .sort(([, a], [, b]) => b.length - a.length)
        .map(([reason, group]) => [String(group.length), reason]);
  io.out.write(`:\n${formatTable(rows, { numbers: areRowsShown ? [] : [0], ...widthOf(width) })}\n`);
}

/** A bar on a terminal while upstream is asked; nothing elsewhere. */
function showAsking(io: CliIo): { update(done: number, total: number): void; stop(): void } {
  if (io.err.isTTY !== true || !('cursorTo' in io.err)) return { update: () => {}, stop: () => {} };
  const bar = new cliProgress.SingleBar({
    stream: io.err,
    format: 'Asking upstream {bar} {value} of {total} wikis',
    clearOnComplete: true,
    hideCursor: true,
    gracefulExit: false,
  });
  let isShown = false;
  return {
    update(done, total) {
      if (!isShown) bar.start(total, done);
      isShown = true;
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => (isShown ? bar.stop() : undefined),
  };
}
