import {
  containerOf,
  type DumpFile,
  type DumpRun,
  type NoticeKind,
  type Replacement,
  type TorrentGap,
} from '../catalog/index.ts';
import { noticesOf, withoutHosts } from './belonging.ts';
import { byBytes } from './byte-order.ts';

const NOT_FINISHED = 'not finished upstream by the deadline';
const PUBLISHED_ANEW = 'upstream published it anew after it was taken';
const EARLIER_BYTES = 'carries the earlier bytes, proved against the hashes published then';

type RunOfGap = Pick<DumpRun, 'wikiDbName' | 'source' | 'runDate'>;

/** In the order in which a torrent's texts tell them. */
export function sortGaps(gaps: readonly TorrentGap[]): TorrentGap[] {
  const keyOf = (gap: TorrentGap): string =>
    [gap.wikiDbName, gap.runDate, gap.source, gap.filename ?? '', gap.dumpType, gap.state, gap.reason].join(
      '\n',
    );
  return [...gaps].sort((a, b) => byBytes(keyOf(a), keyOf(b)));
}

/** A file that a torrent does not carry. */
export function fileGap(
  file: DumpFile,
  state: TorrentGap['state'],
  reason: string,
  sizeBytes = file.sizeBytes,
): TorrentGap {
  const { wikiDbName, source, runDate, dumpType, filename } = file;
  return { wikiDbName, source, runDate, dumpType, filename, sizeBytes, state, reason };
}

/** The newer bytes of a file whose older ones are carried; `carrier` is the torrent that does. */
export function newerBytesGap(
  file: DumpFile,
  newer: Replacement & { kind: 'replaced' },
  carrier: string,
): TorrentGap {
  return fileGap(file, 'not_included', `${PUBLISHED_ANEW}; ${carrier} ${EARLIER_BYTES}`, newer.sizeBytes);
}

/** A file whose bytes are here, but are not what upstream stands for any more. */
export function withdrawnGap(file: DumpFile): TorrentGap {
  return fileGap(file, 'failed_upstream', 'upstream withdrew it in a rerun');
}

const NOTHING_TO_CHECK =
  'Wikimedia listed it without any hash, and it is not packed in a way that could be checked';

/** A file that is held, and of which nothing is proved. */
export function unverifiedGap(file: DumpFile): TorrentGap {
  return fileGap(file, 'missing', NOTHING_TO_CHECK);
}

/** A file whose stored copy rotted, and of which nobody had the right bytes for as long as the torrent waited. */
export function damagedGap(file: DumpFile): TorrentGap {
  return fileGap(
    file,
    'missing',
    'its stored copy was damaged, and the right bytes could not be had before the torrent was made',
  );
}

/**
 * Why an expected file is not here. What an operator met on the way (hosts, bytes, the number of tries) is no fact about the
 * dump and would split the swarm of those who hold the same files, so only what upstream did is told in its own words.
 */
export function absentGap(file: DumpFile): TorrentGap {
  if (file.ourStatus === 'quarantined')
    return fileGap(
      file,
      'quarantined',
      'it was fetched, but its bytes never matched what Wikimedia published',
    );
  if (file.wikimediaStatus === 'failed')
    return fileGap(file, 'failed_upstream', 'Wikimedia reports that making this file failed');
  if (file.ourStatus === 'deleted')
    return fileGap(file, 'missing', 'it was removed before the torrent was made');
  if (file.ourStatus === 'failed') return fileGap(file, 'missing', whyFailed(file.errorMessage));
  const hasHash = [file.upstreamMd5, file.upstreamSha1, file.upstreamSha256].some((hash) => hash !== null);
  if (!hasHash && containerOf(file.filename) === null) return unverifiedGap(file);
  return fileGap(
    file,
    'missing',
    hasHash
      ? 'Wikimedia listed it, but it was not fetched by the deadline'
      : 'Wikimedia listed it without any hash, and it was not fetched by the deadline',
  );
}

/** What upstream did; every other word of an error, such as how many mirrors were asked, is the operator's own. */
function whyFailed(message: string | null): string {
  // `<host> has no <path>`, as the http port tells a 404: the origin or any mirror, one or all of them, it comes to the same.
  const isGone = message !== null && / has no \/|\b404\b|^none of \d+ sources has /.test(message);
  if (isGone) return 'Wikimedia listed it, but has it no more';
  return message?.startsWith('upstream ') ? withoutHosts(message) : 'it could not be fetched';
}

const STATE_OF_KIND: Readonly<Record<NoticeKind, TorrentGap['state']>> = {
  failed: 'failed_upstream',
  lacking: 'failed_upstream',
  refused: 'failed_upstream',
  waiting: 'missing',
  skipped: 'not_offered',
  not_offered: 'not_offered',
};

/**
 * What a run does not give as a whole: types that failed or that it does not offer, itself when there is none, and when it is not finished each
 * wanted type of which there is nothing yet.
 * @param options.ofNotice whether the torrent tells of that dump type
 * @param options.wanted the dump types that the torrent should have of this run
 * @param options.known the dump types of the run's files in the catalog, here or not
 */
export function runGaps(
  run: DumpRun,
  options: { ofNotice: (dumpType: string) => boolean; wanted: readonly string[]; known: ReadonlySet<string> },
): TorrentGap[] {
  const isOpen = run.status === 'in_progress';
  const stateOfRun = isOpen ? 'missing' : 'not_offered';
  const gaps = noticesOf(run)
    .filter(({ dumpType }) => dumpType === '*' || options.ofNotice(dumpType))
    .map(({ dumpType, reason, kind }) =>
      typeGap(run, dumpType, dumpType === '*' ? stateOfRun : STATE_OF_KIND[kind], reason),
    );
  const isSaid = (dumpType: string): boolean => gaps.some((gap) => gap.dumpType === dumpType);
  if (isSaid('*')) return gaps;
  if (run.status === 'absent')
    return [...gaps, typeGap(run, '*', 'not_offered', gaps[0]?.reason ?? 'upstream has no such run')];
  if (!isOpen) return gaps;
  const lacking = options.wanted.filter((dumpType) => !isSaid(dumpType) && !options.known.has(dumpType));
  return lacking.length > 0
    ? [...gaps, ...lacking.map((dumpType) => typeGap(run, dumpType, 'missing', NOT_FINISHED))]
    : [...gaps, typeGap(run, '*', 'missing', `${NOT_FINISHED}; more of its files may have followed`)];
}

function typeGap(run: RunOfGap, dumpType: string, state: TorrentGap['state'], reason: string): TorrentGap {
  const { wikiDbName, source, runDate } = run;
  return { wikiDbName, source, runDate, dumpType, filename: null, sizeBytes: null, state, reason };
}

/**
 * How a run stood, told from the gaps alone: they are kept with a torrent, and nothing else is.
 * @param gaps those of the run
 */
export function runStatusOf(gaps: readonly TorrentGap[]): DumpRun['status'] {
  const ofTypes = gaps.filter(({ filename }) => filename === null);
  if (ofTypes.some(({ state }) => state === 'missing')) return 'in_progress';
  return ofTypes.some(({ dumpType }) => dumpType === '*') ? 'absent' : 'finished';
}
