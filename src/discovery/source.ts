import {
  type Cycle,
  type DumpFile,
  type ExpectedFile,
  HELD_STATUSES,
  type RunNotice,
  type SourceName,
  type Wiki,
} from '../catalog/index.ts';
import type { Log } from '../ports/index.ts';
import type { Upstream, Validators } from './upstream.ts';

/** What the operator wants of a run. */
export interface Selection {
  regularTypes: readonly string[];
  historyTypes: readonly string[];
  includesHistory: boolean;
  historyFormat: '7z' | 'bz2' | 'both';
  splitFiles: 'prefer_whole' | 'prefer_parts';
  /** The cycle's deadline is near or over: what is there complete is taken instead of waiting for what is preferred. */
  isUrgent: boolean;
}

/** What we have of a run already, by file name. Whatever was begun is gone on with: nobody needs the same content twice. */
export interface Begun {
  /** Held, held once and pruned, or on its way. */
  taken: ReadonlySet<string>;
  /** Asked for in vain. */
  failed: ReadonlySet<string>;
}

/** Nothing was ever expected of the run. */
export const NOTHING_BEGUN: Begun = { taken: new Set(), failed: new Set() };

/** The same from a run's rows. Pure. */
export function begunOf(rows: Iterable<Pick<DumpFile, 'filename' | 'ourStatus'>>): Begun {
  const taken = new Set<string>();
  const failed = new Set<string>();
  for (const { filename, ourStatus } of rows)
    if (ourStatus === 'failed' || ourStatus === 'quarantined') failed.add(filename);
    else if (ourStatus === 'downloading' || ourStatus === 'deleted' || HELD_STATUSES.includes(ourStatus))
      taken.add(filename);
  return { taken, failed };
}

/** One run of one wiki at one source. `runDate` is written as upstream writes it. */
export interface RunId {
  wikiDbName: string;
  runDate: string;
}

/**
 * take: belongs to the expected set now; wait: may belong to it later, upstream is still at it; skip: is not taken, and
 * the reason says why. `file` is given exactly for `take`.
 */
export type FileDecision = {
  filename: string;
  /** null when the file is of no dump type that we know. */
  dumpType: string | null;
  /** null when upstream names none. */
  sizeBytes: number | null;
  url: string | null;
  reason: string;
} & ({ action: 'take'; file: ExpectedFile } | { action: 'wait' | 'skip' });

/** What becomes of every file that a run lists, and of every configured dump type that it does not give. */
export interface RunDecision {
  /** One for each listed file, in upstream's order. */
  files: FileDecision[];
  /** One for each configured dump type of which nothing is taken or awaited, or of which files are lacking. */
  notices: RunNotice[];
  /** Nothing of the run will change by itself. */
  isFinished: boolean;
  /** A configured type failed or is incomplete: a rerun on the old date may still bring it, although the run is finished. */
  mayChange: boolean;
  /** Names and addresses that are not what they must be; each is also a `skip` among the files. */
  refused: { filename: string; reason: string }[];
}

/**
 * What a look found of one wiki's run.
 * document: its description, as JSON text; unchanged: as it was at the last look; absent: upstream has no such run and will
 * not make it, or has removed it; not_yet: it has not begun, or is not complete; ask: only a single look can tell.
 */
export type Sighting = { wikiDbName: string } & (
  | { kind: 'document'; document: string; validators: Validators | null }
  | { kind: 'unchanged' }
  | { kind: 'absent' | 'not_yet'; reason: string }
  | { kind: 'ask'; isInIndex: boolean | null }
);

/** A look at one cycle. */
export interface Look {
  cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>;
  /** As `DumpSource.runDate` says. */
  runDate: string;
  attempt: number;
  nowMs: number;
  /** How many checksum lists may still be read in this look; counts down. */
  sumsLeft: number;
  /** The cycle is open: what was published anew is fetched anew. */
  isOpen: boolean;
  signal: AbortSignal;
  upstream: Upstream;
  log: Log;
  /** Validators of the document that the last whole scan of this cycle read (`ScanEnd.validators`); null: there was none. */
  scanned: Validators | null;
  /** Told of every listing that was read: the dates (`YYYYMMDD`) of the runs that upstream still has of that wiki. */
  onListing(wikiDbName: string, runDates: readonly string[]): void;
}

/** How a scan ended, after its last sighting. */
export interface ScanEnd {
  /** Of the one document that describes all wikis, when there is one; the next look gives them back as `scanned`. */
  validators: Validators | null;
  /** That document is as it was: its wikis were all told as `unchanged`, or `ask` where a single look is due all the same. */
  isUnchanged: boolean;
  /** Every name that the source lists as dumped, known to us or not; empty when nothing was read. */
  listedNames: readonly string[];
}

/** What is known of a wiki's run from earlier looks. */
export interface KnownRun {
  status: 'absent' | 'in_progress' | 'finished';
  /** Of the run's own document; null when there is none, or it came as part of another one: then that one tells what is new. */
  validators: Validators | null;
  /** Epoch ms of the last look. */
  checkedAt: number;
  /** Epoch ms of the last look that read its description; null: nobody knows, or none did. */
  askedAt?: number | null | undefined;
  /** Whether any look gave a description of it; undefined: nobody knows, which makes sources ask once more. */
  hasDocument?: boolean | undefined;
}

/** A family of dumps at the origin: where its runs are, when they are made, and how they are described. */
export interface DumpSource {
  readonly name: SourceName;
  /** Date of the run that belongs to a cycle, as upstream writes it; null: this source has none for it. Pure. */
  runDate(cycle: Pick<Cycle, 'cycleDate' | 'includesHistory'>): string | null;
  /**
   * Looks at all wikis with as few requests as there can be, and tells of every wanted one exactly once. The sightings
   * come one by one, so that a caller can write each down before the next is read.
   * @param known what is known of a wiki's run at this source and date; null: never looked at
   * @throws RetryableError `torn_index` and others for what the next attempt may read
   */
  scan(
    look: Look,
    wikis: readonly Wiki[],
    known: (wikiDbName: string) => KnownRun | null,
  ): AsyncGenerator<Sighting, ScanEnd, void>;
  /** Looks at one wiki's run, for a sighting that was `ask`. `isInIndex`: see there. */
  askOne(
    look: Look,
    wiki: { wikiDbName: string; isInIndex: boolean | null },
    known: KnownRun | null,
  ): Promise<Exclude<Sighting, { kind: 'ask' }>>;
  /**
   * Judges a document that a look gave. Pure, and the only judge: looks, plans and golden tests use it.
   * @param begun default: nothing
   * @throws RetryableError `torn_status` when it is no description of a run
   */
  decide(document: string, run: RunId, selection: Selection, begun?: Begun): RunDecision;
}

/** True on one day of the week, another one for each wiki: for questions that are worth asking now and then only. Pure. */
export function isTurn(wikiDbName: string, nowMs: number): boolean {
  const day = Math.floor(nowMs / (24 * 60 * 60_000));
  return (day + Buffer.from(wikiDbName).reduce((sum, byte) => sum + byte, 0)) % 7 === 0;
}
