import type { DumpFile } from '../../catalog/index.ts';
import type { Selection } from '../selection.ts';
import type { ContentFile, LeftOutFile } from './content.ts';
import { header, lines, stableJson } from './header.ts';

/** How an expected file ended in a torrent. */
type FileState = 'included' | 'not_included' | 'failed_upstream' | 'missing' | 'quarantined';

const STATE_WORDS: Record<FileState | 'not_offered', string> = {
  included: 'in this torrent, proved',
  not_included: 'it was fetched and proved, but has no safe place in a torrent',
  failed_upstream: 'Wikimedia itself failed to make it',
  missing: 'Wikimedia listed it, but it was not fetched before the cycle ended',
  quarantined: 'it was fetched, but its bytes never matched the published hash or size',
  not_offered: 'the run does not offer this kind of file',
};

/** STATUS.json and STATUS.txt as payload 1.0 has them, for torrents that were made so; never changed again. */
export function firstStatusFiles(
  selection: Selection,
  files: readonly ContentFile[],
  leftOut: readonly LeftOutFile[],
): Record<string, string> {
  const { notices, runs } = selection.firstForm ?? { notices: [], runs: [] };
  const rows = [
    ...files.map(({ dump, path }) => ({ dump, path, state: 'included' as const, reason: proof(dump) })),
    ...leftOut.map(({ dump, reason }) => ({
      dump,
      path: null,
      state: 'not_included' as const,
      reason: `not included: ${reason}`,
    })),
    ...selection.absent.map((dump) => ({ dump, path: null, ...whyAbsent(dump) })),
  ];
  const count = (state: FileState): number => rows.filter((row) => row.state === state).length;
  const summary = {
    included: count('included'),
    not_included: count('not_included'),
    failed_upstream: count('failed_upstream'),
    missing: count('missing'),
    quarantined: count('quarantined'),
    not_offered: notices.length,
  };
  const json = stableJson({
    cycleDate: selection.cycleDate,
    torrent: selection.name,
    variant: selection.variant,
    states: STATE_WORDS,
    summary,
    files: rows.map(({ dump, path, state, reason }) => ({
      wiki: dump.wikiDbName,
      project: dump.project,
      language: dump.language,
      runDate: dump.runDate,
      dumpType: dump.dumpType,
      filename: dump.filename,
      sizeBytes: dump.sizeBytes,
      path,
      state,
      reason,
    })),
    notOffered: notices.map((notice) => ({
      wiki: notice.wikiDbName,
      project: notice.project,
      language: notice.language,
      runDate: notice.runDate,
      dumpType: notice.dumpType,
      reason: notice.reason,
    })),
    runs: runs.map((run) => ({
      wiki: run.wikiDbName,
      source: run.source,
      runDate: run.runDate,
      status: run.status,
    })),
  });
  const text = lines(
    header('Status', selection),
    '',
    Object.entries(summary).map(
      ([state, number]) => `${state.padEnd(16)} ${number}  (${STATE_WORDS[state as FileState]})`,
    ),
    '',
    'Expected files:',
    rows.map(
      ({ dump, state, reason }) => `${state.padEnd(16)} ${dump.wikiDbName} ${dump.filename}: ${reason}`,
    ),
    '',
    'Kinds of files that a run does not offer:',
    orNone(
      notices.map(
        (n) => `${'not_offered'.padEnd(16)} ${n.wikiDbName} ${n.runDate} ${n.dumpType}: ${n.reason}`,
      ),
    ),
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

function orNone(list: readonly string[]): readonly string[] {
  return list.length === 0 ? ['(none)'] : list;
}

function proof(dump: DumpFile): string {
  switch (dump.verification) {
    case 'sha1':
      return 'matches the SHA-1 that Wikimedia published';
    case 'md5':
      return 'matches the MD5 that Wikimedia published';
    case 'sha256-upstream':
      return 'matches the SHA-256 that Wikimedia published';
    default:
      return 'Wikimedia published no hash; size and compressed structure were checked';
  }
}

/**
 * Our own words for each state: error texts name mirrors and hosts, and one operator has given up where another still
 * tries; neither may give two holders of the same files two infohashes.
 */
function whyAbsent(dump: DumpFile): { state: FileState; reason: string } {
  if (dump.ourStatus === 'quarantined') {
    return {
      state: 'quarantined',
      reason: 'it was fetched, but its bytes never matched what Wikimedia published',
    };
  }
  if (dump.wikimediaStatus === 'failed') {
    return { state: 'failed_upstream', reason: 'Wikimedia reports that making this file failed' };
  }
  return { state: 'missing', reason: 'not settled, or could not be fetched, before the cycle ended' };
}
