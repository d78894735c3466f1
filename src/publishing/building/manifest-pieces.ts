import type { ManifestFile, ManifestTorrent } from '../manifest.ts';

/*
 * The manifest as JSON with two spaces, as `JSON.stringify(manifest, null, 2)` and a newline would write it, in pieces: as a whole it is
 * longer than a string may be once there are a dozen cycles.
 */

/** Ends of the text around the torrents. `isEmpty`: there is none between them. */
export function manifestStart(newestMs: number, isEmpty: boolean): string {
  const whole = indented({ version: '1.0', last_updated: new Date(newestMs).toISOString(), torrents: [] });
  return `${whole.slice(0, -']\n}'.length)}${isEmpty ? '' : '\n'}`;
}
export function manifestEnd(isEmpty: boolean): string {
  return isEmpty ? ']\n}\n' : '\n  ]\n}\n';
}

/** Between two torrents. */
export const BETWEEN_TORRENTS = ',\n';

const TORRENT_AROUND = around({ torrents: [0] });
const FILES_AROUND = around({ torrents: [{ files: [0] }] });
const NO_FILES = '[]\n    }';

/** One torrent in pieces of a page of files each. `entry.files` is empty: they come from `pages`. */
export function* torrentPieces(
  entry: ManifestTorrent,
  pages: Iterable<readonly ManifestFile[]>,
): Generator<string> {
  const head = within(indented({ torrents: [entry] }), TORRENT_AROUND);
  let isFirst = true;
  for (const files of pages) {
    yield isFirst ? `${head.slice(0, -NO_FILES.length)}[\n` : ',\n';
    yield within(indented({ torrents: [{ files }] }), FILES_AROUND);
    isFirst = false;
  }
  yield isFirst ? head : '\n      ]\n    }';
}

function indented(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** How many characters stand before and behind the one `0` in it, without its own indentation. */
function around(value: unknown): { before: number; behind: number } {
  const text = indented(value);
  const at = text.indexOf('0');
  return { before: text.lastIndexOf('\n', at) + 1, behind: text.length - at - 1 };
}

function within(text: string, { before, behind }: { before: number; behind: number }): string {
  return text.slice(before, text.length - behind);
}
