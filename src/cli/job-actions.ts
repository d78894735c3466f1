import { describeError, UsageError } from '../lib/index.ts';
import { wordsOf } from '../monitoring/index.ts';
import type { JobChange } from '../queue/index.ts';
import { AT_NEXT_START } from './control-commands.ts';
import { type Operated, operate } from './daemon.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';
import { plainText } from './table.ts';
import { counted } from './words.ts';

/** Calls of one `retry --failed`: 500 jobs each. */
const ROUNDS_MAX = 200;

interface JobOptions {
  config?: string;
  json?: boolean;
}

/** `jobs retry <id…>` and `jobs retry --failed`. Exit code 1 when one of several was refused. */
export async function retryJobs(
  io: CliIo,
  ids: readonly string[],
  options: JobOptions & { failed?: boolean; type?: string },
): Promise<number> {
  if (options.failed === true && ids.length > 0)
    throw new UsageError('--failed means all failed jobs, and ids mean these jobs', 'Give one of them.');
  if (options.failed !== true && options.type !== undefined)
    throw new UsageError(
      '--type belongs to --failed',
      'Write: wikiseed jobs retry --failed --type upload_ia',
    );
  if (options.failed !== true && ids.length === 0)
    throw new UsageError(
      'retry which jobs?',
      'Give their ids ("wikiseed jobs --status failed" lists them), or --failed for all of them.',
    );
  const jobIds = parseIds(ids);
  const loaded = loadForCommand(io, options.config);
  return operate(io, loaded, (operated) =>
    options.failed === true
      ? retryFailed(io, operated, options)
      : changeEach(io, operated, jobIds, options, (id) => operated.actions.retryJob(id)),
  );
}

/** `jobs cancel <id…>`. Exit code 1 when one of several was refused. */
export async function cancelJobs(io: CliIo, ids: readonly string[], options: JobOptions): Promise<number> {
  if (ids.length === 0) throw new UsageError('cancel which jobs?', '"wikiseed jobs" lists them.');
  const jobIds = parseIds(ids);
  const loaded = loadForCommand(io, options.config);
  return operate(io, loaded, (operated) =>
    changeEach(io, operated, jobIds, options, (id) => operated.actions.cancelJob(id)),
  );
}

function parseIds(ids: readonly string[]): number[] {
  const wrong = ids.find((id) => !/^[1-9]\d{0,14}$/.test(id));
  if (wrong !== undefined) throw new UsageError(`${wrong} is not a job id`);
  return [...new Set(ids.map(Number))];
}

async function changeEach(
  io: CliIo,
  { isDaemon }: Operated,
  ids: readonly number[],
  { json }: JobOptions,
  change: (id: number) => Promise<JobChange>,
): Promise<number> {
  const changed: JobChange[] = [];
  const refused: { jobId: number; error: string; hint: string | null }[] = [];
  for (const jobId of ids) {
    try {
      changed.push(await change(jobId));
    } catch (error) {
      // One job alone is answered like any other command.
      if (!(error instanceof UsageError) || ids.length === 1) throw error;
      refused.push({ jobId, error: describeError(error), hint: error.hint ?? null });
    }
  }
  if (json === true) printJson(io, { changed, refused, isDaemonRunning: isDaemon });
  else {
    for (const each of changed) io.out.write(`${plainText(sentenceOf(each, isDaemon))}\n`);
    for (const { error } of refused) io.err.write(`wikiseed: ${plainText(error)}\n`);
    if (!isDaemon && changed.length > 0) io.out.write(`${AT_NEXT_START}\n`);
  }
  return refused.length === 0 ? EXIT.ok : EXIT.failed;
}

function sentenceOf({ jobId, jobType, was, now }: JobChange, isDaemon: boolean): string {
  const job = `Job ${jobId} (${wordsOf(jobType)})`;
  const before = was.replaceAll('_', ' ');
  if (now === 'cancelled') return `${job} is cancelled.`;
  if (now === 'stopping') return `${job} was told to stop; it is cancelled when its handler ends.`;
  return `${job} was ${before} and is due now${isDaemon ? '; it starts as soon as a slot is free' : ''}.`;
}

async function retryFailed(
  io: CliIo,
  { actions, isDaemon }: Operated,
  options: JobOptions & { type?: string },
): Promise<number> {
  let retried = 0;
  let skipped = 0;
  let after: number | null = 0;
  for (let round = 0; after !== null && round < ROUNDS_MAX; round += 1) {
    const done: Awaited<ReturnType<typeof actions.retryFailed>> = await actions.retryFailed({
      type: options.type ?? null,
      after,
    });
    retried += done.retried;
    skipped += done.skipped;
    after = done.continueAfter;
    io.signal.throwIfAborted();
  }
  const isAll = after === null;
  if (options.json === true) printJson(io, { retried, skipped, isAll, isDaemonRunning: isDaemon });
  else {
    const kind = options.type === undefined ? '' : ` of type ${options.type}`;
    io.out.write(plainText(`${counted(retried, 'failed job')}${kind} will be tried again.`).concat('\n'));
    if (skipped > 0) io.out.write(`${skipped} left alone: another job does their work already.\n`);
    if (!isAll) io.out.write('There are more: run it again.\n');
    if (!isDaemon && retried > 0) io.out.write(`${AT_NEXT_START}\n`);
  }
  return EXIT.ok;
}
