import { formatBytes, UsageError } from '../lib/index.ts';
import { createStatusQueries } from '../monitoring/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { formatTable } from './table.ts';
import { counted } from './words.ts';

/** Files asked of the database at once; a cycle can have hundreds of thousands. */
const PAGE_SIZE = 500;

/** `cycles` and `cycles <date>`. */
export async function cyclesCommand(
  io: CliIo,
  date: string | undefined,
  options: { config?: string; json?: boolean },
): Promise<number> {
  if (date !== undefined && !/^\d{4}-\d{2}-\d{2}$/.test(date))
    throw new UsageError(`${date} is not a cycle date`, 'Write it as YYYY-MM-DD.');
  const { config } = loadForCommand(io, options.config);
  const db = openForReading(config.wikiseed.dataDir);
  try {
    const queries = createStatusQueries({ db, clock: createSystemClock() });
    if (date !== undefined) return showCycle(io, queries, date, options.json === true);
    const cycles = queries.cycles(1000);
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
        // The deadline is the first moment after it; people want the last day.
        new Date(cycle.deadlineAt - 1).toISOString().slice(0, 10),
      ]);
      const heads = ['cycle', 'status', 'history', 'files held', 'failed', 'bytes held', 'deadline'];
      io.out.write(`${formatTable(rows, { heads, numbers: [3, 4] })}\n`);
    }
    return EXIT.ok;
  } finally {
    db.close();
  }
}

function showCycle(
  io: CliIo,
  queries: ReturnType<typeof createStatusQueries>,
  cycleDate: string,
  asJson: boolean,
): number {
  const cycle = queries.cycle(cycleDate);
  if (cycle === null) throw new UsageError(`there is no cycle ${cycleDate}`, '"wikiseed cycles" lists them.');
  const files = [];
  for (let page = 1, pages = 1; page <= pages; page += 1) {
    const part = queries.cycleFiles({ cycleDate, page, pageSize: PAGE_SIZE });
    files.push(...part.items);
    pages = part.pageCount;
  }
  if (asJson) {
    printJson(io, { ...cycle, fileList: files });
    return EXIT.ok;
  }
  io.out.write(
    `Cycle ${cycle.cycleDate}: ${cycle.status}, ${cycle.files.held} of ${counted(cycle.files.expected, 'file')} held\n`,
  );
  if (files.length === 0) return EXIT.ok;
  const rows = files.map((file) => [
    file.filename,
    file.status,
    formatBytes(file.sizeBytes),
    file.verification ?? '-',
    file.errorMessage ?? '',
  ]);
  const heads = ['file', 'status', 'size', 'verified by', 'error'];
  io.out.write(`\n${formatTable(rows, { heads, numbers: [2] })}\n`);
  return EXIT.ok;
}
