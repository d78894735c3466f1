import type { Torrent } from '../catalog/index.ts';
import { isLoopbackUrl, isPrivateUrl } from '../config/index.ts';
import { webseedAddress } from './address.ts';

/** Who a candidate is; it decides how often it is asked. */
export type CandidateKind = 'internet_archive' | 'mirror' | 'origin' | 'self';

/** A root that a torrent may be fetched from. */
export interface Candidate {
  kind: CandidateKind;
  root: string;
}

/** `torrents.webseeds`, and the addresses it stands for; none ends in a slash. */
export interface WebseedConfig {
  /** In the order in which they are written into the torrent. */
  order: readonly ('internet_archive' | 'mirrors' | 'self')[];
  /** `discovery.dumps_base_url` */
  dumpsBaseUrl: string;
  /** `download.mirrors` */
  mirrors: readonly string[];
  /** `ia.site_url` */
  iaSiteUrl: string;
  /** `wikiseed.public_base_url`; null = nobody reaches us. */
  publicBaseUrl: string | null;
}

/** A file of the torrent as the Internet Archive has it. */
export interface ArchivedFile {
  pathInTorrent: string;
  iaIdentifier: string | null;
  iaUrl: string | null;
  /** Epoch ms; null = not verified there. */
  iaVerifiedAt: number | null;
}

/**
 * Whether clients out there may be sent to an address: one in the house helps nobody outside. In the sandbox everybody is on this
 * machine, and only its own mirrors are meant. Pure.
 */
export function isForClients(
  address: string,
  { dumpsBaseUrl }: Pick<WebseedConfig, 'dumpsBaseUrl'>,
): boolean {
  return isLoopbackUrl(dumpsBaseUrl) || !isPrivateUrl(address);
}

/** The root of our own `/webseed/` route. */
export function ownRoot(config: Pick<WebseedConfig, 'publicBaseUrl'>): string | null {
  return config.publicBaseUrl === null ? null : `${config.publicBaseUrl.replace(/\/+$/, '')}/webseed/`;
}

/**
 * Every root at which a torrent may lie, the first one first; whether it does lie there is for a probe to say. Pure.
 * Only a torrent of one run has upstream's own names and nothing else; every other tree is ours alone.
 * @param filesOf where the archive has its files; asked for at most once, since a torrent may have 30,000
 */
export function candidatesOf(
  torrent: Pick<Torrent, 'grouping' | 'source' | 'isUncompressed' | 'infoName'>,
  filesOf: () => readonly ArchivedFile[],
  config: WebseedConfig,
): Candidate[] {
  const isUpstreamTree = torrent.grouping === 'wiki_run' && !torrent.isUncompressed;
  const own = ownRoot(config);
  const found = config.order.flatMap((word): Candidate[] => {
    if (word === 'self') return own === null ? [] : [{ kind: 'self', root: own }];
    if (!isUpstreamTree) return [];
    if (word === 'internet_archive') return archiveRoot(torrent, filesOf(), config);
    // Content exports lie under other paths at upstream: `other/mediawiki_content_current/<wiki>/<date>/xml/bzip2/`.
    return torrent.source === 'classic' ? mirrorRoots(config) : [];
  });
  return found.filter(
    ({ root }, at) => found.findIndex((other) => other.root === root) === at && isForClients(root, config),
  );
}

/** Roots of upstream's own tree. Mirrors first, so that the origin is asked for what no mirror has. Pure. */
export function mirrorRoots(config: Pick<WebseedConfig, 'dumpsBaseUrl' | 'mirrors'>): Candidate[] {
  const isSandbox = isLoopbackUrl(config.dumpsBaseUrl);
  const all: Candidate[] = [
    ...config.mirrors.map((base) => ({ kind: 'mirror' as const, root: `${base.replace(/\/+$/, '')}/` })),
    { kind: 'origin', root: `${config.dumpsBaseUrl.replace(/\/+$/, '')}/` },
  ];
  // The sandbox's mirrors help only whoever is in the sandbox.
  return all.filter(({ root }) => (isSandbox ? isLoopbackUrl(root) : isForClients(root, config)));
}

/** One item that holds every file, under the very paths; a run spread over several items has no root there. */
function archiveRoot(
  torrent: Pick<Torrent, 'infoName'>,
  files: readonly ArchivedFile[],
  { iaSiteUrl }: WebseedConfig,
): Candidate[] {
  const identifier = files[0]?.iaIdentifier ?? null;
  if (identifier === null) return [];
  const root = `${iaSiteUrl.replace(/\/+$/, '')}/download/${encodeURIComponent(identifier)}/`;
  const isWhole = files.every(
    (file) =>
      file.iaIdentifier === identifier &&
      file.iaVerifiedAt !== null &&
      file.iaUrl === webseedAddress(root, torrent.infoName, file.pathInTorrent),
  );
  return isWhole ? [{ kind: 'internet_archive', root }] : [];
}
