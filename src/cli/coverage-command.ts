import { UsageError } from '../lib/index.ts';
import {
  ageInDays,
  type Coverage,
  type CoverageRow,
  coverageCsv,
  createCoverageQueries,
  percentCovered,
  placeWords,
  stateOf,
} from '../monitoring/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand, openForReading } from './load.ts';
import { formatTable } from './table.ts';
import { roomForJudging } from './wikis-command.ts';
import { counted } from './words.ts';

/** `coverage`: of every project and language the newest verified copy, where it is and how old. */
export async function coverageCommand(
  io: CliIo,
  options: { config?: string; project?: string; missing?: boolean; csv?: boolean; json?: boolean },
): Promise<number> {
  if (options.csv === true && options.json === true)
    throw new UsageError('--csv and --json do not go together');
  const { config } = loadForCommand(io, options.config);
  const db = openForReading(config.wikiseed.dataDir);
  try {
    const clock = createSystemClock();
    const { judgeWiki } = roomForJudging(config, db);
    const coverage = createCoverageQueries({ db, clock, judgeWiki }).coverage();
    const { project } = options;
    if (project !== undefined && !coverage.projects.some((each) => each.project === project))
      throw new UsageError(
        `no wiki belongs to the project ${project}`,
        `We know ${coverage.projects.map((each) => each.project).join(', ') || 'none yet'}.`,
      );
    const rows = coverage.rows.filter(
      (row) =>
        (project === undefined || row.project === project) &&
        (options.missing !== true || stateOf(row) === 'missing'),
    );
    const now = clock.now();
    if (options.csv === true) io.out.write(coverageCsv(rows, now));
    else if (options.json === true) printJson(io, toJson(coverage, rows, now));
    else printCoverage(io, coverage, rows, { now, project, isMissingOnly: options.missing === true });
    return EXIT.ok;
  } finally {
    db.close();
  }
}

function toJson(coverage: Coverage, rows: readonly CoverageRow[], now: number): unknown {
  const { totals, projects } = coverage;
  return {
    at: new Date(coverage.at).toISOString(),
    totals: { ...totals, percent: percentCovered(totals) },
    projects: projects.map((each) => ({ ...each, percent: percentCovered(each) })),
    wikis: rows.map((row) => ({
      wiki: row.wikiDbName,
      project: row.project,
      language: row.language,
      state: stateOf(row),
      reason: row.reason,
      copy: row.copy === null ? null : { ...row.copy, ageDays: ageInDays(row.copy.cycleDate, now) },
    })),
  };
}

function printCoverage(
  io: CliIo,
  coverage: Coverage,
  rows: readonly CoverageRow[],
  asked: { now: number; project: string | undefined; isMissingOnly: boolean },
): void {
  const width = io.out.isTTY === true ? { width: io.out.columns ?? 80 } : {};
  const { now, project } = asked;
  const totals = coverage.projects.find((each) => each.project === project) ?? coverage.totals;
  const percent = percentCovered(totals);
  if (coverage.rows.length === 0)
    return void io.out.write('No wiki is known yet: the first look at the site matrix names them.\n');
  const cells = rows.map((row) => [
    stateOf(row).replaceAll('_', ' '),
    row.project,
    row.language,
    row.wikiDbName,
    row.copy?.cycleDate ?? '-',
    row.copy === null ? '-' : `${ageInDays(row.copy.cycleDate, now)} d`,
    row.copy === null ? (row.reason ?? 'no verified copy') : whereOf(row),
  ]);
  const heads = ['state', 'project', 'language', 'wiki', 'newest copy', 'age', 'where'];
  // Without a wiki that counts the last line says so; nothing being missing would sound as if all were well.
  if (cells.length > 0)
    io.out.write(`${formatTable(cells, { heads, numbers: [5], flexible: [6], ...width })}\n`);
  else if (!asked.isMissingOnly) io.out.write('No wiki matches.\n');
  else if (percent !== null) io.out.write('Nothing is missing.\n');
  const projects = (project === undefined ? coverage.projects : [])
    .filter(({ counted: all }) => all > 0)
    .map((each) => [each.project, `${each.covered}/${each.counted}`, `${percentCovered(each) ?? '-'} %`]);
  if (projects.length > 1)
    io.out.write(`\n${formatTable(projects, { heads: ['project', 'covered', ''], numbers: [1, 2] })}\n`);
  const of = project === undefined ? '' : ` of the project ${project}`;
  io.out.write(
    percent === null
      ? `\nNothing is to be covered yet: no wiki${of} that is taken was seen among the dumps.\n`
      : `\n${totals.covered} of ${counted(totals.counted, 'wiki')}${of} that are taken and that upstream dumps have a verified copy: ${percent} %\n`,
  );
}

const whereOf = ({ copy, reason }: CoverageRow): string =>
  [copy === null ? '' : placeWords(copy), ...(reason === null ? [] : [`not counted: ${reason}`])].join('; ');
