import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultConfig } from '../../src/config/index.ts';
import { createClassicSource } from '../../src/discovery/classic-source.ts';
import { parseDumpStatus, readStatus, runDateOfStatus } from '../../src/discovery/dump-status.ts';
import { dumpTypeOf, formatFileName, isPart, parseFileName } from '../../src/discovery/file-name.ts';
import { readIndex } from '../../src/discovery/index-stream.ts';
import { parseListing, runDatesOf } from '../../src/discovery/listing.ts';
import { parseSiteMatrix } from '../../src/discovery/site-matrix.ts';
import { addHashes, parseJsonSums, parseSums } from '../../src/discovery/sums.ts';
import { fixtures } from '../helpers/needs.ts';

/** What we read of real documents; what becomes of their files is told by test/golden/. */
const folder = fixtures();
const pathTo = (path: string): string => join(folder ?? '', path);
const read = (path: string): string => readFileSync(pathTo(path), 'utf8');

describe.skipIf(folder === null)('real documents', () => {
  test('both format versions of the site matrix give the same 996 wikis, private ones marked', () => {
    const one = parseSiteMatrix(read('_api/sitematrix.json'));
    const two = parseSiteMatrix(read('_api/sitematrix.formatversion2.json'));
    expect(one.wikis).toEqual(two.wikis);
    expect(one.refused).toEqual([]);
    expect(one.wikis).toHaveLength(996);
    expect(one.wikis.filter((w) => w.isPrivate)).toHaveLength(38);
    expect(one.wikis.filter((w) => w.isClosed)).toHaveLength(133);
    expect(one.wikis.find((w) => w.wikiDbName === 'be_x_oldwiki')).toMatchObject({
      project: 'wikipedia',
      language: 'be-x-old',
    });
    expect(one.wikis.find((w) => w.wikiDbName === 'commonswiki')).toMatchObject({ project: 'commons' });
  });

  test('a real run of the largest wiki has 48 jobs and 2,186 files, all of them read', () => {
    const text = read('enwiki/20240801/dumpstatus.json');
    const status = parseDumpStatus(text, 'enwiki');
    expect(status.jobs.size).toBe(48);
    expect(status.version).toBe('0.8');
    expect(runDateOfStatus(status, 'enwiki')).toBe('20240801');
    const files = [...status.jobs.values()].flatMap((job) => [...job.files.values()]);
    expect(files).toHaveLength(2186);
    expect(files.every((f) => f.size !== null && f.url !== null && f.md5 !== null && f.sha1 !== null)).toBe(
      true,
    );
  });

  test('judging 2,186 files takes less than 20 ms', () => {
    const source = createClassicSource({ baseUrl: 'https://dumps.wikimedia.org' });
    const text = read('enwiki/20240801/dumpstatus.json');
    const selection = { ...defaultConfig().dumps, includesHistory: true, isUrgent: false };
    const run = { wikiDbName: 'enwiki', runDate: '20240801' };
    // Processor time, and the best of several: how busy the machine is says nothing about the code.
    const times = Array.from({ length: 15 }, () => {
      const before = process.threadCpuUsage();
      source.decide(text, run, selection);
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / 1000;
    });
    expect(Math.min(...times)).toBeLessThan(20);
  });

  test('all 1,836 real names are read and written back as they were', () => {
    const names = read('_samples/enwiki-20201001-filenames.txt').trimEnd().split('\n');
    expect(names).toHaveLength(1836);
    const strange = names.filter((name) => parseFileName(name, 'enwiki') === null);
    expect(strange).toEqual(['README.md', 'enwiki-mywikifile.txt']);
    const parsed = names.flatMap((name) => parseFileName(name, 'enwiki') ?? []);
    expect(parsed.map(formatFileName)).toEqual(names.filter((name) => !strange.includes(name)));
    const count = (type: string, part: boolean): number =>
      parsed.filter((name) => dumpTypeOf(name) === type && isPart(name) === part).length;
    expect([count('pages-meta-history', true), count('pages-meta-history', false)]).toEqual([1420, 0]);
    expect([count('pages-articles', true), count('pages-articles', false)]).toEqual([58, 1]);
    expect([count('pages-articles-multistream', true), count('pages-articles-multistream', false)]).toEqual([
      116, 2,
    ]);
    expect([count('stub-articles', true), count('stub-articles', false)]).toEqual([27, 1]);
    expect([count('page', true), count('page', false)]).toEqual([0, 1]);
  });

  test('index.json is read entry by entry; one that is empty is no status', async () => {
    const entries = new Map<string, unknown>();
    await readIndex(createReadStream(pathTo('index.json'), { highWaterMark: 1000 }), (name, entry) =>
      entries.set(name, entry),
    );
    expect([...entries]).toEqual(Object.entries(JSON.parse(read('index.json')).wikis));
    expect([...entries].map(([name, entry]) => [name, readStatus(entry)?.jobs.size])).toEqual([
      ['aawiki', 15],
      ['aawikibooks', undefined],
      ['enwikivoyage', 33],
    ]);
  });

  test('dates are read from real listings, anything else in them is not', () => {
    const datesOf = (name: string) => runDatesOf(parseListing(read(`_listings/${name}.autoindex.html`)));
    expect(datesOf('enwiki')).toEqual(
      '20200720 20200801 20200820 20200901 20200920 20201001 20201020'.split(' '),
    );
    expect(datesOf('wikidatawiki').length).toBeGreaterThan(0);
    expect(datesOf('enwiki-empty')).toEqual([]);
  });

  test('the checksum lists of a real run agree with its status, in both forms', async () => {
    const prefix = 'aawiki/20260101/aawiki-20260101-';
    const status = parseDumpStatus(read('aawiki/20260101/dumpstatus.json'), 'aawiki');
    for (const algorithm of ['md5', 'sha1'] as const) {
      const text = parseSums(read(`${prefix}${algorithm}sums.txt`), algorithm);
      expect(text.size).toBe(18);
      expect(parseJsonSums(read(`${prefix}${algorithm}sums.json`), algorithm)).toEqual(text);
      for (const job of status.jobs.values())
        for (const [filename, facts] of job.files)
          expect(text.get(filename), filename).toBe(facts[algorithm]);
    }
  });

  test('hashes that a status lacks come from the lists of the same run', async () => {
    const source = createClassicSource({ baseUrl: 'https://dumps.wikimedia.org' });
    const run = { wikiDbName: 'aawiki', runDate: '20260101' };
    const selection = { ...defaultConfig().dumps, includesHistory: true, isUrgent: false };
    const text = read('aawiki/20260101/dumpstatus.json');
    const filesOf = (document: string) =>
      source.decide(document, run, selection).files.flatMap((f) => (f.action === 'take' ? [f.file] : []));
    const bare = filesOf(text.replaceAll(/, "(?:md5|sha1)": "[0-9a-f]+"/g, ''));
    expect(bare.every((file) => Object.keys(file.hashes).length === 0)).toBe(true);
    const asked: string[] = [];
    const filled = await addHashes(bare, run, async (name) => {
      asked.push(name);
      return read(`aawiki/20260101/${name}`);
    });
    expect(asked).toEqual(['aawiki-20260101-sha1sums.txt']);
    expect(filled.map((file) => file.hashes.sha1)).toEqual(filesOf(text).map((file) => file.hashes.sha1));
  });
});
