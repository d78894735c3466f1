import { formatBytes, formatDuration } from '../lib/index.ts';
import { type DatabaseStatistics, findTroubles, type LastRun, type Trouble } from '../maintenance/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { careForCommand, thresholdsOf } from './maintain-command.ts';
import { formatTable, plainText } from './table.ts';
import { counted } from './words.ts';

/** Rows of the lists of tables and indexes on the screen; `--json` has all. */
const LIST_MAX = 8;

/** `db`: how the database is, on one screen, with what is wrong and what to do about it. */
export async function dbCommand(io: CliIo, options: { config?: string; json?: boolean }): Promise<number> {
  const loaded = loadForCommand(io, options.config);
  openForReading(loaded.config.wikiseed.dataDir).close();
  const statistics = await careForCommand(loaded).statistics({ isThorough: true, signal: io.signal });
  const troubles = findTroubles(statistics, thresholdsOf(loaded.config));
  if (options.json === true) printJson(io, { ...statistics, troubles });
  else io.out.write(formatDatabase(statistics, troubles));
  return EXIT.ok;
}

/** One screen of plain text, ends with a line end. */
export function formatDatabase(statistics: DatabaseStatistics, troubles: readonly Trouble[]): string {
  return [
    verdict(troubles),
    block('Database', files(statistics)),
    block('Jobs', jobs(statistics)),
    block('Last', lastRuns(statistics)),
    block('Tables', tables(statistics)),
    block('Indexes', indexes(statistics)),
  ]
    .filter((text) => text !== '')
    .join('\n');
}

const block = (title: string, body: string): string => (body === '' ? '' : `${title}\n${body}\n`);

function verdict(troubles: readonly Trouble[]): string {
  if (troubles.length === 0) return 'The database is well.\n';
  const lines = troubles.flatMap(({ severity, message, hint }) => [
    `  ${severity === 'error' ? 'ERROR' : 'warning'}: ${plainText(message)}`,
    `    ${plainText(hint)}`,
  ]);
  return `${counted(troubles.length, 'trouble')}:\n${lines.join('\n')}\n`;
}

function files(s: DatabaseStatistics): string {
  const free = `${s.fragmentationPercent.toFixed(1)} % free`;
  return formatTable(
    [
      ['file', `${s.path}, ${formatBytes(s.fileBytes)}, write-ahead log ${formatBytes(s.walBytes)}`],
      ['pages', `${s.pageCount} of ${s.pageSize} bytes, ${s.freePages} unused (${free})`],
      ['disk', `${formatBytes(s.freeDiskBytes)} free`],
      [
        'form',
        `schema ${s.schemaNumber}, journal ${s.journalMode}, auto-vacuum ${s.autoVacuum}, SQLite ${s.sqliteVersion}`,
      ],
    ],
    { indent: '  ' },
  );
}

function jobs({ jobs: facts, at }: DatabaseStatistics): string {
  const counts = Object.entries(facts.byStatus).map(([status, n]) => `${n} ${status}`);
  const running = facts.longestRunning;
  return formatTable(
    [
      ['counts', counts.length === 0 ? 'none' : counts.join(', ')],
      ['longest waiting', facts.oldestPendingAt === null ? '-' : ago(facts.oldestPendingAt, at)],
      [
        'longest running',
        running === null
          ? '-'
          : `job ${running.id} (${running.jobType}), ${formatDuration(at - running.startedAt)}`,
      ],
      ['expired leases', String(facts.expiredLeases)],
    ],
    { indent: '  ' },
  );
}

function lastRuns({ last, at, newestGoodBackupAt }: DatabaseStatistics): string {
  const rows = Object.entries(last).map(([what, run]) => [
    what,
    outcome(run),
    run === null ? '-' : ago(run.at, at),
  ]);
  const good = newestGoodBackupAt === null ? 'none' : ago(newestGoodBackupAt, at);
  return formatTable([['newest good backup', good, ''], ...rows], { indent: '  ' });
}

const outcome = (run: LastRun | null): string =>
  run === null ? 'never' : run.ok ? 'ok' : run.message === null ? 'not completely' : `failed: ${run.message}`;

function tables(s: DatabaseStatistics): string {
  const rows = (s.tables ?? [])
    .slice(0, LIST_MAX)
    .map(({ name, rows: n, sizeBytes }) => [
      name,
      String(n),
      sizeBytes === null ? '' : formatBytes(sizeBytes),
    ]);
  return formatTable(rows, { heads: ['name', 'rows', 'size'], indent: '  ', numbers: [1, 2] });
}

function indexes(s: DatabaseStatistics): string {
  if (s.indexes === null) return '';
  const rows = s.indexes
    .slice(0, LIST_MAX)
    .map(({ name, table, sizeBytes }) => [name, table, formatBytes(sizeBytes)]);
  return formatTable(rows, { heads: ['name', 'table', 'size'], indent: '  ', numbers: [2] });
}

const ago = (then: number, now: number): string => `${formatDuration(now - then)} ago`;
