import {
  type Catalog,
  containerOf,
  type DumpFile,
  type ExpectedFile,
  HELD_STATUSES,
  isUnverified,
  type RunNotice,
  type SourceName,
} from '../catalog/index.ts';
import type { FileDecision } from './source.ts';

/** download: fetched as soon as there is room; held: verified and on our disk; wait: may be fetched later; skip: is not taken. */
export type PlanAction = 'download' | 'held' | 'wait' | 'skip';

/** What becomes of one file of a run, or of a dump type that it does not give. */
export interface PlanRow {
  wikiDbName: string;
  source: SourceName;
  /** As upstream writes it. */
  runDate: string;
  /** `*`: the whole run; null: a file of no dump type that we know. */
  dumpType: string | null;
  /** null, as are size and address: the dump type, or the run, as a whole. */
  filename: string | null;
  sizeBytes: number | null;
  url: string | null;
  action: PlanAction;
  reason: string;
}

/** Facts of the cycle that decide about each file. */
export interface Terms {
  isOpen: boolean;
  takesFiles: boolean;
  mayGoWithoutHash: boolean;
}

/** A row without its run. */
export type RowFacts = Omit<PlanRow, 'wikiDbName' | 'source' | 'runDate'>;

/** The decision about a file of a run that is refused as a whole. */
export function refuse(file: FileDecision, refusal: { reason: string; isFinal: boolean }): FileDecision {
  const { filename, dumpType, sizeBytes, url } = file;
  const action = refusal.isFinal ? 'skip' : 'wait';
  return { filename, dumpType, sizeBytes, url, action, reason: refusal.reason };
}

/** What a decision about a listed file comes to, with what we have of it. */
export function planDecided(
  decision: FileDecision,
  row: DumpFile | undefined,
  terms: Terms,
  catalog: Pick<Catalog, 'replacement'>,
): RowFacts {
  const facts = { dumpType: decision.dumpType, sizeBytes: decision.sizeBytes, url: decision.url };
  if (decision.action === 'take') {
    const { file } = decision;
    const taken = {
      dumpType: file.dumpType,
      sizeBytes: file.sizeBytes,
      url: file.wikimediaUrl,
      hashes: file.hashes,
    };
    return planFile(decision.filename, row, taken, decision.reason, terms, catalog);
  }
  // Bytes that we hold stay, whatever is configured by now.
  if (row !== undefined && isHeld(row))
    return terms.isOpen && catalog.replacement(row.id)?.kind === 'replaced'
      ? planFile(decision.filename, row, factsOfRow(row), '', terms, catalog)
      : planUnwanted(row, decision.reason, catalog);
  return { ...facts, filename: decision.filename, action: decision.action, reason: decision.reason };
}

interface TakenFacts {
  dumpType: string;
  sizeBytes: number;
  url: string;
  hashes: ExpectedFile['hashes'];
}

/** A file that belongs to the expected set. */
export function planFile(
  filename: string,
  row: DumpFile | undefined,
  taken: TakenFacts,
  why: string,
  terms: Terms,
  catalog: Pick<Catalog, 'replacement'>,
): RowFacts {
  const { hashes, ...facts } = taken;
  const as = (action: PlanAction, reason: string): RowFacts => ({ ...facts, filename, action, reason });
  if (row !== undefined && isHeld(row)) {
    const news = catalog.replacement(row.id);
    if (news?.kind === 'replaced' && terms.isOpen)
      return { ...as('download', 'upstream published it anew'), sizeBytes: news.sizeBytes };
    return planUnwanted(row, '', catalog);
  }
  if (row?.ourStatus === 'deleted') return as('skip', 'it was held, and pruned');
  if (!terms.takesFiles && row?.downloadedAt == null)
    return as('skip', row?.errorMessage ?? 'the cycle takes no late files any more');
  // The description may lack what the lists of hashes said at the last look.
  const known = row === undefined ? [] : [row.upstreamMd5, row.upstreamSha1, row.upstreamSha256];
  const hasHash = [...Object.values(hashes), ...known].some((hash) => hash != null);
  if (!hasHash && containerOf(filename) === null)
    return as(
      'wait',
      'unverified: upstream has published no hash for it, and it is not packed in a way that could be checked',
    );
  if (!hasHash && !terms.mayGoWithoutHash)
    return as(
      'wait',
      'upstream has published no hash for it yet; shortly before the deadline it is taken without',
    );
  if (row?.ourStatus === 'failed' || row?.ourStatus === 'quarantined')
    return as('wait', `asked for again at a later look; last time: ${row.errorMessage ?? row.ourStatus}`);
  if (row?.ourStatus === 'downloading') return as('download', 'a download is under way');
  return as('download', why === '' ? 'expected' : why);
}

/** A row of ours that no decision takes any more, or that is held: bytes that we hold stay. */
export function planUnwanted(row: DumpFile, reason: string, catalog: Pick<Catalog, 'replacement'>): RowFacts {
  const { dumpType, filename, sizeBytes, wikimediaUrl: url } = row;
  const facts = { dumpType, filename, sizeBytes, url };
  if (!isHeld(row)) return { ...facts, action: 'skip', reason: row.errorMessage ?? reason };
  const news = catalog.replacement(row.id);
  const notes = [
    isUnverified(row) ? 'unverified: no hash and no structure to check' : `verified by ${proofOf(row)}`,
    ...(news?.kind === 'replaced' ? ['upstream published it anew after the cycle was sealed'] : []),
    ...(news?.kind === 'withdrawn' ? ['upstream does not list it any more'] : []),
    ...(news === null && reason !== '' ? [reason] : []),
  ];
  return { ...facts, action: 'held', reason: notes.join('; ') };
}

const proofOf = ({ verification }: DumpFile): string =>
  verification === 'structure-only' ? 'its structure only' : (verification ?? 'unknown');

/** What was expected of a file, from its row alone. */
export function factsOfRow(row: DumpFile): TakenFacts {
  const { dumpType, sizeBytes, wikimediaUrl, upstreamMd5, upstreamSha1, upstreamSha256 } = row;
  const hashes = {
    ...(upstreamMd5 === null ? {} : { md5: upstreamMd5 }),
    ...(upstreamSha1 === null ? {} : { sha1: upstreamSha1 }),
    ...(upstreamSha256 === null ? {} : { sha256: upstreamSha256 }),
  };
  return { dumpType, sizeBytes, url: wikimediaUrl, hashes };
}

const isHeld = (row: DumpFile): boolean => HELD_STATUSES.includes(row.ourStatus);

/** A dump type as a whole. */
export const wholeType = ({ dumpType, reason }: RunNotice, action: PlanAction): RowFacts => ({
  ...{ dumpType, filename: null, sizeBytes: null, url: null, action, reason },
});

/** A run as a whole. */
export const wholeRun = (action: PlanAction, reason: string): RowFacts =>
  wholeType({ dumpType: '*', reason }, action);
