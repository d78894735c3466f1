import type { DumpFile } from '../../catalog/index.ts';
import { assertSafeName } from '../../storage/index.ts';

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

/**
 * Places a dump file in the tree.
 * @throws PermanentError `unsafe_name` when a name from upstream must not become a path
 */
export function placeInTree(dump: DumpFile): ContentFile {
  const segments = [dump.language, dump.project, dump.filename].map(assertSafeName);
  return {
    dump,
    path: ['compressed', ...segments].join('/'),
    upstreamUrl: `${runUrl(dump)}${dump.filename}`,
  };
}

/** Folder of a run at Wikimedia, with a final slash; content exports live below `other/` (their own date form). */
export function runUrl(run: { source: string; wikiDbName: string; runDate: string }): string {
  if (run.source === 'classic') return `${UPSTREAM}/${run.wikiDbName}/${run.runDate}/`;
  return `${UPSTREAM}/other/mediawiki_${run.source}/${run.wikiDbName}/${run.runDate}/xml/bzip2/`;
}
