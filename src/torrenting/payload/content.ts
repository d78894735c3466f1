import type { DumpFile } from '../../catalog/index.ts';
import { isSafeName, runFolder } from '../../storage/index.ts';
import { byBytes } from '../byte-order.ts';
import type { WhichTorrent } from '../which-torrent.ts';

/** The public home of the dumps; a configured mirror or sandbox never appears in a payload. */
export const UPSTREAM = 'https://dumps.wikimedia.org';

/** A dump file with its place in the torrent. */
export interface ContentFile {
  dump: DumpFile;
  /** `compressed/en/wikipedia/enwiki-20261120-page.sql.gz` */
  path: string;
  /** Where the torrent carries its unpacked bytes: what `dump` would be if it had them. */
  unpacked?: Pick<DumpFile, 'filename' | 'sizeBytes' | 'md5' | 'sha1' | 'sha256'>;
  /** Canonical address of the file at Wikimedia. */
  upstreamUrl: string;
}

/** A verified file that cannot be placed, and why. */
export interface LeftOutFile {
  dump: DumpFile;
  /** One sentence for STATUS: our own words, the same for every operator. */
  reason: string;
}

/** How dump files lie in a tree. */
interface TreeForm {
  folder: string;
  nameOf(dump: DumpFile): string;
  /** Of two files that would have one name, the one that is left out. */
  clash: string;
}

const PACKED: TreeForm = {
  folder: 'compressed',
  nameOf: ({ filename }) => filename,
  clash: 'its name and that of another file would be one where case is ignored',
};

/** For torrents of unpacked files: without the ending that says how the dump file is packed. */
export const UNPACKED: TreeForm = {
  folder: 'uncompressed',
  nameOf: ({ filename }) => filename.slice(0, filename.lastIndexOf('.')),
  clash: 'unpacked, it would have the name of another file',
};

/**
 * Places dump files in the tree, in byte order of the path. A file that has no safe place is left out alone; the rest
 * goes on. Paths must differ also where case is ignored (Windows, macOS), folders included; of two that do not, the one
 * in lower case stays, because that is how Wikimedia writes its own names.
 */
export function placeInTree(
  dumps: readonly DumpFile[],
  form: TreeForm = PACKED,
): { content: ContentFile[]; leftOut: LeftOutFile[] } {
  const content: ContentFile[] = [];
  const leftOut: LeftOutFile[] = [];
  const candidates: ContentFile[] = [];
  for (const dump of dumps) {
    const segments = [dump.language, dump.project, form.nameOf(dump)];
    if (segments.every(isSafeName))
      candidates.push({
        dump,
        path: [form.folder, ...segments].join('/'),
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
      leftOut.push({ dump: file.dump, reason: form.clash });
      continue;
    }
    taken.add(file.path);
    for (const prefix of prefixes) spellings.set(prefix.toLowerCase(), prefix);
    content.push(file);
  }
  return { content: content.sort((a, b) => byBytes(a.path, b.path)), leftOut };
}

/**
 * Places the files of one run as they lie under `dumps/` and at every mirror of Wikimedia's layout: `20261120/<file>` in the
 * folder of the wiki. In byte order of the path.
 */
export function placeInRun(dumps: readonly DumpFile[]): { content: ContentFile[]; leftOut: LeftOutFile[] } {
  const content: ContentFile[] = [];
  const leftOut: LeftOutFile[] = [];
  for (const dump of dumps) {
    const path = `${runFolder(dump)}/${dump.filename}`;
    // The folder under `dumps/` is the torrent's own: nothing is linked into it.
    if (dump.localPath === `dumps/${dump.wikiDbName}/${path}`)
      content.push({ dump, path, upstreamUrl: `${runUrl(dump)}${dump.filename}` });
    else leftOut.push({ dump, reason: 'it is stored in another place than the other files of its run' });
  }
  return { content: content.sort((a, b) => byBytes(a.path, b.path)), leftOut };
}

/** Placing 30,000 files takes a tenth of a second, and those of one torrent are placed three times on the way to its texts. */
const placed = new WeakMap<readonly DumpFile[], Placed>();
type Placed = { content: readonly ContentFile[]; leftOut: readonly LeftOutFile[] };

/**
 * Where the files of a torrent lie in it. Asked twice for the same list, it gives the same answer.
 * @param dumps nothing is added to it any more
 */
export function place({ grouping }: Pick<WhichTorrent, 'grouping'>, dumps: readonly DumpFile[]): Placed {
  const known = placed.get(dumps);
  if (known !== undefined) return known;
  const result = grouping === 'wiki_run' ? placeInRun(dumps) : placeInTree(dumps);
  placed.set(dumps, result);
  return result;
}

/** 0: all lower case; 1: a capital in the file's name; 2: in its folders, which would push out a whole wiki. */
function upperCaseRank({ path }: ContentFile): number {
  if (path === path.toLowerCase()) return 0;
  const folders = path.slice(0, path.lastIndexOf('/') + 1);
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
