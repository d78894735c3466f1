import type { DumpFile } from '../../catalog/index.ts';
import { isSafeName } from '../../storage/index.ts';
import { byBytes } from '../byte-order.ts';

/** The public home of the dumps; a configured mirror or sandbox never appears in a payload. */
export const UPSTREAM = 'https://dumps.wikimedia.org';

/** A dump file with its place in the torrent. */
export interface ContentFile {
  dump: DumpFile;
  /** `compressed/en/wikipedia/enwiki-20261120-page.sql.gz` */
  path: string;
  /** Canonical address of the file at Wikimedia. */
  upstreamUrl: string;
}

/** A verified file that cannot be placed, and why. */
export interface LeftOutFile {
  dump: DumpFile;
  /** One sentence for STATUS: our own words, the same for every operator. */
  reason: string;
}

/**
 * Places dump files in the tree, in byte order of the path. A file that has no safe place is left out alone; the rest
 * goes on. Paths must differ also where case is ignored (Windows, macOS), folders included; of two that do not, the one
 * in lower case stays, because that is how Wikimedia writes its own names.
 */
export function placeInTree(dumps: readonly DumpFile[]): { content: ContentFile[]; leftOut: LeftOutFile[] } {
  const content: ContentFile[] = [];
  const leftOut: LeftOutFile[] = [];
  const candidates: ContentFile[] = [];
  for (const dump of dumps) {
    const segments = [dump.language, dump.project, dump.filename];
    if (segments.every(isSafeName))
      candidates.push({
        dump,
        path: ['compressed', ...segments].join('/'),
        upstreamUrl: `${runUrl(dump)}${dump.filename}`,
      });
    else leftOut.push({ dump, reason: 'its language or project is not a safe folder name' });
  }
  // Exports of the current and of the full text may bear one name: in a history torrent it belongs to the history.
  candidates.sort(
    (a, b) =>
      upperCaseRank(a) - upperCaseRank(b) ||
      byBytes(a.path, b.path) ||
      Number(b.dump.isHistory) - Number(a.dump.isHistory),
  );
  const spellings = new Map<string, string>();
  const taken = new Set<string>();
  for (const file of candidates) {
    const prefixes = prefixesOf(file.path);
    const isDistinct =
      !taken.has(file.path) &&
      prefixes.every((prefix) => (spellings.get(prefix.toLowerCase()) ?? prefix) === prefix);
    if (!isDistinct) {
      leftOut.push({
        dump: file.dump,
        reason: 'its name and that of another file would be one where case is ignored',
      });
      continue;
    }
    taken.add(file.path);
    for (const prefix of prefixes) spellings.set(prefix.toLowerCase(), prefix);
    content.push(file);
  }
  return { content: content.sort((a, b) => byBytes(a.path, b.path)), leftOut };
}

/** 0: all lower case; 1: a capital in the file's name; 2: in its folders, which would push out a whole wiki. */
function upperCaseRank({ path, dump }: ContentFile): number {
  if (path === path.toLowerCase()) return 0;
  const folders = path.slice(0, -dump.filename.length);
  return folders === folders.toLowerCase() ? 1 : 2;
}

function prefixesOf(path: string): string[] {
  const segments = path.split('/');
  return segments.map((_, index) => segments.slice(0, index + 1).join('/'));
}

/** Folder of a run at Wikimedia, with a final slash; content exports live below `other/` (their own date form). */
export function runUrl(run: { source: string; wikiDbName: string; runDate: string }): string {
  if (run.source === 'classic') return `${UPSTREAM}/${run.wikiDbName}/${run.runDate}/`;
  return `${UPSTREAM}/other/mediawiki_${run.source}/${run.wikiDbName}/${run.runDate}/xml/bzip2/`;
}
