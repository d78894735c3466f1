import { isLoopbackUrl } from '../../config/index.ts';
import { days } from '../../lib/index.ts';
import { webseedAddress } from '../address.ts';
import { isForClients, mirrorRoots, ownRoot, type WebseedConfig } from '../candidates.ts';
import type { CarriedFile, KnownRoot } from './carried-files.ts';

/** So long the origin keeps a run at least: it has seven to ten of them, two a month. Mirrors have five at most, most of them fewer. */
const AT_ORIGIN_MS = days(90);
const AT_MIRRORS_MS = days(45);

/**
 * Where a client may get the bytes of a dump file that is not here, the best place first. A client compares every piece with its hash, so
 * a place where they are likely is better than none: what may be deleted is decided elsewhere, and by proofs alone.
 *
 * 1. the archive, when its copy was verified a short time ago;
 * 2. a root at which a torrent with this file was seen to work, be it retired;
 * 3. the archive, as long as nobody found that it has something else;
 * 4. upstream's own path at the mirror that gave us the file, at the origin, at another mirror: while they may still have the run.
 *
 * Pure.
 */
export function placesElsewhere(
  file: CarriedFile,
  roots: readonly KnownRoot[],
  config: WebseedConfig,
  facts: { now: number; remoteProofMaxAgeMs: number },
): string[] {
  // Unpacked bytes nobody has but who unpacked them.
  if (file.isUncompressed === 1 || file.sizeBytes !== file.dumpSizeBytes) return [];
  const { iaUrl, iaVerifiedAt } = file;
  const archived = iaUrl === null || iaVerifiedAt === null ? [] : [iaUrl];
  const isFresh = (iaVerifiedAt ?? 0) >= facts.now - facts.remoteProofMaxAgeMs;
  const proved = roots
    .filter(
      ({ url, state, sizeBytes }) =>
        state === 'working' && !isOwnRoot(url, config) && sizeBytes === file.sizeBytes,
    )
    .map(({ url, infoName, path }) => webseedAddress(url, infoName, path));
  const places = [
    ...(isFresh ? archived : []),
    ...proved,
    ...archived,
    ...upstreamPlaces(file, roots, config, facts.now),
  ];
  return [...new Set(places)].filter((url) => isForClients(url, config) && !isHere(url, config));
}

/**
 * Whether a root is, or was under another `public_base_url`, our own: whoever is sent there comes back, for ever. Only a mirror that the
 * configuration names may end like that and be somebody else. Pure.
 */
function isOwnRoot(root: string, config: WebseedConfig): boolean {
  if (root === ownRoot(config)) return true;
  const isLikeOurs = URL.parse(root)?.pathname.endsWith('/webseed/') ?? true;
  return isLikeOurs && !mirrorRoots(config).some((mirror) => mirror.root === root);
}

/** Whether an address leads to the host that readers reach us at. In the sandbox all hosts have one name: only the port tells. Pure. */
function isHere(address: string, { publicBaseUrl, dumpsBaseUrl }: WebseedConfig): boolean {
  const [here, there] = [URL.parse(publicBaseUrl ?? ''), URL.parse(address)];
  if (here === null || there === null) return false;
  return isLoopbackUrl(dumpsBaseUrl) ? here.host === there.host : here.hostname === there.hostname;
}

/** Not proved, only likely. */
function upstreamPlaces(
  file: CarriedFile,
  roots: readonly KnownRoot[],
  config: WebseedConfig,
  now: number,
): string[] {
  if (file.isReplaced === 1 || !config.order.includes('mirrors')) return [];
  const ageMs = now - runTime(file.runDate);
  const dead = new Set(roots.filter(({ state }) => state === 'dead').map(({ url }) => url));
  const path = upstreamPath(file);
  const all = mirrorRoots(config).filter(({ root }) => !dead.has(root));
  const below = (root: string): string => root + path.split('/').map(encodeURIComponent).join('/');
  const places = (kind: 'mirror' | 'origin', maxAgeMs: number): string[] =>
    ageMs > maxAgeMs ? [] : all.filter((candidate) => candidate.kind === kind).map(({ root }) => below(root));
  const mirrors = path === '' ? [] : places('mirror', AT_MIRRORS_MS);
  const origin = path === '' ? [] : places('origin', AT_ORIGIN_MS);
  const giver = mirrors.filter((url) => url === file.fetchedFromUrl);
  return [...giver, ...origin, ...mirrors];
}

/** Below the root of the origin and of mirrors that have all of it. */
function upstreamPath({ source, wikiDbName, runDate, filename, wikimediaUrl }: CarriedFile): string {
  if (source === 'classic') return `${wikiDbName}/${runDate}/${filename}`;
  const pathname = URL.parse(wikimediaUrl)?.pathname ?? '';
  const at = pathname.indexOf('/other/');
  return at < 0 ? '' : pathname.slice(at + 1);
}

/** `20261120` or `2026-11-20`, as epoch ms; of anything else, long ago. */
function runTime(runDate: string): number {
  const digits = runDate.replaceAll('-', '');
  const time = Date.parse(`${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6, 8)}T00:00:00Z`);
  return Number.isNaN(time) ? 0 : time;
}
