import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DumpTree, generateDumpTree } from '../../src/sandbox/index.ts';
import { findSevenZip } from '../../src/sandbox/seven-zip.ts';
import { has } from '../helpers/needs.ts';

const hasBzip2 = has('bzip2');
const sevenZip = await findSevenZip();
if (sevenZip === null) console.log('skipped: no 7-Zip (7zz, 7z, 7za, 7zr) on the PATH');

interface Status {
  version: string;
  jobs: Record<
    string,
    { status: string; files?: Record<string, { size: number; url: string; md5: string; sha1: string }> }
  >;
}

const folders: string[] = [];
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-sandbox-'));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const options = { seed: 7, wikis: 6, sizeBytes: 3_000_000, runDates: ['20260101', '20260120'] };
const statusOf = (dir: string, db: string, date: string): Status =>
  JSON.parse(readFileSync(join(dir, db, date, 'dumpstatus.json'), 'utf8')) as Status;
const filesOf = (status: Status) =>
  Object.values(status.jobs).flatMap((job) =>
    Object.entries(job.files ?? {}).map(([name, file]) => ({ name, ...file })),
  );
const digest = (algorithm: string, data: Buffer): string => createHash(algorithm).update(data).digest('hex');

function hashTree(dir: string): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) hashes[path.slice(dir.length)] = digest('sha1', readFileSync(path));
  }
  return hashes;
}

/** Checks that tags are balanced and counts the pages. */
function checkXml(text: string): { pages: number; revisions: number } {
  const open: string[] = [];
  let pages = 0;
  let revisions = 0;
  for (const [tag, slash, name = '', end] of text.matchAll(/<(\/?)([a-z]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (slash) expect(open.pop(), tag).toBe(name);
    else if (!end) open.push(name);
    if (!slash && name === 'page') pages += 1;
    if (!slash && name === 'revision') revisions += 1;
  }
  expect(open).toEqual([]);
  expect(text.startsWith('<mediawiki ')).toBe(true);
  expect(text.endsWith('</mediawiki>')).toBe(true);
  return { pages, revisions };
}

// Generating is CPU work: on a busy machine it takes many times what it takes alone.
describe('dump tree', { timeout: 60_000 }, () => {
  let tree: DumpTree;
  beforeAll(async () => {
    tree = await generateDumpTree({ dir: freshFolder(), ...options });
  }, 60_000);
  const bunzip = (path: string): string =>
    execFileSync('bzip2', ['-dc', path], { maxBuffer: 1 << 30 }).toString();

  test('has every kind of wiki and lists a private one without dumps', () => {
    expect(tree.dbnames).toEqual(
      expect.arrayContaining(['enwiki', 'aawiki', 'commonswiki', 'be_x_oldwiki', 'amwikimedia']),
    );
    const read = (name: string) => JSON.parse(readFileSync(join(tree.dir, '_api', name), 'utf8')).sitematrix;
    const first = read('sitematrix.json');
    const second = read('sitematrix.formatversion2.json');
    const office = (matrix: { specials: { dbname: string; private?: unknown }[] }) =>
      matrix.specials.find((site) => site.dbname === 'officewiki');
    expect(office(first)?.private).toBe('');
    expect(office(second)?.private).toBe(true);
    expect(readdirSync(tree.dir)).not.toContain('officewiki');
  });

  test('publishes files whose size and hashes are those of the status and of the sums', () => {
    for (const db of tree.dbnames) {
      for (const date of options.runDates) {
        const folder = join(tree.dir, db, date);
        const status = statusOf(tree.dir, db, date);
        expect(status.version).toBe('0.8');
        const sums = readFileSync(join(folder, `${db}-${date}-sha1sums.txt`), 'utf8');
        for (const file of filesOf(status)) {
          const data = readFileSync(join(folder, file.name));
          expect(file.url).toBe(`/${db}/${date}/${file.name}`);
          expect([data.length, digest('md5', data), digest('sha1', data)]).toEqual([
            file.size,
            file.md5,
            file.sha1,
          ]);
          expect(sums).toContain(`${file.sha1}  ${file.name}\n`);
        }
      }
    }
  });

  test('meets the size asked for within 10 %', () => {
    for (const date of options.runDates) {
      const sum = tree.dbnames
        .flatMap((db) => filesOf(statusOf(tree.dir, db, date)))
        .reduce((total, file) => total + file.size, 0);
      expect(sum).toBe(tree.bytesByDate[date]);
      expect(Math.abs(sum / options.sizeBytes - 1)).toBeLessThan(0.1);
    }
  });

  test('skips history on the 20th and splits enwiki into parts with page ranges', () => {
    expect(statusOf(tree.dir, 'aawiki', '20260120').jobs.metahistorybz2dump).toMatchObject({
      status: 'skipped',
    });
    expect(statusOf(tree.dir, 'aawiki', '20260101').jobs.metahistorybz2dump?.status).toBe('done');
    const { jobs } = statusOf(tree.dir, 'enwiki', '20260101');
    const parts = Object.keys(jobs.articlesdump?.files ?? {});
    expect(parts.length).toBeGreaterThan(1);
    for (const name of parts) expect(name).toMatch(/^enwiki-20260101-pages-articles\d+\.xml-p\d+p\d+\.bz2$/);
    expect(Object.keys(jobs.articlesdumprecombine?.files ?? {})).toEqual([
      'enwiki-20260101-pages-articles.xml.bz2',
    ]);
  });

  test.skipIf(!hasBzip2)('holds well-formed XML whose pages agree between the files', () => {
    for (const db of tree.dbnames) {
      const at = (name: string): string => join(tree.dir, db, '20260101', `${db}-20260101-${name}`);
      const whole = checkXml(bunzip(at('pages-articles.xml.bz2')));
      expect(checkXml(bunzip(at('pages-articles-multistream.xml.bz2')))).toEqual(whole);
      expect(checkXml(gunzipSync(readFileSync(at('stub-articles.xml.gz'))).toString())).toEqual(whole);
      const current = checkXml(bunzip(at('pages-meta-current.xml.bz2')));
      expect(current.pages).toBeGreaterThanOrEqual(whole.pages);
      const titles = gunzipSync(readFileSync(at('all-titles.gz')))
        .toString()
        .trim()
        .split('\n');
      expect(titles).toHaveLength(current.pages + 1);
      const history = checkXml(gunzipSync(readFileSync(at('stub-meta-history.xml.gz'))).toString());
      expect(history.pages).toBe(current.pages);
      expect(history.revisions).toBeGreaterThan(current.revisions);
    }
  });

  test.skipIf(!hasBzip2)('writes true text sizes and hashes into the pages', () => {
    const xml = bunzip(join(tree.dir, 'aawiki/20260101/aawiki-20260101-pages-articles.xml.bz2'));
    const texts = [
      ...xml.matchAll(/<text bytes="(\d+)" sha1="([0-9a-z]{31})" xml:space="preserve">([^<]*)<\/text>/g),
    ];
    expect(texts.length).toBeGreaterThan(3);
    for (const [, bytes, sha1, escaped = ''] of texts) {
      const text = escaped
        .replaceAll('&quot;', '"')
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&amp;', '&');
      expect(Buffer.byteLength(text)).toBe(Number(bytes));
      const base36 = BigInt(`0x${digest('sha1', Buffer.from(text))}`)
        .toString(36)
        .padStart(31, '0');
      expect(base36).toBe(sha1);
    }
  });

  test.skipIf(!hasBzip2)('has a multistream index whose offsets start streams with the named pages', () => {
    const base = join(tree.dir, 'enwiki/20260101/enwiki-20260101-pages-articles-multistream');
    const data = readFileSync(`${base}.xml.bz2`);
    const lines = bunzip(`${base}-index.txt.bz2`).trim().split('\n');
    const offsets = [...new Set(lines.map((line) => Number(line.split(':')[0])))];
    expect(offsets.length).toBeGreaterThan(1);
    for (const [i, offset] of offsets.entries()) {
      const stream = data.subarray(offset, offsets[i + 1] ?? data.length);
      const xml = execFileSync('bzip2', ['-dc'], { input: stream, maxBuffer: 1 << 30 }).toString();
      for (const line of lines.filter((l) => l.startsWith(`${offset}:`))) {
        expect(xml).toContain(`<id>${line.split(':')[1]}</id>`);
      }
    }
  });

  test.skipIf(sevenZip === null || !hasBzip2)('archives the same history as 7z and as bz2', () => {
    for (const db of ['commonswiki', 'aawiki']) {
      const base = join(tree.dir, db, '20260101', `${db}-20260101-pages-meta-history.xml`);
      const unpacked = execFileSync(sevenZip as string, ['e', '-so', `${base}.7z`], { maxBuffer: 1 << 30 });
      expect(unpacked.toString()).toBe(bunzip(`${base}.bz2`));
    }
  });

  test('writes SQL dumps that read as the real ones', () => {
    const sql = gunzipSync(
      readFileSync(join(tree.dir, 'enwiki/20260101/enwiki-20260101-pagelinks.sql.gz')),
    ).toString();
    expect(sql).toMatch(/^\/\*M!999999\\- enable the sandbox mode \*\/ \n-- MariaDB dump/);
    expect(sql).toContain('CREATE TABLE `pagelinks`');
    expect(sql).toMatch(/INSERT INTO `pagelinks` VALUES\n\(\d+,\d+,\d+\)/);
    expect(sql).toMatch(/-- Dump completed on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$/);
  });

  test('gives the same bytes for the same options and other bytes for another seed', async () => {
    const twin = await generateDumpTree({ dir: freshFolder(), ...options });
    expect(hashTree(twin.dir)).toEqual(hashTree(tree.dir));
    const other = await generateDumpTree({ dir: freshFolder(), ...options, seed: 8 });
    expect(hashTree(other.dir)).not.toEqual(hashTree(tree.dir));
  });

  test('reuses a complete tree, remakes one of other options and refuses foreign files', async () => {
    const dir = freshFolder();
    const small = { ...options, dir, wikis: 2, sizeBytes: 200_000, runDates: ['20260101'] };
    const first = await generateDumpTree(small);
    const file = join(dir, 'enwiki/20260101/dumpstatus.json');
    const before = statSync(file).ctimeMs;
    expect((await generateDumpTree(small)).isReused).toBe(true);
    expect(statSync(file).ctimeMs).toBe(before);
    expect(first.isReused).toBe(false);
    expect((await generateDumpTree({ ...small, wikis: 1 })).isReused).toBe(false);
    expect(readdirSync(dir)).not.toContain('aawiki');
    rmSync(join(dir, '.sandbox-tree.json'));
    await expect(generateDumpTree(small)).rejects.toThrow('not a sandbox tree');
  });

  test('fills a world of 60 wikis with only 2 MB', async () => {
    const many = await generateDumpTree({
      dir: freshFolder(),
      seed: 1,
      wikis: 60,
      sizeBytes: 2_000_000,
      runDates: ['20260101'],
    });
    expect(many.dbnames).toHaveLength(60);
    expect(Math.abs((many.bytesByDate['20260101'] as number) / 2_000_000 - 1)).toBeLessThan(0.1);
  });

  test('rejects options that make no sense', async () => {
    await expect(generateDumpTree({ dir: freshFolder(), ...options, wikis: 0 })).rejects.toThrow(RangeError);
    await expect(
      generateDumpTree({ dir: freshFolder(), ...options, runDates: ['20260231'] }),
    ).rejects.toThrow(RangeError);
  });
});
