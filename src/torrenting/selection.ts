import type { Catalog, DumpFile, DumpRun, TorrentGap, TorrentKind } from '../catalog/index.ts';
import type { PieceSettings } from './arrangement.ts';
import { byBytes } from './byte-order.ts';
import type { TorrentBounds } from './parts.ts';
import type { PayloadVersion } from './payload/header.ts';
import { torrentName, type WhichTorrent } from './which-torrent.ts';

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
  /** On this host, of this part. */
  name: string;
  /** In the info dictionary, and of the folder. */
  infoName: string;
  /** True when this part is full, and a further one must carry the rest. */
  hasMore: boolean;
  /** Names of the torrents that a supplement goes with, oldest first. */
  supplements: string[];
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
  | 'runFiles'
  | 'runs'
  | 'torrentFiles'
  | 'torrentGaps'
  | 'torrents'
  | 'torrentsOfCycle'
  | 'wikis'
>;

/** What decides about the torrent of unpacked files, and with it the infohash. */
export interface UncompressedSettings {
  /** A file that unpacks to more is left out. */
  maxFileSizeBytes: number;
  /** Only these dump types; none = all. */
  types: readonly string[];
}

/** Which torrent, of which catalog, and what the operator wants to have. */
export interface SelectionOptions extends WhichTorrent, PieceSettings {
  catalog: SelectionCatalog;
  regularTypes: readonly string[];
  historyTypes: readonly string[];
  /** Of torrents of unpacked files. */
  uncompressed?: UncompressedSettings;
  /** Beyond which a torrent is split; default `DEFAULT_BOUNDS`. */
  bounds?: TorrentBounds;
}

/** What the torrents of one kind have in common: each file of a cycle is in one of them, beside their supplements and parts. */
export function kindOf({ variant, grouping, scope, source, runDate }: WhichTorrent): TorrentKind {
  return {
    ...{ grouping, scope, source, runDate },
    isHistory: variant === 'history',
    isUncompressed: variant === 'uncompressed',
  };
}

/** True for a torrent of that kind. */
export function isOfKind(torrent: TorrentKind, kind: TorrentKind): boolean {
  return (
    torrent.grouping === kind.grouping &&
    torrent.scope === kind.scope &&
    torrent.source === kind.source &&
    torrent.runDate === kind.runDate &&
    torrent.isHistory === kind.isHistory &&
    torrent.isUncompressed === kind.isUncompressed
  );
}

/** Names of the torrents that a supplement goes with, oldest first: each of them, or its parts. */
export function supplementedBy(options: WhichTorrent & Pick<SelectionOptions, 'catalog'>): string[] {
  if (options.supplement === 0) return [];
  const kind = kindOf(options);
  const parts = options.catalog
    .torrentsOfCycle(options.cycleDate)
    .filter((torrent) => torrent.part > 0 && isOfKind(torrent, kind));
  return Array.from({ length: options.supplement }, (_, supplement) => {
    const names = parts
      .filter((torrent) => torrent.supplement === supplement)
      .sort((a, b) => a.part - b.part)
      .map(({ name }) => name);
    return names.length > 0 ? names : [torrentName({ ...options, supplement, part: 0 })];
  }).flat();
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
