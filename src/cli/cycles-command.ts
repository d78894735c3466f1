import type { Db } from '../db/index.ts';
import { formatBytes, UsageError } from '../lib/index.ts';
import {
  type CycleDetail,
  type CycleState,
  createCycleQueries,
  createStatusQueries,
  GAP_WORDS,
  type Gap,
  GROUPING_WORDS,
  SOURCE_WORDS,
} from '../monitoring/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { formatTable } from './table.ts';
import { counted, isDay } from './words.ts';

/** Files asked of the database at once; a cycle can have hundreds of thousands. */
const PAGE_SIZE = 500;
/** Reasons on the screen; `--all` lists each gap. */
const GAPS_MAX = 25;

/** `cycles`, `cycles show <date>` and `cycles <date>`. */
export async function cyclesCommand(
  io: CliIo,
  date: string | undefined,
  options: { config?: string; all?: boolean; json?: boolean },
): Promise<number> {
  if (date !== undefined && !isDay(date))
    throw new UsageError(`${date} is not a cycle date`, 'Write it as YYYY-MM-DD.');
  const { config } = loadForCommand(io, options.config);
  const db = openForReading(config.wikiseed.dataDir);
  try {
    if (date !== undefined) return showCycle(io, db, date, options);
    const cycles = createStatusQueries({ db, clock: createSystemClock() }).cycles(1000);
    if (options.json === true) printJson(io, cycles);
    else if (cycles.length === 0)
      io.out.write('No cycle yet: the first one opens when its embargo has passed.\n');
    else {
      const rows = cycles.map((cycle) => [
        cycle.cycleDate,
        cycle.status,
        cycle.includesHistory ? 'yes' : 'no',
        `${cycle.files.held}/${cycle.files.expected}`,
        String(cycle.files.failed + cycle.files.quarantined),
        `${formatBytes(cycle.bytes.held)} of ${formatBytes(cycle.bytes.expected)}`,
        deadlineDay(cycle),
      ]);
      const heads = ['cycle', 'status', 'history', 'files held', 'failed', 'bytes held', 'deadline'];
      io.out.write(`${formatTable(rows, { heads, numbers: [3, 4] })}\n`);
    }
    return EXIT.ok;
  } finally {
    db.close();
  }
}

/** The deadline is the first moment after it; people want the last day. */
const deadlineDay = ({ deadlineAt }: CycleState): string => dayOf(deadlineAt - 1);

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);

function showCycle(io: CliIo, db: Db, cycleDate: string, options: { all?: boolean; json?: boolean }): number {
  const clock = createSystemClock();
  const queries = createStatusQueries({ db, clock });
  const details = createCycleQueries({ db, clock });
  const cycle = queries.cycle(cycleDate);
  if (cycle === null) throw new UsageError(`there is no cycle ${cycleDate}`, '"wikiseed cycles" lists them.');
  const detail = details.detail(cycle);
  const gaps = options.all === true || options.json === true ? details.gaps(cycle) : null;
  const files = options.all === true || options.json === true ? filesOf(queries, cycleDate) : null;
  if (options.json === true) {
    printJson(io, { ...cycle, ...detail, gapList: gaps, fileList: files });
    return EXIT.ok;
  }
  const width = io.out.isTTY === true ? { width: io.out.columns ?? 80 } : {};
  io.out.write(
    `Cycle ${cycle.cycleDate}: ${cycle.status}, ${cycle.files.held} of ${counted(cycle.files.expected, 'file')} held\n`,
  );
  io.out.write(`${timesOf(cycle, detail)}\n`);
  for (const [title, text] of [
    ['Sources', sourceTable(detail)],
    ['Not taken', gaps === null ? gapTable(detail, width) : gapList(gaps, width)],
    ['Changed upstream after we took them', replacedTable(detail)],
    ['Torrents', torrentTable(detail)],
    ['Supplements', supplementTable(detail)],
    ['Files', files === null ? '' : fileTable(files)],
  ] as const)
    if (text !== '') io.out.write(`\n${title}:\n${text}\n`);
  return EXIT.ok;
}

type Files = ReturnType<ReturnType<typeof createStatusQueries>['cycleFiles']>['items'];

function filesOf(queries: ReturnType<typeof createStatusQueries>, cycleDate: string): Files {
  const files: Files = [];
  for (let page = 1, pages = 1; page <= pages; page += 1) {
    const part = queries.cycleFiles({ cycleDate, page, pageSize: PAGE_SIZE });
    files.push(...part.items);
    pages = part.pageCount;
  }
  return files;
}

function timesOf(cycle: CycleState, { lateUntil }: CycleDetail): string {
  if (cycle.sealedAt === null)
    return `sealed when every file is settled, after ${deadlineDay(cycle)} at the latest${cycle.scannedAt === null ? '; not every wiki was looked at yet' : ''}`;
  const late = lateUntil === null ? '' : `; files that settle until ${dayOf(lateUntil)} go into a supplement`;
  return `sealed on ${dayOf(cycle.sealedAt)}${late}`;
}

function sourceTable({ sources }: CycleDetail): string {
  const rows = sources.map(({ source, runs, files, bytes }) => [
    SOURCE_WORDS[source],
    String(runs.finished),
    String(runs.unfinished),
    String(runs.absent),
    `${files.held}/${files.expected}`,
    String(files.waiting),
    String(files.failed),
    `${formatBytes(bytes.held)} of ${formatBytes(bytes.expected)}`,
  ]);
  const heads = [
    'source',
    'runs finished',
    'unfinished',
    'absent',
    'files held',
    'to fetch',
    'failed',
    'bytes held',
  ];
  return formatTable(rows, { heads, numbers: [1, 2, 3, 4, 5, 6] });
}

function gapTable({ gaps }: CycleDetail, width: { width?: number }): string {
  const rows = gaps
    .slice(0, GAPS_MAX)
    .map((gap) => [
      GAP_WORDS[gap.kind],
      gap.source,
      typeOf(gap),
      String(gap.wikis),
      gap.files === 0 ? '-' : String(gap.files),
      gap.reason,
    ]);
  const heads = ['kind', 'source', 'dump type', 'wikis', 'files', 'reason'];
  const more = gaps.length - rows.length;
  const table = formatTable(rows, { heads, numbers: [3, 4], flexible: [5], ...width });
  return more > 0 ? `${table}\nand ${counted(more, 'more reason')}; --all lists each gap` : table;
}

function gapList(gaps: readonly Gap[], width: { width?: number }): string {
  const rows = gaps.map((gap) => [
    gap.wikiDbName,
    gap.source,
    gap.filename ?? typeOf(gap),
    GAP_WORDS[gap.kind],
    gap.reason,
  ]);
  const heads = ['wiki', 'source', 'file or dump type', 'kind', 'reason'];
  return formatTable(rows, { heads, flexible: [2, 4], ...width });
}

const typeOf = ({ dumpType }: { dumpType: string }): string =>
  dumpType === '*' ? 'the whole run' : dumpType;

function replacedTable({ replaced }: CycleDetail): string {
  const rows = replaced.map((file) => [
    file.filename,
    file.kind === 'replaced' ? 'published anew' : 'not listed any more',
    formatBytes(file.sizeBytes),
    file.newSizeBytes === null ? '-' : formatBytes(file.newSizeBytes),
    dayOf(file.foundAt),
  ]);
  return formatTable(rows, { heads: ['file', 'what', 'ours', 'theirs', 'found'], numbers: [2, 3] });
}

function torrentTable({ torrents }: CycleDetail): string {
  const rows = torrents.map(({ grouping, isUncompressed, torrents: all, seeding, retired, sizeBytes }) => [
    `${GROUPING_WORDS[grouping]}${isUncompressed ? ', unpacked' : ''}`,
    ...[String(all), String(seeding), String(retired), formatBytes(sizeBytes)],
  ]);
  return formatTable(rows, {
    heads: ['kind', 'torrents', 'seeding', 'retired', 'size'],
    numbers: [1, 2, 3, 4],
  });
}

function supplementTable({ supplements }: CycleDetail): string {
  const rows = supplements.map((each) => [
    each.name,
    counted(each.fileCount, 'file'),
    formatBytes(each.sizeBytes),
    dayOf(each.createdAt),
  ]);
  return formatTable(rows, { heads: ['torrent', 'files', 'size', 'made'], numbers: [1, 2] });
}

function fileTable(files: Files): string {
  const rows = files.map((file) => [
    file.filename,
    file.status,
    formatBytes(file.sizeBytes),
    file.verification ?? '-',
    file.errorMessage ?? '',
  ]);
  const heads = ['file', 'status', 'size', 'verified by', 'error'];
  return formatTable(rows, { heads, numbers: [2] });
}
