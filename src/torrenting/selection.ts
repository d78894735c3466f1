import type { Catalog, DumpFile, DumpRun, TorrentGap } from '../catalog/index.ts';
import type { PieceSettings } from './arrangement.ts';
import { byBytes } from './byte-order.ts';
import type { PayloadVersion } from './payload/header.ts';

/** Which torrents of a cycle: everything current, or everything with full history. */
export type Variant = 'regular' | 'history';

/** Names one torrent of a cycle. */
export interface WhichTorrent {
  cycleDate: string;
  variant: Variant;
  /** 0 = the cycle's own; 1, 2, … = what settled later. */
  supplement: number;
}

/** A dump type that a run does not give, with whose it is; only torrents of payload 1.0 tell it in this form. */
export interface Notice {
  wikiDbName: string;
  project: string;
  language: string;
  runDate: string;
  dumpType: string;
  reason: string;
}

/** Everything one torrent is made from; sorted by bytes, so that the order of insertion leaves no trace. */
export interface Selection extends WhichTorrent {
  name: string;
  payloadVersion: PayloadVersion;
  /** Dump files at least this long begin on a piece; null: none does. */
  alignFilesFromBytes: number | null;
  /** Verified files on our disk: the content. `verification` is what the torrent's texts say. */
  included: DumpFile[];
  /** Expected, but not here. */
  absent: DumpFile[];
  /** Held, but known to be damaged: worth waiting for, and told as gaps in case they are not repaired. */
  damaged: DumpFile[];
  /** Carried by the recorded torrent, but not here or damaged: without them it cannot be made again. */
  lost: DumpFile[];
  /** What it does not carry, and why; without what has no place in a tree, see `planPayload`. */
  gaps: TorrentGap[];
  /** Further facts that the texts of payload 1.0 tell; null for later ones. */
  firstForm: {
    notices: Notice[];
    runs: Pick<DumpRun, 'wikiDbName' | 'source' | 'runDate' | 'status'>[];
  } | null;
}

/** What a selection is made from. */
export type SelectionCatalog = Pick<
  Catalog,
  | 'carriedFiles'
  | 'cycle'
  | 'dumpFiles'
  | 'replacements'
  | 'runs'
  | 'torrentFiles'
  | 'torrentGaps'
  | 'torrents'
  | 'torrentsOfCycle'
  | 'wikis'
>;

/** Which torrent, of which catalog, and what the operator wants to have. */
export interface SelectionOptions extends WhichTorrent, PieceSettings {
  catalog: SelectionCatalog;
  regularTypes: readonly string[];
  historyTypes: readonly string[];
}

/** `wikimedia-dumps-2026-11-20`, `wikimedia-dumps-history-2026-11-20`, `wikimedia-dumps-2026-11-20-supplement-1`. */
export function torrentName({ cycleDate, variant, supplement }: WhichTorrent): string {
  const name =
    variant === 'history' ? `wikimedia-dumps-history-${cycleDate}` : `wikimedia-dumps-${cycleDate}`;
  return supplement === 0 ? name : `${name}-supplement-${supplement}`;
}

/** Orders files and runs: the order is part of the infohash. */
export function byPlace(
  a: { wikiDbName: string; source: string; runDate: string; filename?: string },
  b: { wikiDbName: string; source: string; runDate: string; filename?: string },
): number {
  return byBytes(placeKey(a), placeKey(b));
}

/** What identifies a file, or a run, in the world. */
export function placeKey(row: {
  wikiDbName: string;
  source: string;
  runDate: string;
  filename?: string | null;
}): string {
  return [row.wikiDbName, row.runDate, row.source, row.filename ?? ''].join('\n');
}
