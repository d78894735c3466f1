import { createHash } from 'node:crypto';
import { mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Catalog } from '../../../src/catalog/index.ts';
import type { Layout } from '../../../src/storage/index.ts';

/*
 * Two wikis of one cycle, with dump files that make both of our torrents interesting.
 */

export const CYCLE = '2026-11-20';
export const PIECE = 2 ** 18;
export const RUN = '20261120';
const WIKIS = [
  ['aawiki', 'wikipedia', 'aa'],
  ['enwikinews', 'wikinews', 'en'],
] as const;

/** Two that need padding, one that ends with its piece, small ones, an empty one. */
const SPECS = [
  { filename: 'aawiki-20261120-pages-articles.xml.bz2', sizeBytes: 5_000_001 },
  { filename: 'aawiki-20261120-pages-logging.xml.gz', sizeBytes: 3_200_013 },
  { filename: 'aawiki-20261120-pagelinks.sql.gz', sizeBytes: 8 * PIECE },
  { filename: 'aawiki-20261120-page.sql.gz', sizeBytes: 700_003 },
  { filename: 'aawiki-20261120-redirect.sql.gz', sizeBytes: 0 },
  { filename: 'aawiki-20261120-sites.sql.gz', sizeBytes: 77 },
  { filename: 'enwikinews-20261120-stub-articles.xml.gz', sizeBytes: 1_500_007 },
  { filename: 'enwikinews-20261120-page.sql.gz', sizeBytes: 41_003 },
];

/** Bytes that depend on the name alone. */
function bytesOf(name: string, sizeBytes: number): Buffer {
  const out = Buffer.alloc(sizeBytes);
  let block = createHash('sha512').update(name).digest();
  for (let at = 0; at < sizeBytes; at += block.length) {
    block.copy(out, at);
    block = createHash('sha512').update(block).digest();
  }
  return out;
}

/** Wikis, their run, and their files as a download leaves them: in place, proved, with the hashes of their pieces. */
export function storeFiles({
  catalog,
  layout,
  now,
}: {
  catalog: Catalog;
  layout: Layout;
  now: number;
}): void {
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt: now + 1e9 });
  for (const [wikiDbName, project, language] of WIKIS) {
    catalog.recordWikis([
      {
        ...{ wikiDbName, project, language, url: `https://${language}.${project}.org`, name: '' },
        ...{ isClosed: false, isPrivate: false, isFishbowl: false },
      },
    ]);
    const files = SPECS.filter(({ filename }) => filename.startsWith(`${wikiDbName}-`));
    catalog.recordRun({
      ...{ wikiDbName, cycleDate: CYCLE, source: 'classic', runDate: RUN },
      ...{ status: 'finished', notices: [], document: null },
      files: files.map(({ filename, sizeBytes }) => ({
        ...{ dumpType: 'any', filename, isHistory: false, sizeBytes },
        hashes: { sha1: hash('sha1', bytesOf(filename, sizeBytes)) },
        wikimediaUrl: `https://dumps.wikimedia.org/${wikiDbName}/${RUN}/${filename}`,
        ...{ wikimediaStatus: 'done', wikimediaDate: null },
      })),
      listedNames: new Set(files.map(({ filename }) => filename)),
    });
  }
  for (const { id, filename, wikiDbName, sizeBytes } of catalog.dumpFiles(CYCLE)) {
    const bytes = bytesOf(filename, sizeBytes);
    const place = layout.dumpFile({ source: 'classic', wikiDbName, runDate: RUN, filename });
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, bytes);
    // A time that can be set again exactly.
    utimesSync(place, 1_795_000_000, 1_795_000_000);
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      ...{ md5: hash('md5', bytes), sha1: hash('sha1', bytes), sha256: hash('sha256', bytes) },
      ...{ sizeBytes, verification: 'sha1', localPath: layout.relative(place) },
      fetchedFromUrl: `https://dumps.wikimedia.org/${wikiDbName}/${RUN}/${filename}`,
      pieceHashes: { pieceLength: PIECE, sha1s: pieceSha1s(bytes) },
      storedMtimeMs: statSync(place).mtimeMs,
    });
  }
}

const hash = (kind: string, bytes: Uint8Array): string => createHash(kind).update(bytes).digest('hex');

function pieceSha1s(bytes: Buffer): Buffer {
  const sha1s: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += PIECE)
    sha1s.push(
      createHash('sha1')
        .update(bytes.subarray(at, at + PIECE))
        .digest(),
    );
  return Buffer.concat(sha1s);
}
