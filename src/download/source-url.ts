import type { DumpFile } from '../catalog/index.ts';
import { PermanentError } from '../lib/index.ts';
import { isSafeName } from '../storage/index.ts';

/**
 * Checks that an address from upstream's documents leads where that file has to be: `…/<dbname>/<date>/<filename>` for
 * classic runs, `…/<filename>` for content exports, http or https, nothing after the path, no credentials.
 * @returns the address as it will be asked for
 * @throws PermanentError `unsafe_url`
 */
export function checkedSourceUrl(
  row: Pick<DumpFile, 'id' | 'source' | 'wikiDbName' | 'runDate' | 'filename' | 'wikimediaUrl'>,
): string {
  const url = URL.parse(row.wikimediaUrl);
  const names = [row.wikiDbName, row.runDate, row.filename];
  const expectedEnd = row.source === 'classic' ? `/${names.join('/')}` : `/${row.filename}`;
  const isExpected =
    url !== null &&
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === '' &&
    url.pathname.endsWith(expectedEnd) &&
    names.every(isSafeName) &&
    // Parsing resolves `..` and `\\` silently; upstream never writes an address that needs it.
    !/\\|\/\.{1,2}(\/|$)|%2e|%2f|%5c/i.test(row.wikimediaUrl);
  if (isExpected) return url.href;
  throw new PermanentError(
    'unsafe_url',
    `refusing an address that does not end in ${expectedEnd.slice(0, 200)}`,
    {
      subject: { dumpFileId: row.id, url: row.wikimediaUrl.slice(0, 200) },
      hint: 'Upstream published an unexpected address; nothing was fetched. Look at the status document of that run.',
    },
  );
}
