import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SandboxWiki, siteMatrix } from './wiki-table.ts';
import { wikistatsCsv } from './wikistats.ts';

/**
 * Writes what other hosts answer about these wikis, below the tree's hidden `_api/`: the site matrix in both format versions and
 * Wikistats' size table.
 * @param pageCounts pages of all kinds by database name
 */
export async function writeApiFiles(
  dir: string,
  wikis: readonly SandboxWiki[],
  pageCounts: ReadonlyMap<string, number>,
): Promise<void> {
  const folder = join(dir, '_api');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'sitematrix.json'), JSON.stringify(siteMatrix(wikis, 1)));
  await writeFile(join(folder, 'sitematrix.formatversion2.json'), JSON.stringify(siteMatrix(wikis, 2)));
  await writeFile(join(folder, 'wikistats.csv'), wikistatsCsv(wikis, pageCounts));
}
