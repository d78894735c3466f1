import { formatBytes } from '../lib/index.ts';
import { type Finding, type RebuildReport, rebuildDatabase } from '../maintenance/index.ts';
import { createNodeDisk, createSystemClock } from '../ports/index.ts';
import { createLayout } from '../storage/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';
import { showReadingBar } from './reading-bar.ts';
import { plainText } from './table.ts';
import { counted } from './words.ts';

/** What `rebuild` takes. */
export interface RebuildCommandOptions {
  config?: string;
  verify?: boolean;
  json?: boolean;
  ignoreBackups?: boolean;
}

/** `rebuild`: the database again from the data directory. @returns 0 whole, 3 with gaps */
export async function rebuildCommand(io: CliIo, options: RebuildCommandOptions): Promise<number> {
  const { config } = loadForCommand(io, options.config);
  const bar = showReadingBar(io);
  let report: RebuildReport;
  try {
    report = await rebuildDatabase({
      disk: createNodeDisk(),
      layout: createLayout(config.wikiseed.dataDir),
      clock: createSystemClock(),
      signal: io.signal,
      pid: process.pid,
      verify: options.verify === true,
      ignoreBackups: options.ignoreBackups === true,
      onProgress: bar.show,
    });
  } finally {
    bar.stop();
  }
  if (options.json === true) printJson(io, report);
  else printReport(io, report);
  return report.isWhole ? EXIT.ok : EXIT.gaps;
}

/** A list on a screen; the whole is in `--json`. */
const LIST_MAX = 20;

function printReport(io: CliIo, report: RebuildReport): void {
  const line = (text: string): void => void io.out.write(`${plainText(text)}\n`);
  const list = (head: string, items: readonly string[]): void => {
    if (items.length === 0) return;
    line('');
    line(`${head}:`);
    for (const item of items.slice(0, LIST_MAX)) line(`  ${item}`);
    if (items.length > LIST_MAX) line(`  and ${items.length - LIST_MAX} more; --json lists all`);
  };
  const told = (findings: readonly Finding[]): string[] =>
    findings.map(({ what, reason }) => `${what}: ${reason}`);

  line(`The database was rebuilt: ${report.database}`);
  line(`  wikis       ${report.wikis}`);
  line(
    `  cycles      ${report.cycles.map(({ cycleDate, status }) => `${cycleDate} (${status})`).join(', ') || 'none'}`,
  );
  line(`  files held  ${report.filesHeld}, ${formatBytes(report.bytesHeld)}; ${howChecked(report)}`);
  line(`  torrents    ${report.torrents.length}`);
  for (const { name, infoHash } of report.torrents.slice(0, LIST_MAX))
    line(`              ${infoHash}  ${name}`);
  list('Missing, to be fetched again while upstream has them', told(report.missing));
  list(
    'Damaged, moved to dumps/.damaged/ and to be fetched again while upstream has them',
    told(report.damaged),
  );
  list('Could not be used', told(report.problems));
  list('Got their name under dumps/ back from a torrent', report.relinked);
  list('Not recorded as proved; the daemon proves them from disk', report.unproved);
  list('Unknown files, left alone', report.foreign);
  list('Also', report.notes);
  line('');
  line(report.isWhole ? 'Nothing is missing.' : `There are gaps: ${gapsOf(report)}.`);
  line('Next: wikiseed run. It serves the torrents again, and fetches what is missing and still open.');
  line(
    'Jobs, attempts, pauses and statistics of the lost database are gone; the daemon asks for all work anew.',
  );
}

function howChecked(report: RebuildReport): string {
  return report.filesVerified === null
    ? 'sizes were checked, --verify reads them'
    : `${counted(report.filesVerified, 'file')} read and compared by hash`;
}

function gapsOf({ missing, damaged, problems }: RebuildReport): string {
  return [
    ...(missing.length > 0 ? [`${counted(missing.length, 'file')} missing`] : []),
    ...(damaged.length > 0 ? [`${counted(damaged.length, 'file')} damaged`] : []),
    ...(problems.length > 0 ? [`${counted(problems.length, 'finding')} about records and torrents`] : []),
  ].join(', ');
}
