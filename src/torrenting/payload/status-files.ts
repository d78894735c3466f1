import type { DumpRun, TorrentGap } from '../../catalog/index.ts';
import { runStatusOf } from '../gaps.ts';
import { byPlace, placeKey, type Selection } from '../selection.ts';
import { torrentName } from '../which-torrent.ts';
import type { ContentFile } from './content.ts';
import { header, lines, narrowness, stableJson } from './header.ts';
import { HASH_NAMES, provedBy } from './proof.ts';

const STATE_WORDS = {
  included: 'in this torrent, proved',
  not_included: 'it was fetched and proved, but is not in this torrent',
  failed_upstream: 'Wikimedia itself failed to make it, made it only in part, or took it back',
  missing: 'Wikimedia listed it, but it was not fetched before the torrent was made',
  quarantined: 'it was fetched, but its bytes never matched the published hash or size',
  not_offered: 'the run does not offer this kind of file',
  not_finished: 'the run was not finished with this kind of file when the torrent was made',
} as const;

/**
 * What is inside, what is not, and why: STATUS.json and STATUS.txt. All of it is kept with the torrent, so that it can be
 * written again.
 * @param gaps in their order
 */
export function statusFiles(
  selection: Selection,
  files: readonly ContentFile[],
  gaps: readonly TorrentGap[],
): Record<string, string> {
  const ofFiles = gaps.flatMap((gap) => (gap.filename === null ? [] : [{ ...gap, filename: gap.filename }]));
  const ofTypes = gaps.filter(({ filename }) => filename === null);
  const notOffered = ofTypes.filter(({ state }) => state === 'not_offered');
  const failedUpstream = ofTypes.filter(({ state }) => state === 'failed_upstream');
  const notFinished = ofTypes.filter(({ state }) => state === 'missing');
  const count = (state: TorrentGap['state']): number => ofFiles.filter((gap) => gap.state === state).length;
  const summary = {
    included: files.length,
    not_included: count('not_included'),
    failed_upstream: count('failed_upstream') + failedUpstream.length,
    missing: count('missing'),
    quarantined: count('quarantined'),
    not_offered: notOffered.length,
    not_finished: notFinished.length,
  };
  const runs = runsOf(files, gaps);
  const typeFacts = ({ wikiDbName: wiki, source, runDate, dumpType, reason }: TorrentGap) => ({
    ...{ wiki, source, runDate, dumpType, reason },
  });
  const json = stableJson({
    cycleDate: selection.cycleDate,
    torrent: selection.name,
    variant: selection.variant,
    supplement: selection.supplement,
    supplements: selection.supplements,
    ...(selection.payloadVersion === '1.3'
      ? { grouping: selection.grouping, scope: selection.scope, part: selection.part }
      : {}),
    states: STATE_WORDS,
    summary,
    files: [
      ...files.map((file) => ({
        ...placeFacts(file.dump),
        project: file.dump.project,
        language: file.dump.language,
        ...{ path: file.path, state: 'included', reason: proof(file) },
      })),
      ...ofFiles.map(({ state, reason, ...gap }) => ({ ...placeFacts(gap), path: null, state, reason })),
    ],
    failedUpstream: failedUpstream.map(typeFacts),
    notOffered: notOffered.map(typeFacts),
    notFinished: notFinished.map(typeFacts),
    runs: runs.map(({ wikiDbName: wiki, source, runDate, status }) => ({ wiki, source, runDate, status })),
  });
  const typeLine = (word: string) => (gap: TorrentGap) =>
    `${word.padEnd(16)} ${gap.wikiDbName} ${gap.runDate} (${gap.source}) ${gap.dumpType}: ${gap.reason}`;
  const text = lines(
    header('Status', selection),
    '',
    Object.entries(summary).map(
      ([state, number]) =>
        `${state.padEnd(16)} ${number}  (${STATE_WORDS[state as keyof typeof STATE_WORDS]})`,
    ),
    '',
    ...(selection.supplement === 0
      ? []
      : ['This torrent supplements:', ...selection.supplements, 'What those carry is not listed here.', '']),
    ...narrownessNote(selection),
    'Files in this torrent:',
    files.map(
      (file) => `${'included'.padEnd(16)} ${file.dump.wikiDbName} ${file.dump.filename}: ${proof(file)}`,
    ),
    '',
    'Expected files that are not in it:',
    orNone(ofFiles.map((gap) => `${gap.state.padEnd(16)} ${gap.wikiDbName} ${gap.filename}: ${gap.reason}`)),
    '',
    'Kinds of files that Wikimedia failed to make, or made only in part:',
    orNone(failedUpstream.map(typeLine('failed_upstream'))),
    '',
    'Kinds of files that a run does not offer (* stands for the whole run):',
    orNone(notOffered.map(typeLine('not_offered'))),
    '',
    'Kinds of files that were not finished (* stands for the whole run):',
    orNone(notFinished.map(typeLine('not_finished'))),
    '',
    'Runs that were not there, or not finished, when this torrent was made:',
    orNone(
      runs
        .filter((run) => run.status !== 'finished')
        .map((run) => `${run.status.padEnd(16)} ${run.wikiDbName} ${run.runDate} (${run.source})`),
    ),
  );
  return { 'STATUS.json': json, 'STATUS.txt': text };
}

/** Of what else there is, nothing is listed. */
function narrownessNote(selection: Selection): string[] {
  const words = narrowness(selection);
  if (words.length === 0) return [];
  const base = torrentName({ ...selection, part: 0 });
  return [
    ...words.map((line) => `${line}.`),
    ...(selection.part === 0
      ? []
      : [`The parts are ${base}-part-1, ${base}-part-2 and so on; each lists its own files alone.`]),
    '',
  ];
}

/** Runs of which it carries or lacks something. */
function runsOf(
  files: readonly ContentFile[],
  gaps: readonly TorrentGap[],
): Pick<DumpRun, 'wikiDbName' | 'source' | 'runDate' | 'status'>[] {
  const runs = new Map<
    string,
    { run: Pick<DumpRun, 'wikiDbName' | 'source' | 'runDate'>; gaps: TorrentGap[] }
  >();
  const entry = ({ wikiDbName, source, runDate }: Pick<DumpRun, 'wikiDbName' | 'source' | 'runDate'>) => {
    const run = { wikiDbName, source, runDate };
    const found = runs.get(placeKey(run)) ?? { run, gaps: [] };
    runs.set(placeKey(run), found);
    return found;
  };
  for (const { dump } of files) entry(dump);
  for (const gap of gaps) entry(gap).gaps.push(gap);
  return [...runs.values()]
    .map(({ run, gaps: ofRun }) => ({ ...run, status: runStatusOf(ofRun) }))
    .sort(byPlace);
}

function placeFacts(file: {
  wikiDbName: string;
  source: string;
  runDate: string;
  dumpType: string;
  filename: string;
  sizeBytes: number | null;
}) {
  const { wikiDbName: wiki, source, runDate, dumpType, filename, sizeBytes } = file;
  return { wiki, source, runDate, dumpType, filename, sizeBytes };
}

function orNone(list: readonly string[]): readonly string[] {
  return list.length === 0 ? ['(none)'] : list;
}

function proof({ dump, unpacked }: ContentFile): string {
  const algorithm = provedBy(dump);
  if (unpacked !== undefined)
    return algorithm === null
      ? 'here unpacked; of the packed file, Wikimedia published no hash'
      : `here unpacked; the packed file matches the ${HASH_NAMES[algorithm]} that Wikimedia published`;
  return algorithm === null
    ? 'unverified upstream: Wikimedia published no hash; size and compressed structure were checked'
    : `matches the ${HASH_NAMES[algorithm]} that Wikimedia published`;
}
