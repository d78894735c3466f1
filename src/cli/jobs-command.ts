import { formatDuration, UsageError } from '../lib/index.ts';
import {
  createStatusQueries,
  JOB_STATUSES,
  type JobDetail,
  type JobStatus,
  jobCommand,
  jobTypeOf,
  QUARANTINE,
  wordsOf,
} from '../monitoring/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { formatTable, plainText } from './table.ts';
import { counted } from './words.ts';

/** Rows of one page of the list. */
const PAGE_SIZE = 50;

/** `2026-11-23 01:02:03` in UTC, `-` for null. */
function time(at: number | null): string {
  return at === null ? '-' : new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

/** `jobs`, `jobs <id>` and `jobs show <id>`. */
export async function jobsCommand(
  io: CliIo,
  id: string | undefined,
  options: { config?: string; json?: boolean; status?: string; type?: string; page: string },
): Promise<number> {
  if (options.status !== undefined && !JOB_STATUSES.includes(options.status as JobStatus))
    throw new UsageError(
      `--status ${options.status} is not a job status`,
      `Use one of ${JOB_STATUSES.join(', ')}.`,
    );
  const page = Number(options.page);
  if (!Number.isInteger(page) || page < 1)
    throw new UsageError(`--page ${options.page} is not a page number`);
  if (id !== undefined && !/^[1-9]\d{0,14}$/.test(id)) throw new UsageError(`${id} is not a job id`);
  const { config } = loadForCommand(io, options.config);
  const db = openForReading(config.wikiseed.dataDir);
  try {
    const queries = createStatusQueries({ db, clock: createSystemClock() });
    if (id !== undefined) return showJob(io, queries.job(Number(id)), id, options.json === true);
    const type =
      options.type === undefined
        ? undefined
        : jobTypeOf(
            options.type,
            queries.jobCounts().map(({ jobType }) => jobType),
          );
    const list = queries.jobs({
      page,
      pageSize: PAGE_SIZE,
      ...(options.status === undefined ? {} : { status: options.status as JobStatus }),
      // The list shows types in words, so words are understood too.
      ...(type === undefined ? {} : { type }),
    });
    if (options.json === true) printJson(io, list);
    else if (list.items.length === 0) io.out.write('No jobs.\n');
    else {
      const rows = list.items.map((job) => [
        String(job.id),
        wordsOf(job.jobType),
        job.status,
        job.subject ?? '',
        `${job.attempt}/${job.maxAttempts}`,
        time(job.completedAt ?? job.startedAt ?? job.createdAt),
        job.lastError ?? '',
      ]);
      const heads = ['id', 'type', 'status', 'subject', 'attempt', 'last change (UTC)', 'last error'];
      const width = io.out.isTTY === true ? io.out.columns : undefined;
      io.out.write(
        formatTable(rows, {
          heads,
          numbers: [0],
          flexible: [3, 6],
          ...(width === undefined ? {} : { width }),
        }),
      );
      io.out.write(
        `\n\npage ${list.page} of ${Math.max(1, list.pageCount)}, ${counted(list.total, 'job')}\n`,
      );
    }
    return EXIT.ok;
  } finally {
    db.close();
  }
}

function showJob(io: CliIo, job: JobDetail | null, id: string, asJson: boolean): number {
  if (job === null) throw new UsageError(`there is no job ${id}`, '"wikiseed jobs" lists them.');
  if (asJson) {
    printJson(io, job);
    return EXIT.ok;
  }
  const facts: [string, string][] = [
    ['job', `${job.id} ${wordsOf(job.jobType)} (${job.jobType})`],
    ['about', job.subject ?? '-'],
    ['status', `${job.status}, attempt ${job.attempt} of ${job.maxAttempts}`],
    ['created', time(job.createdAt)],
    ['started', time(job.startedAt)],
    ['completed', time(job.completedAt)],
    ['next attempt', job.status === 'pending' ? time(job.nextAttemptAt) : '-'],
    ['last error', job.lastError ?? '-'],
    ['input', job.input],
    ['result', job.result ?? '-'],
  ];
  if (job.parentJobId !== null) facts.splice(2, 0, ['asked for by', `job ${job.parentJobId}`]);
  for (const [name, value] of facts) io.out.write(`${name.padEnd(13)} ${plainText(value)}\n`);
  const command = jobCommand(job, createSystemClock().now());
  if (job.status === 'quarantined') io.out.write(`\n${QUARANTINE}\n`);
  if (command !== null) io.out.write(`\n${command.words}: ${command.command}\n`);
  if (job.attempts.length > 0) {
    io.out.write('\nAttempts that did not complete it:\n');
    const rows = job.attempts.map((a) => [
      String(a.attempt),
      a.outcome,
      time(a.endedAt),
      formatDuration(a.endedAt - a.startedAt),
      a.message ?? '',
    ]);
    const heads = ['attempt', 'outcome', 'ended (UTC)', 'took', 'message'];
    io.out.write(`${formatTable(rows, { heads, numbers: [0] })}\n`);
  }
  if (job.children.length > 0) {
    io.out.write(`\nJobs it asked for (${job.childCount}):\n`);
    const rows = job.children.map((child) => [
      String(child.id),
      wordsOf(child.jobType),
      child.status,
      child.subject ?? '',
    ]);
    io.out.write(`${formatTable(rows, { numbers: [0] })}\n`);
    const more = job.childCount - job.children.length;
    if (more > 0) io.out.write(`and ${more} more\n`);
  }
  return EXIT.ok;
}
