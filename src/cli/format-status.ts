import { formatBytes, formatDuration, formatRate } from '../lib/index.ts';
import type { CycleState, StatusReport } from '../monitoring/index.ts';
import {
  mirrorStanding,
  rateName,
  rateWords,
  resumeCommand,
  scopeWords,
  sentenceCase,
  storageWords,
  tryWords,
  usedOf,
  wordsOf,
} from '../monitoring/index.ts';
import { fitColumns } from './fit-columns.ts';
import { formatTable, plainText, shorten } from './table.ts';

/** How the screen looks. */
export interface StatusFormat {
  /** See `wantsColor`. */
  color: boolean;
  /** Characters in a line; default 100. */
  width?: number;
  /** False when no daemon works on the database; default true. */
  isAtWork?: boolean;
}

type Tone = 'bold' | 'dim' | 'green' | 'yellow' | 'red';
const CODES: Readonly<Record<Tone, string>> = { bold: '1', dim: '2', green: '32', yellow: '33', red: '31' };

/** Colours are for people at a terminal who did not refuse them (https://no-color.org). */
export function wantsColor(
  out: { isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return out.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
}

/** `wikiseed status`: one screen of plain text, ends with a line end. */
export function formatStatus(report: StatusReport, format: StatusFormat): string {
  // A terminal of unknown size says 0.
  const width = (format.width ?? 0) >= 40 ? (format.width ?? 0) : 100;
  const paint = (tone: Tone, text: string): string =>
    format.color ? `\u001b[${CODES[tone]}m${text}\u001b[0m` : text;
  const block = (title: string, body: string): string =>
    body === '' ? '' : `${paint('bold', title)}\n${body}\n`;
  const blocks = [
    verdictLines(report, paint),
    block('Cycles', cycleLines(report, width)),
    block('Running now', runningLines(report, width)),
    block('Halted', haltLines(report, format.isAtWork ?? true)),
    block('Paused by hand', pauseLines(report)),
    block('Alerts', alertLines(report, paint)),
    block('Failures', failureLines(report, width)),
    block('Queue', queueLines(report, width)),
    block('Limits set by hand', limitLines(report)),
    block('Mirrors', mirrorLines(report, width)),
    block('Storage', storageLine(report)),
    block('Last backup', backupLine(report)),
    block('Torrents', torrentLines(report, width)),
    block('Next wake-ups', wakeUpLines(report, width)),
  ];
  return blocks.filter((text) => text !== '').join('\n');
}

function verdictLines(report: StatusReport, paint: (tone: Tone, text: string) => string): string {
  const { level, reasons } = report.verdict;
  const title = {
    good: paint('green', 'All is well.'),
    attention: paint('yellow', 'Worth a look.'),
    stopped: paint('red', 'Work has stopped.'),
  }[level];
  const at = paint('dim', `${new Date(report.at).toISOString().slice(0, 16).replace('T', ' ')} UTC`);
  return [`${title} ${at}`, ...reasons.map((reason) => `  ${plainText(reason)}`), ''].join('\n');
}

function cycleLines(report: StatusReport, width: number): string {
  if (report.cycles.length === 0)
    return '  None yet: the newest one whose waiting time is over is opened after the first look at the wikis.';
  return formatTable(
    report.cycles.slice(0, 4).map((cycle) => {
      const { files, bytes } = cycle;
      const done = files.held + files.deleted;
      return [
        cycle.cycleDate,
        cycle.status,
        meter(done, files.expected),
        `${done}/${files.expected}`,
        `${formatBytes(bytes.held)}/${formatBytes(bytes.expected)}`,
        String(files.failed + files.quarantined),
        deadline(cycle, report.at),
      ];
    }),
    {
      heads: ['date', 'state', 'held', 'files', 'bytes', 'failed', 'sealed'],
      width,
      indent: '  ',
      numbers: [3, 4, 5],
      flexible: [6],
    },
  );
}

function deadline(cycle: CycleState, now: number): string {
  if (cycle.status !== 'open') return 'yes';
  return cycle.deadlineAt > now ? `in ${rough(cycle.deadlineAt - now)} at the latest` : 'overdue';
}

function meter(done: number, total: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const filled = Math.floor(share * 10);
  return `[${'#'.repeat(filled)}${'.'.repeat(10 - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %`;
}

function runningLines(report: StatusReport, width: number): string {
  if (report.running.length === 0) return '  Nothing.';
  const rows = report.running.slice(0, 10).map((job) => {
    const { doneBytes, totalBytes, bytesPerSecond } = job;
    return [
      String(job.id),
      wordsOf(job.jobType),
      job.subject ?? '',
      doneBytes !== null && totalBytes !== null ? meter(doneBytes, totalBytes) : '',
      doneBytes === null ? '' : formatBytes(doneBytes),
      bytesPerSecond === null ? '' : formatRate(bytesPerSecond),
    ];
  });
  const more = report.running.length > 10 ? `\n  and ${report.running.length - 10} more` : '';
  return formatTable(rows, { width, indent: '  ', numbers: [0, 4, 5], flexible: [2] }) + more;
}

function haltLines(report: StatusReport, isAtWork: boolean): string {
  return report.halts
    .flatMap((halt) => {
      const often = halt.failures > 1 ? `, stopped ${halt.failures} times in a row` : '';
      const kind = halt.kind === 'unavailable' ? 'does not answer as it should' : 'is halted';
      const isTried = halt.until !== null && halt.until <= report.at;
      const atOnce = isTried ? '' : `; at once with: ${plainText(resumeCommand(halt))}`;
      const when = tryWords(halt, report.at, isAtWork);
      return [
        `  ${sentenceCase(plainText(wordsOf(halt.target)))} ${kind}: ${plainText(halt.message)} (${plainText(halt.code)})`,
        `    ${when}${often}${atOnce}`,
        ...(halt.hint === null ? [] : [`    ${plainText(halt.hint)}`]),
      ];
    })
    .join('\n');
}

function pauseLines(report: StatusReport): string {
  return report.pauses
    .flatMap(({ scope, since, reason }) => [
      `  ${sentenceCase(plainText(scopeWords(scope)))}, for ${rough(report.at - since)}${reason === null ? '' : `: ${plainText(reason)}`}`,
      `    resume with: ${plainText(resumeCommand(scope))}`,
    ])
    .join('\n');
}

function alertLines(report: StatusReport, paint: (tone: Tone, text: string) => string): string {
  const tones = { error: 'red', warn: 'yellow', info: 'dim' } as const;
  const words = { error: 'error', warn: 'warning', info: 'note' } as const;
  const lines = report.alerts.flatMap(({ severity, message, hint, firstAt, count }) => {
    const often = count > 1 ? `, ${count} times` : '';
    return [
      `  ${paint(tones[severity], words[severity])} ${plainText(message)} (for ${rough(report.at - firstAt)}${often})`,
      ...(hint === null ? [] : [`    ${plainText(hint)}`]),
    ];
  });
  const more = report.alertCount - report.alerts.length;
  return [...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
}

function limitLines(report: StatusReport): string {
  return formatTable(
    [
      ...report.limits.map(({ scope, jobs }) => [scopeWords(scope), `at most ${jobs} at once`]),
      ...report.rates.map((rate) => [rateName(rate.name), rateWords(rate)]),
    ],
    { indent: '  ' },
  );
}

function mirrorLines(report: StatusReport, width: number): string {
  return formatTable(
    report.mirrors.map((mirror) => [
      mirror.baseUrl.replace(/^https:\/\//, ''),
      mirrorStanding(mirror, report.at),
      mirror.bytesPerSecond === null ? '' : formatRate(mirror.bytesPerSecond),
      String(mirror.goodFiles),
      mirror.lastFault === null || mirror.lastFaultAt === null
        ? ''
        : `${mirror.lastFault}, ${rough(report.at - mirror.lastFaultAt)} ago`,
    ]),
    {
      heads: ['address', 'standing', 'speed', 'files', 'last fault'],
      width,
      indent: '  ',
      numbers: [2, 3],
      flexible: [0, 4],
    },
  );
}

function backupLine({ lastBackup, at }: StatusReport): string {
  if (lastBackup === null) return '';
  const bytes = lastBackup.sizeBytes === null ? '' : `, ${formatBytes(lastBackup.sizeBytes)}`;
  if (lastBackup.ok) return `  ${rough(at - lastBackup.at)} ago${bytes}`;
  const good = lastBackup.goodAt === null ? '' : `; the last good one ${rough(at - lastBackup.goodAt)} ago`;
  return `  failed ${rough(at - lastBackup.at)} ago: ${plainText(lastBackup.message ?? 'no reason was recorded')}${good}`;
}

function failureLines(report: StatusReport, width: number): string {
  return formatTable(
    report.failures
      .slice(0, 5)
      .map((failure) => [
        String(failure.id),
        wordsOf(failure.jobType),
        failure.subject ?? '',
        failure.nextAttemptAt === null
          ? failure.status
          : `again in ${rough(Math.max(0, failure.nextAttemptAt - report.at))}`,
        failure.message,
      ]),
    { width, indent: '  ', numbers: [0], flexible: [2, 4] },
  );
}

function queueLines(report: StatusReport, width: number): string {
  if (report.jobs.length === 0) return '  Empty.';
  return formatTable(
    report.jobs.map(({ jobType, byStatus }) => [
      wordsOf(jobType),
      String(byStatus.pending),
      String(byStatus.in_progress),
      String(byStatus.completed),
      String(byStatus.failed + byStatus.quarantined),
    ]),
    {
      heads: ['type', 'waiting', 'running', 'done', 'failed'],
      width,
      indent: '  ',
      numbers: [1, 2, 3, 4],
      flexible: [0],
    },
  );
}

function storageLine(report: StatusReport): string {
  if (report.storage === null) return '  Unknown.';
  const { freeBytes, totalBytes, mode, reservedBytes = 0, isOnlyPromised } = report.storage;
  const { usedBytes, isLimited } = usedOf(report.storage);
  const isCalm = mode === undefined || mode === 'normal' || isOnlyPromised === true;
  const marked = isCalm ? '' : `, ${wordsOf(mode)}`;
  const ours = report.storage.usedBytes === null ? '' : `${formatBytes(report.storage.usedBytes)} ours, `;
  const promised = reservedBytes === 0 ? '' : `, ${formatBytes(reservedBytes)} promised to running downloads`;
  const room = isLimited
    ? `storage.max_size ${formatBytes(totalBytes)}, ${formatBytes(freeBytes)} free on the disk`
    : `${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}`;
  const words = storageWords(report.storage);
  const line = `  ${meter(usedBytes ?? 0, totalBytes)} full${marked}: ${ours}${room}${promised}`;
  return words === null ? line : `${line}\n  ${words}${thresholdWords(report.storage)}`;
}

function thresholdWords(facts: NonNullable<StatusReport['storage']>): string {
  const { cleanupThresholdPercent: cleanup, pauseThresholdPercent: pause, safetyMarginBytes: margin } = facts;
  if (cleanup === undefined || pause === undefined || margin === undefined) return '';
  return `\n  Prunes from ${cleanup} %, starts no download from ${pause} %, stops downloads below ${formatBytes(margin)} free.`;
}

function torrentLines(report: StatusReport, width: number): string {
  const rows = report.torrents
    .slice(0, 4)
    .map((torrent) => [
      shorten(torrent.name, 48),
      formatBytes(torrent.sizeBytes),
      torrent.seedingSince === null ? 'not seeding yet' : 'seeding',
      torrent.seeders === null
        ? 'others unknown'
        : `${torrent.seeders} other ${torrent.seeders === 1 ? 'seeder' : 'seeders'}`,
      torrent.infoHash,
    ]);
  const more = report.torrentCount > rows.length ? `\n  and ${report.torrentCount - rows.length} more` : '';
  if (rows.length === 0) return '';
  // A name says which torrent it is and must be readable; "wikiseed torrents show" tells the infohash.
  const heads = ['name', 'size', 'state', 'seeders', 'infohash'];
  const fitted = fitColumns({ heads, rows }, { width: width - 2, leaveOut: ['infohash'], keep: 'name' });
  return formatTable(fitted.rows, { width, indent: '  ', numbers: [1, 3], flexible: [0] }) + more;
}

function wakeUpLines(report: StatusReport, width: number): string {
  return formatTable(
    report.wakeUps
      .slice(0, 5)
      .map((wakeUp) => [
        `in ${rough(Math.max(0, wakeUp.at - report.at))}`,
        wordsOf(wakeUp.name),
        wakeUp.subject ?? '',
      ]),
    { width, indent: '  ', flexible: [2] },
  );
}

const rough = (durationMs: number): string =>
  formatDuration(Math.max(1000, Math.round(durationMs / 1000) * 1000));
