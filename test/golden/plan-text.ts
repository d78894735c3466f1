import { type DumpFileName, isPart, parseFileName } from '../../src/discovery/file-name.ts';
import type { FileDecision, RunDecision, RunId, Selection } from '../../src/discovery/source.ts';

/** Up to here every file has a line of its own. */
const COMPLETE_LIST = 60;

/**
 * A run's decisions as text that a reader can hold against the document: counts, each type's verdicts, and the files;
 * of large runs only those that are not skipped, numbered series by their first and last.
 */
export function planText(decision: RunDecision, run: RunId, selection: Selection): string {
  const { files, notices, refused, isFinished } = decision;
  const bytes = (list: readonly FileDecision[]): number =>
    list.reduce((sum, file) => sum + (file.sizeBytes ?? 0), 0);
  const count = (action: FileDecision['action']): string => {
    const list = files.filter((file) => file.action === action);
    return `${action} ${list.length} files, ${bytes(list)} bytes`;
  };
  const isLarge = files.length > COMPLETE_LIST;
  return [
    `run: ${run.wikiDbName} ${run.runDate}, ${isFinished ? 'finished' : 'not finished'}`,
    `regular types: ${selection.regularTypes.join(' ')}`,
    `history types: ${selection.historyTypes.join(' ')}${selection.includesHistory ? '' : ' (not in this cycle)'}`,
    `policy: ${selection.splitFiles}, history as ${selection.historyFormat}`,
    '',
    `listed: ${files.length} files, ${bytes(files)} bytes`,
    ...(['take', 'wait', 'skip'] as const).map(count),
    '',
    'types:',
    ...grouped(files, (file) => `  ${file.dumpType ?? '(none)'}: ${file.action}: ${file.reason}`).map(
      ([line, list]) => `${line}: ${list.length} files, ${bytes(list)} bytes`,
    ),
    '',
    'notices:',
    ...listOf(notices.map((notice) => `  ${notice.dumpType}: ${notice.reason}`)),
    'refused:',
    ...listOf(refused.map((each) => `  ${each.filename}: ${each.reason}`)),
    '',
    ...(isLarge ? seriesOf(files, run) : files.map(fileLine)),
    '',
  ].join('\n');
}

const listOf = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? ['  none'] : lines);

function grouped(
  files: readonly FileDecision[],
  keyOf: (file: FileDecision) => string,
): [string, FileDecision[]][] {
  const groups = new Map<string, FileDecision[]>();
  for (const file of files) groups.set(keyOf(file), [...(groups.get(keyOf(file)) ?? []), file]);
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}

function fileLine(file: FileDecision): string {
  const hashes =
    file.action === 'take' ? ` [${Object.keys(file.file.hashes).sort().join(' ') || 'no hash'}]` : '';
  const history = file.action === 'take' && file.file.isHistory ? ' history' : '';
  return `${file.action} ${file.filename} ${file.sizeBytes ?? '?'}${history}${hashes}: ${file.reason}`;
}

function seriesOf(files: readonly FileDecision[], run: RunId): string[] {
  const named = files.flatMap((file) => {
    const name = parseFileName(file.filename, run.wikiDbName);
    return name === null || file.action === 'skip' ? [] : [{ file, name }];
  });
  const nameOf = new Map(named.map(({ file, name }) => [file, name]));
  const keyOf = (file: FileDecision): string => {
    const { baseName, packing } = nameOf.get(file) as DumpFileName;
    const form = isPart(nameOf.get(file) as DumpFileName) ? 'part' : 'whole';
    return `${baseName} ${form} ${packing} ${file.action}`;
  };
  return grouped(
    named.map(({ file }) => file),
    keyOf,
  ).flatMap(([, list]) => {
    const sorted = [...list].sort((a, b) => place(nameOf.get(a)) - place(nameOf.get(b)));
    const [first, last] = [sorted[0] as FileDecision, sorted.at(-1) as FileDecision];
    if (sorted.length === 1) return [fileLine(first)];
    return [fileLine(first), `  … ${sorted.length} files, to`, fileLine(last)];
  });
}

/** Parts by number, then by page. */
function place(name: DumpFileName | undefined): number {
  return (name?.part ?? 0) * 1e12 + Number(name?.range?.first ?? 0);
}
