import type { PlanRow } from '../discovery/index.ts';
import type { CliIo } from './io.ts';
import { formatTable } from './table.ts';
import { counted } from './words.ts';

/** Reasons of our own choice on the screen; gaps are never cut, and `--all` and `--json` have every file. */
const CHOSEN_MAX = 10;

/** The words of what upstream gives but the configuration leaves out. */
const NOT_CONFIGURED = /^(?:its type \(.*\)|\S+) is not configured$/;

/**
 * What is left out because we want it so, or because something better is taken: see `classify-files.ts`, `choose-form.ts`
 * and `content-export.ts` of discovery. Words that are not among these count as a gap, so that none is hidden.
 */
const CHOSEN: readonly RegExp[] = [
  /^history is not taken in this cycle$/,
  /^\S+ is only taken in cycles with history$/,
  /^a temporary file of upstream /,
  /^a link of upstream to its latest run$/,
  /^its name is /,
  /^(?:7z|bz2) is preferred$/,
  /^parts are not needed: the whole file is taken$/,
  /^the whole file is not needed: its parts are taken$/,
  /^it (?:came later|may come too late): /,
  /^small-wiki mode: /,
  /^excluded /,
  /^not included by /,
];

const NOT_OFFERED: readonly RegExp[] = [/^not offered by /, /^skipped by upstream /, /^upstream makes no /];

/** What is lost stands before what may come, and that before what was never offered. */
const RANKS = ['lost', 'waiting', 'not offered', 'chosen', 'not configured'] as const;
type Rank = (typeof RANKS)[number];

function rankOf({ action, reason }: PlanRow): Rank {
  if (NOT_CONFIGURED.test(reason)) return 'not configured';
  if (action === 'wait') return 'waiting';
  if (CHOSEN.some((words) => words.test(reason))) return 'chosen';
  return NOT_OFFERED.some((words) => words.test(reason)) ? 'not offered' : 'lost';
}

/** Why what is not fetched is not, in groups: gaps first, all of them; then what was chosen so; one line for what is not configured. */
export function printReasons(io: CliIo, rows: readonly PlanRow[], width: number | undefined): void {
  const left = rows.filter((row) => row.action === 'wait' || row.action === 'skip');
  if (left.length === 0) return;
  const ranked = Map.groupBy(left, rankOf);
  const gaps = RANKS.slice(0, 3).flatMap((rank) => linesOf(ranked.get(rank) ?? []));
  const chosen = linesOf(ranked.get('chosen') ?? []);
  const shown = [...gaps, ...chosen.slice(0, CHOSEN_MAX)];
  io.out.write('\nNot downloaded now:\n');
  if (shown.length > 0) {
    const heads = ['action', 'dump type', 'wikis', 'files', 'reason'];
    const limit = width === undefined ? {} : { width };
    io.out.write(`${formatTable(shown, { heads, numbers: [2, 3], flexible: [4], ...limit })}\n`);
  }
  const more = chosen.length - CHOSEN_MAX;
  if (more > 0) io.out.write(`and ${counted(more, 'more reason')} by choice\n`);
  const unwanted = ranked.get('not configured') ?? [];
  if (unwanted.length > 0) {
    const types = new Set(unwanted.map(({ dumpType }) => dumpType)).size;
    const are = types === 1 ? 'dump type that is' : 'dump types that are';
    io.out.write(
      `${types} ${are} not configured: ${counted(wikisIn(unwanted), 'wiki')}, ${counted(filesIn(unwanted), 'file')}\n`,
    );
  }
  io.out.write('--all lists every file\n');
}

/** One line for each action, dump type and reason; the most wikis first, then the most files. */
function linesOf(rows: readonly PlanRow[]): string[][] {
  const groups = Map.groupBy(rows, (row) => [row.action, row.dumpType ?? '', wordsOf(row)].join('\t'));
  return [...groups.values()]
    .map((group) => ({ group, wikis: wikisIn(group), files: filesIn(group) }))
    .sort((a, b) => b.wikis - a.wikis || b.files - a.files)
    .flatMap(({ group: [first], wikis, files }) =>
      first === undefined
        ? []
        : [[first.action, typeOf(first.dumpType), String(wikis), String(files), wordsOf(first)]],
    );
}

/** A reason that may name its file, so that a thousand files with one reason are one line. */
function wordsOf({ filename, wikiDbName, reason }: PlanRow): string {
  if (filename === null) return reason;
  return reason.replaceAll(filename, '<file>').replaceAll(wikiDbName, '<wiki>');
}

const wikisIn = (rows: readonly PlanRow[]): number => new Set(rows.map(({ wikiDbName }) => wikiDbName)).size;
const filesIn = (rows: readonly PlanRow[]): number => rows.filter(({ filename }) => filename !== null).length;

/** A dump type in words. */
export const typeOf = (dumpType: string | null): string =>
  dumpType === '*' ? 'the whole run' : (dumpType ?? 'of no known type');
