/** Where `/webseed/` begins. */
export const WEBSEED_PREFIX = '/webseed/';

/**
 * What an address asks for; null = nothing that can be. Segment by segment: an encoded slash is no slash, and nothing here becomes a
 * path on a disk. Pure.
 */
export function wantedPath(url: string): { infoName: string; path: string } | null {
  const pathname = URL.parse(url)?.pathname ?? '';
  if (!pathname.startsWith(WEBSEED_PREFIX) || pathname.length > 4096) return null;
  const segments: string[] = [];
  for (const raw of pathname.slice(WEBSEED_PREFIX.length).split('/')) {
    let segment: string;
    try {
      segment = decodeURIComponent(raw);
    } catch {
      return null;
    }
    if (segment === '' || segment === '.' || segment === '..' || /[/\\\0]/.test(segment)) return null;
    segments.push(segment);
  }
  const [infoName, ...path] = segments;
  return infoName === undefined || path.length === 0 ? null : { infoName, path: path.join('/') };
}
