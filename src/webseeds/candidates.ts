import type { Torrent } from '../catalog/index.ts';
import { isLoopbackUrl } from '../config/index.ts';
import { isPublicAddress } from '../ports/index.ts';
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

/** The root of our own `/webseed/` route. */
export function ownRoot(config: Pick<WebseedConfig, 'publicBaseUrl'>): string | null {
  return config.publicBaseUrl === null ? null : `${config.publicBaseUrl.replace(/\/+$/, '')}/webseed/`;
}

/**
 * Every root at which a torrent may lie, the first one first; whether it does lie there is for a probe to say. Pure.
 * Only a torrent of one run has upstream's own names and nothing else; every other tree is ours alone.
 */
export function candidatesOf(
  torrent: Pick<Torrent, 'grouping' | 'source' | 'isUncompressed' | 'infoName'>,
  files: readonly ArchivedFile[],
  config: WebseedConfig,
): Candidate[] {
  const isUpstreamTree = torrent.grouping === 'wiki_run' && !torrent.isUncompressed;
  const own = ownRoot(config);
  const found = config.order.flatMap((word): Candidate[] => {
    if (word === 'self') return own === null ? [] : [{ kind: 'self', root: own }];
    if (!isUpstreamTree) return [];
    if (word === 'internet_archive') return archiveRoot(torrent, files, config);
    // Content exports lie under other paths at upstream: `other/mediawiki_content_current/<wiki>/<date>/xml/bzip2/`.
    return torrent.source === 'classic' ? mirrorRoots(config) : [];
  });
  return found.filter(({ root }, at) => found.findIndex((other) => other.root === root) === at);
}

/** Mirrors first, so that the origin is asked for what no mirror has. */
function mirrorRoots(config: WebseedConfig): Candidate[] {
  const isSandbox = isLoopbackUrl(config.dumpsBaseUrl);
  const all: Candidate[] = [
    ...config.mirrors.map((base) => ({ kind: 'mirror' as const, root: `${base.replace(/\/+$/, '')}/` })),
    { kind: 'origin', root: `${config.dumpsBaseUrl.replace(/\/+$/, '')}/` },
  ];
  // A mirror in the house helps nobody outside, and the sandbox's mirrors only whoever is in the sandbox.
  return all.filter(({ root }) => (isSandbox ? isLoopbackUrl(root) : !isPrivate(root)));
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

/** True for an address that only this machine, or only this network, can reach. */
function isPrivate(address: string): boolean {
  const url = URL.parse(address);
  if (url === null) return true;
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host.includes(':') || /^[\d.]+$/.test(host)) return !isPublicAddress(host);
  return !host.includes('.') || /\.(localhost|local|internal|lan|home\.arpa)$/.test(host);
}
