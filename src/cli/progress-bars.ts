import cliProgress, { type Options, type Params, type SingleBar } from 'cli-progress';
import type { Bus, EventMap } from '../events/index.ts';
import { formatBytes, formatRate } from '../lib/index.ts';
import type { StatusQueries } from '../monitoring/index.ts';
import { plainText, shorten } from './table.ts';

/** More bars than this push the rest of the screen away. */
const MAX_JOB_BARS = 8;
const BAR_WIDTH = 20;
/** Room for ` 100 %  123 MB of 456 GB, 12.3 MB/s` beside name and bar. */
const FACTS_WIDTH = 40;

/** Bars on standard error while work runs. */
export interface ProgressBars {
  /** Writes one line above the bars, or plainly when there are none. */
  print(line: string): void;
  /** Removes the bars and leaves the bus; safe twice. */
  stop(): void;
}

/** What the bars need. `stream` is standard error. */
export interface ProgressBarsDeps {
  bus: Bus;
  queries: Pick<StatusQueries, 'cycles' | 'job'>;
  stream: NodeJS.WriteStream | { write(text: string): unknown; isTTY?: boolean };
}

/**
 * Shows the newest cycle and every running job that moves bytes. Draws nothing when the stream is not a terminal, so that
 * logs stay readable.
 */
export function showProgressBars({ bus, queries, stream }: ProgressBarsDeps): ProgressBars {
  if (!('isTTY' in stream) || stream.isTTY !== true || !('cursorTo' in stream || 'columns' in stream))
    return { print: (line) => void stream.write(`${plainText(line)}\n`), stop: () => {} };

  const bars = new cliProgress.MultiBar(
    {
      stream: stream as NodeJS.WriteStream,
      format: (options, params, payload) => drawBar(options, params, payload, nameWidth()),
      fps: 4,
      barsize: BAR_WIDTH,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      emptyOnZero: true,
      forceRedraw: true,
      // Signals belong to the command, which stops the work first and the bars after it.
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  // A terminal of unknown size says 0; asked at every frame, because windows change their size.
  function nameWidth(): number {
    const columns = ('columns' in stream && stream.columns) || 100;
    return Math.min(44, Math.max(14, columns - BAR_WIDTH - FACTS_WIDTH));
  }
  const byJob = new Map<number, SingleBar>();
  let cycleBar: { cycleDate: string; bar: SingleBar } | null = null;
  let isStopped = false;

  function drawCycle(): void {
    const cycle = queries.cycles(1)[0];
    if (cycle === undefined) return;
    if (cycleBar !== null && cycleBar.cycleDate !== cycle.cycleDate) {
      bars.remove(cycleBar.bar);
      cycleBar = null;
    }
    const done = cycle.files.held + cycle.files.deleted;
    const payload = {
      name: `cycle ${cycle.cycleDate}, ${cycle.status}`,
      facts: `${done} of ${cycle.files.expected} files, ${formatBytes(cycle.bytes.held)} of ${formatBytes(cycle.bytes.expected)}`,
    };
    cycleBar ??= { cycleDate: cycle.cycleDate, bar: bars.create(cycle.files.expected, done, payload) };
    cycleBar.bar.setTotal(cycle.files.expected);
    cycleBar.bar.update(done, payload);
  }

  function drawJob(event: EventMap['job:progress']): void {
    const known = byJob.get(event.jobId);
    if (known === undefined && byJob.size >= MAX_JOB_BARS) return;
    const rate = event.bytesPerSecond === null ? '' : `, ${formatRate(event.bytesPerSecond)}`;
    const facts = `${formatBytes(event.doneBytes)}${event.totalBytes === null ? '' : ` of ${formatBytes(event.totalBytes)}`}${rate}`;
    if (known === undefined) {
      const subject = queries.job(event.jobId)?.subject ?? event.label ?? `job ${event.jobId}`;
      // The verb is enough beside a file name, and leaves room for it.
      const name = `${event.jobType.split('_')[0]} ${subject}`;
      byJob.set(event.jobId, bars.create(event.totalBytes ?? 0, event.doneBytes, { name, facts }));
      return;
    }
    known.setTotal(event.totalBytes ?? 0);
    known.update(event.doneBytes, { facts });
  }

  function dropJob({ jobId }: { jobId: number }): void {
    const bar = byJob.get(jobId);
    if (bar !== undefined) bars.remove(bar);
    byJob.delete(jobId);
    drawCycle();
  }

  drawCycle();
  const leave = [
    bus.on('job:progress', drawJob),
    bus.on('job:completed', dropJob),
    bus.on('job:attemptFailed', dropJob),
    bus.on('job:givenBack', dropJob),
    bus.on('cycle:opened', drawCycle),
    bus.on('cycle:sealed', drawCycle),
  ];
  return {
    print: (line) =>
      isStopped ? void stream.write(`${plainText(line)}\n`) : bars.log(`${plainText(line)}\n`),
    stop() {
      if (isStopped) return;
      isStopped = true;
      for (const off of leave) off();
      bars.stop();
    },
  };
}

function drawBar(
  options: Options,
  params: Params,
  payload: { name?: string; facts?: string },
  nameWidth: number,
): string {
  const share = params.total > 0 ? Math.min(1, Math.max(0, params.value / params.total)) : 0;
  const filled = Math.floor(share * BAR_WIDTH);
  const drawn =
    (options.barCompleteString ?? '').slice(0, filled) +
    (options.barIncompleteString ?? '').slice(0, BAR_WIDTH - filled);
  const percent = params.total > 0 ? `${Math.floor(share * 100)} %` : '';
  const name = shorten(plainText(payload.name ?? ''), nameWidth).padEnd(nameWidth);
  return `${name} ${drawn} ${percent.padStart(5)}  ${plainText(payload.facts ?? '')}`;
}
