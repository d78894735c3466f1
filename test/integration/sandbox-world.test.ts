import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type DumpSite,
  generateStatusWorld,
  type StatusDocument,
  type StatusWorld,
  startDumpSite,
  statusDocument,
  wikiCountMax,
  wikiSplits,
} from '../../src/sandbox/index.ts';

const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
const dir = mkdtempSync(join(tmpdir(), 'wikiseed-world-'));
let world: StatusWorld;
let site: DumpSite;
beforeAll(async () => {
  world = await generateStatusWorld({ dir, runDates: ['20261101'] });
  site = await startDumpSite({ root: dir });
}, 120_000);
afterAll(async () => {
  await site.stop();
  rmSync(dir, { recursive: true, force: true });
});

const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${site.baseUrl}${path}`, { headers: { 'User-Agent': AGENT, ...headers } });
const filesOf = (document: StatusDocument): [string, { size?: number }][] =>
  Object.values(document.jobs).flatMap((job) => Object.entries(job.files ?? {}));

describe('a world of 1,000 wikis', { timeout: 60_000 }, () => {
  test('has an index of 48-job runs as large as the real one, streamed and conditional', async () => {
    const response = await ask('/index.json');
    const text = await response.text();
    expect(Number(response.headers.get('content-length'))).toBe(Buffer.byteLength(text));
    expect(text.length).toBeGreaterThan(24e6);
    expect(text.length).toBeLessThan(31e6);
    const { wikis } = JSON.parse(text) as { wikis: Record<string, StatusDocument> };
    expect(Object.keys(wikis).toSorted()).toEqual(world.dbnames.toSorted());
    const counts = world.dbnames.map((db) => {
      expect(Object.keys(wikis[db]?.jobs ?? {})).toHaveLength(48);
      return filesOf(wikis[db] as StatusDocument).length;
    });
    expect(counts.filter((count) => count > 2000)).toEqual(Array(10).fill(2184));
    expect(counts.filter((count) => count > 200)).toHaveLength(70);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(world.filesByDate['20261101']);
    const giant = filesOf(wikis[world.dbnames[0] as string] as StatusDocument);
    expect(Math.max(...giant.map(([, file]) => file.size ?? 0))).toBeGreaterThan(2 ** 32);
    expect(giant.reduce((sum, [, file]) => sum + (file.size ?? 0), 0)).toBeGreaterThan(2 ** 40);
    const tag = { 'If-None-Match': response.headers.get('etag') ?? '' };
    expect((await ask('/index.json', tag)).status).toBe(304);
    const [db = ''] = world.dbnames;
    expect(await (await ask(`/${db}/20261101/dumpstatus.json`)).json()).toEqual(wikis[db]);
    expect((await ask(`/${db}/20261101/${giant[0]?.[0]}`)).status).toBe(404);
  });

  test('has a site matrix and Wikistats with all of them, and sums lists', async () => {
    const matrix = (await (await fetch(site.sitematrixUrl, { headers: { 'User-Agent': AGENT } })).json()) as {
      sitematrix: Record<string, { site?: { dbname: string }[] }> & { specials: { dbname: string }[] };
    };
    const { specials, ...languages } = matrix.sitematrix;
    const listed = [...Object.values(languages).flatMap((l) => l.site ?? []), ...specials].map(
      (s) => s.dbname,
    );
    expect(new Set(listed).size).toBe(listed.length);
    expect(listed).toEqual(expect.arrayContaining([...world.dbnames, 'officewiki']));
    const csv = await (await ask('/wikistats.csv')).text();
    expect(csv.trim().split('\n')).toHaveLength(1001);
    const name = 'aawiki-20261101-page.sql.gz';
    const sha1 = createHash('sha1').update(name).digest('hex');
    expect(await (await ask('/aawiki/20261101/aawiki-20261101-sha1sums.txt')).text()).toContain(
      `${sha1}  ${name}\n`,
    );
  });

  test('has content exports with listings and sums, though no bytes', async () => {
    const [db = ''] = world.dbnames;
    expect(
      (await (await ask('/other/mediawiki_content_current/')).text()).match(/^<a href="\w+\/"/gm),
    ).toHaveLength(1000);
    const folder = `/other/mediawiki_content_current/${db}/2026-11-01/xml/bzip2/`;
    const listing = await (await ask(folder)).text();
    const rows = [...listing.matchAll(/^<a href="([^"]+\.bz2)">.* (\d+)$/gm)];
    expect(rows).toHaveLength(109);
    const sums = (await (await ask(`${folder}SHA256SUMS`)).text()).trim().split('\n');
    expect(sums.map((line) => line.slice(66)).toSorted()).toEqual(rows.map(([, name]) => name).toSorted());
    const [, name, size] = rows[0] as RegExpExecArray;
    const head = await fetch(`${site.baseUrl}${folder}${name}`, {
      method: 'HEAD',
      headers: { 'User-Agent': AGENT },
    });
    expect(head.headers.get('content-length')).toBe(size);
  });

  test('is scripted like any other', async () => {
    const [db = ''] = world.dbnames;
    const run = site.upstream.run(db, '20261101');
    await run.rerun('articlesdump');
    const before = statusDocument({ dbname: db, date: '20261101', split: wikiSplits.giant });
    const after = await run.status();
    const name = `${db}-20261101-pages-articles1.xml-p1p41242.bz2`;
    const [old, file] = [before, after].map((document) => document.jobs.articlesdump?.files?.[name]);
    expect(file?.size).toBe((old?.size ?? 0) + 14);
    expect(file?.sha1).not.toBe(old?.sha1);
    const next = await site.upstream.beginRun({ dbname: db, date: '20261201' });
    await next.finish({ failed: ['pagetable'] });
    const { wikis } = (await (await ask('/index.json')).json()) as { wikis: Record<string, StatusDocument> };
    expect(filesOf(wikis[db] as StatusDocument)[0]?.[0]).toContain('-20261201-');
    expect(wikis[db]?.jobs.pagetable?.status).toBe('failed');
    const content = await site.upstream.beginContent('current', db, '2026-12-01');
    await content.show({ files: 3, success: false });
    const listing = await (await ask(`/other/mediawiki_content_current/${db}/2026-12-01/xml/bzip2/`)).text();
    expect(listing.match(/\.bz2">/g)).toHaveLength(3);
  });
});

describe('smaller worlds', () => {
  const small = (): string => mkdtempSync(join(tmpdir(), 'wikiseed-world-'));

  test('are reused, and made anew for other options', async () => {
    const folder = small();
    const options = { dir: folder, wikis: 3, giants: 1, large: 1, runDates: ['20260101', '20260120'] };
    expect(await generateStatusWorld(options)).toMatchObject({
      isReused: false,
      filesByDate: { '20260101': 2184 + 292 + 54 },
    });
    expect((await generateStatusWorld(options)).isReused).toBe(true);
    expect((await generateStatusWorld({ ...options, giants: 0 })).filesByDate['20260101']).toBe(292 + 54 * 2);
    rmSync(folder, { recursive: true });
  });

  test('refuse foreign folders and options out of range', async () => {
    const folder = small();
    const runDates = ['20260101'];
    await expect(generateStatusWorld({ dir: folder, wikis: wikiCountMax + 1, runDates })).rejects.toThrow(
      RangeError,
    );
    await expect(generateStatusWorld({ dir: folder, runDates: ['20260231'] })).rejects.toThrow(RangeError);
    writeFileSync(join(folder, 'mine.txt'), 'x');
    await expect(generateStatusWorld({ dir: folder, wikis: 1, runDates })).rejects.toThrow(
      'not a sandbox tree',
    );
    rmSync(folder, { recursive: true });
  });

  test('history is skipped in partial runs', () => {
    const { jobs } = statusDocument({ dbname: 'aawiki', date: '20260120', split: wikiSplits.small });
    expect(jobs.metahistory7zdump).toMatchObject({
      status: 'skipped',
      files: { 'aawiki-20260120-pages-meta-history1.xml-p1p41242.7z': {} },
    });
  });

  test('there are wikis for a world as large as upstream', () => {
    expect(wikiCountMax).toBeGreaterThan(1000);
  });
});
