import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  createFaultList,
  type DumpSite,
  generateDumpTree,
  type RunScript,
  type StatusDocument,
  startDumpSite,
  type UpstreamScript,
} from '../../src/sandbox/index.ts';
import { findSevenZip } from '../../src/sandbox/seven-zip.ts';
import { has } from '../helpers/needs.ts';

const hasBzip2 = has('bzip2');
const hasGzip = has('gzip');
const sevenZip = await findSevenZip();
if (sevenZip === null) console.log('skipped: no 7-Zip (7zz, 7z, 7za, 7zr) on the PATH');

const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
const DATE = '20260101';
const START = Date.parse('2026-01-05T10:00:00Z');
const faults = createFaultList();
let root: string;
let site: DumpSite;
let upstream: UpstreamScript;
let nowMs: number;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'wikiseed-upstream-'));
  await generateDumpTree({ dir: root, seed: 5, wikis: 4, sizeBytes: 600_000, runDates: [DATE] });
  site = await startDumpSite({ root, faults, now: () => nowMs });
  upstream = site.upstream;
}, 60_000);
afterAll(async () => {
  await site.stop();
  rmSync(root, { recursive: true, force: true });
});
afterEach(() => faults.clear());

const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${site.baseUrl}${path}`, { headers: { 'User-Agent': AGENT, ...headers } });
const bytes = async (path: string): Promise<Buffer> => Buffer.from(await (await ask(path)).arrayBuffer());
const text = async (path: string): Promise<string> => (await ask(path)).text();
const index = async (): Promise<Record<string, StatusDocument>> =>
  (JSON.parse(await text('/index.json')) as { wikis: Record<string, StatusDocument> }).wikis;
const statusOf = async (run: RunScript): Promise<StatusDocument> =>
  JSON.parse(await text(`/${run.dbname}/${run.date}/dumpstatus.json`)) as StatusDocument;
const digest = (algorithm: string, data: Buffer): string => createHash(algorithm).update(data).digest('hex');

/** A run that no other test touches: a wiki of its own, like the small closed one. */
let wikisMade = 0;
async function freshRun(like = 'aawiki'): Promise<RunScript> {
  wikisMade += 1;
  nowMs = START + wikisMade * 3_600_000;
  const dbname = `t${wikisMade}wiki`;
  return upstream.beginRun({ dbname, date: DATE, like: { dbname: like, date: DATE } });
}

describe('jobs of a run', () => {
  test('wait, run, fail and are done, in the words of upstream', async () => {
    const run = await freshRun();
    const job = async () => (await statusOf(run)).jobs.articlesdump;
    const name = `${run.dbname}-${DATE}-pages-articles.xml.bz2`;
    expect(await job()).toEqual({ status: 'waiting', updated: '', files: { [name]: {} } });
    expect((await ask(`/${run.dbname}/${DATE}/${name}`)).status).toBe(404);

    await run.setJob('articlesdump', 'in-progress', { share: 0.25 });
    const early = (await job())?.files?.[name];
    await run.setJob('articlesdump', 'in-progress', { share: 0.75 });
    const late = (await job())?.files?.[name];
    expect(Object.keys(late ?? {})).toEqual(['size']);
    expect(late?.size).toBeGreaterThan(early?.size ?? 0);

    await run.setJob('articlesdump', 'failed');
    expect(await job()).toMatchObject({ status: 'failed', files: { [name]: {} } });

    nowMs = Date.parse('2026-01-09T12:34:56Z');
    await run.setJob('articlesdump', 'done');
    const done = await job();
    expect(done?.updated).toBe('2026-01-09 12:34:56');
    const data = await bytes(`/${run.dbname}/${DATE}/${name}`);
    expect(done?.files?.[name]).toEqual({
      size: data.length,
      url: `/${run.dbname}/${DATE}/${name}`,
      md5: digest('md5', data),
      sha1: digest('sha1', data),
    });

    await run.setJob('articlesdump', 'skipped', { files: 'absent' });
    expect(Object.keys((await job()) ?? {})).toEqual(['status', 'updated']);
    await run.setJob('articlesdump', 'thinking-about-it');
    expect((await job())?.status).toBe('thinking-about-it');
    await expect(run.setJob('nosuchjob', 'done')).rejects.toThrow(RangeError);
  });

  test('can all be finished at once, with failures', async () => {
    const run = await freshRun();
    await run.finish({ failed: ['pagelinkstable'] });
    const { jobs } = await statusOf(run);
    const states = new Set(Object.values(jobs).map((job) => job.status));
    expect([...states].toSorted()).toEqual(['done', 'failed']);
    expect(jobs.pagelinkstable?.status).toBe('failed');
    expect(await text(`/${run.dbname}/${DATE}/`)).toContain('Dump complete');
    expect(await run.status()).toEqual(await statusOf(run));
  });

  test('history jobs of a partial run are skipped', async () => {
    const run = await upstream.beginRun({
      dbname: 'frankwiki',
      date: '20260120',
      like: { dbname: 'aawiki' },
    });
    await run.finish();
    expect((await statusOf(run)).jobs.metahistorybz2dump?.status).toBe('skipped');
  });

  test('lose a file, which is {} in a done job and 404 on the site', async () => {
    const run = await freshRun();
    await run.finish();
    await run.dropFile('site_stats.sql.gz');
    const name = `${run.dbname}-${DATE}-site_stats.sql.gz`;
    const job = async () => (await statusOf(run)).jobs.sitestatstable;
    expect(await job()).toMatchObject({ status: 'done', files: { [name]: {} } });
    expect((await ask(`/${run.dbname}/${DATE}/${name}`)).status).toBe(404);
    expect(await text(`/${run.dbname}/${DATE}/${run.dbname}-${DATE}-sha1sums.txt`)).not.toContain(name);
    await run.restoreFile(name);
    expect((await job())?.files?.[name]?.size).toBeGreaterThan(0);
    expect((await ask(`/${run.dbname}/${DATE}/${name}`)).status).toBe(200);
    await expect(run.dropFile('nosuch.sql.gz')).rejects.toThrow(RangeError);
  });

  test('anything else is written by an edit, which later steps keep', async () => {
    const run = await freshRun();
    await run.edit((status) => {
      status.version = '0.9';
      status.jobs.articlesdump = { status: 'done', updated: '', files: { '../x': { size: 2 ** 40 } } };
    });
    await run.setJob('sitestatstable', 'done');
    const edited = await statusOf(run);
    expect([edited.version, edited.jobs.articlesdump?.files]).toEqual(['0.9', { '../x': { size: 2 ** 40 } }]);
    expect(edited.jobs.sitestatstable?.status).toBe('done');
    await run.edit(null);
    expect((await statusOf(run)).version).toBe('0.8');
  });
});

describe('hashes', () => {
  test('come late: first in no place, then in the lists, then in the status', async () => {
    const run = await freshRun();
    const folder = `/${run.dbname}/${DATE}`;
    const name = `${run.dbname}-${DATE}-redirect.sql.gz`;
    await run.hideHashes();
    await run.finish();
    expect(await text(`${folder}/dumpstatus.json`)).not.toMatch(/"md5"|"sha1"/);
    expect(await text(`${folder}/${run.dbname}-${DATE}-sha1sums.txt`)).toBe('');
    expect((await ask(`${folder}/sha1sums-${name}.txt`)).status).toBe(404);

    await run.showHashes({ where: 'sums', files: ['redirect.sql.gz'] });
    const sha1 = digest('sha1', await bytes(`${folder}/${name}`));
    expect(await text(`${folder}/${run.dbname}-${DATE}-sha1sums.txt`)).toBe(`${sha1}  ${name}\n`);
    expect(await text(`${folder}/sha1sums-${name}.txt`)).toBe(`${sha1}  ${name}\n`);
    expect(JSON.parse(await text(`${folder}/${run.dbname}-${DATE}-sha1sums.json`))).toEqual({
      sha1: { files: { [name]: sha1 } },
    });
    expect((await statusOf(run)).jobs.redirecttable?.files?.[name]).not.toHaveProperty('sha1');

    await run.showHashes({ algorithms: ['sha1'] });
    const file = (await statusOf(run)).jobs.redirecttable?.files?.[name];
    expect([file?.sha1, file?.md5]).toEqual([sha1, undefined]);
    await run.showHashes();
    expect((await statusOf(run)).jobs.redirecttable?.files?.[name]).toHaveProperty('md5');
  });

  test.skipIf(!has('sha1sum') || !has('md5sum'))('lists satisfy sha1sum and md5sum', async () => {
    const run = await freshRun('enwiki');
    await run.finish();
    await run.rerun('articlesdump');
    for (const algorithm of ['md5', 'sha1']) {
      const list = `${run.dbname}-${DATE}-${algorithm}sums.txt`;
      execFileSync(`${algorithm}sum`, ['--check', '--quiet', list], { cwd: join(root, run.dbname, DATE) });
    }
  });
});

describe('a job that runs again', () => {
  const jobs = ['metahistorybz2dump', 'metahistory7zdump', 'pagelinkstable'];

  test.skipIf(!hasBzip2 || !hasGzip || sevenZip === null)(
    'leaves other bytes that are still valid, with their facts in every document',
    async () => {
      const run = await freshRun();
      await run.finish();
      for (const sameSize of [false, false, true]) {
        for (const job of jobs) {
          const before = (await statusOf(run)).jobs[job];
          nowMs += 60_000;
          await run.rerun(job, { sameSize });
          const after = (await statusOf(run)).jobs[job];
          const name = Object.keys(after?.files ?? {})[0] as string;
          const [old, facts] = [before?.files?.[name], after?.files?.[name]];
          expect(after?.updated).not.toBe(before?.updated);
          expect(facts?.size === old?.size).toBe(sameSize);
          expect(facts?.sha1).not.toBe(old?.sha1);
          const data = await bytes(`/${run.dbname}/${DATE}/${name}`);
          expect([data.length, digest('sha1', data), digest('md5', data)]).toEqual([
            facts?.size,
            facts?.sha1,
            facts?.md5,
          ]);
          const path = join(root, run.dbname, DATE, name);
          if (name.endsWith('.7z')) {
            const said = execFileSync(sevenZip as string, ['t', path]).toString();
            expect(said).toContain('Everything is Ok');
            expect(said).not.toMatch(/warning/i);
          } else execFileSync(name.endsWith('.gz') ? 'gzip' : 'bzip2', ['-t', path]);
        }
      }
    },
  );

  test('may cut its parts elsewhere', async () => {
    const run = await freshRun('enwiki');
    await run.finish();
    const before = Object.keys((await statusOf(run)).jobs.metacurrentdump?.files ?? {});
    await run.rerun('metacurrentdump', { rename: (file) => file.replace(/p\d+p\d+/, (r) => `${r}0`) });
    const after = Object.keys((await statusOf(run)).jobs.metacurrentdump?.files ?? {});
    expect(after).toEqual(before.map((name) => name.replace('.bz2', '0.bz2')));
    expect((await ask(`/${run.dbname}/${DATE}/${before[0]}`)).status).toBe(404);
    expect((await ask(`/${run.dbname}/${DATE}/${after[0]}`)).status).toBe(200);
    const sums = await text(`/${run.dbname}/${DATE}/${run.dbname}-${DATE}-md5sums.txt`);
    expect(sums).toContain(after[0]);
    expect(sums).not.toContain(`${before[0]}\n`);
  });

  test('does not disturb who is still reading the old bytes', async () => {
    const run = await freshRun();
    await run.finish();
    const path = `/${run.dbname}/${DATE}/${run.dbname}-${DATE}-pages-meta-history.xml.bz2`;
    const old = await bytes(path);
    const stall = faults.add({ server: 'dumps', match: path, kind: 'stall', atByte: 100 });
    const held = await ask(path);
    await stall.whenFired();
    await run.rerun('metahistorybz2dump');
    stall.release();
    expect(Buffer.from(await held.arrayBuffer()).equals(old)).toBe(true);
    const etag = held.headers.get('etag') ?? '';
    expect((await ask(path, { Range: 'bytes=5-', 'If-Range': etag })).status).toBe(200);
  });
});

describe('runs and wikis', () => {
  test('a new run shows in the index while the old one goes on', async () => {
    const old = await freshRun();
    await old.setJob('articlesdump', 'done');
    const before = await ask('/index.json');
    await before.text();
    const next = await upstream.beginRun({ dbname: old.dbname, date: '20260120' });
    const entry = JSON.stringify((await index())[old.dbname]);
    expect(entry).toContain(`${old.dbname}-20260120-pages-articles.xml.bz2`);
    expect(entry).not.toContain(DATE);
    expect(await text(`/${old.dbname}/`)).toMatch(/href="20260101\/"[\s\S]*href="20260120\/"/);
    await old.setJob('pagelinkstable', 'done');
    await next.setJob('pagelinkstable', 'failed');
    expect((await statusOf(old)).jobs.pagelinkstable?.status).toBe('done');
    expect((await index())[old.dbname]?.jobs.pagelinkstable?.status).toBe('failed');
    const etag = before.headers.get('etag') ?? '';
    expect((await ask('/index.json', { 'If-None-Match': etag })).status).toBe(200);
  });

  test('a run vanishes from everywhere, then the whole wiki', async () => {
    const old = await freshRun();
    const next = await upstream.beginRun({ dbname: old.dbname, date: '20260120', files: 'absent' });
    expect((await statusOf(next)).jobs.articlesdump).toEqual({ status: 'waiting', updated: '' });
    nowMs = Date.parse('2026-02-03T04:05:00Z');
    await next.remove();
    expect((await ask(`/${next.dbname}/20260120/dumpstatus.json`)).status).toBe(404);
    expect(await text(`/${old.dbname}/`)).not.toContain('20260120');
    expect(JSON.stringify((await index())[old.dbname])).toContain(DATE);
    expect(await text('/')).toMatch(new RegExp(`${old.dbname}/</a> +03-Feb-2026 04:05`));
    await upstream.removeWiki(old.dbname);
    expect(await index()).not.toHaveProperty(old.dbname);
    expect((await ask(`/${old.dbname}/`)).status).toBe(404);
    expect(await text('/')).not.toContain(`${old.dbname}/`);
    await expect(old.setJob('articlesdump', 'done')).rejects.toThrow('has no run');
  });

  test('the index can lag behind, show a wiki as {} and leave one out', async () => {
    const run = await freshRun();
    await run.setJob('articlesdump', 'failed');
    await upstream.index.hold();
    await run.setJob('articlesdump', 'done');
    expect((await index())[run.dbname]?.jobs.articlesdump?.status).toBe('failed');
    upstream.index.follow();
    expect((await index())[run.dbname]?.jobs.articlesdump?.status).toBe('done');
    upstream.index.entry(run.dbname, 'empty');
    upstream.index.entry('aawiki', 'absent');
    const shown = await index();
    expect(shown[run.dbname]).toEqual({});
    expect(shown).not.toHaveProperty('aawiki');
    upstream.index.entry(run.dbname, null);
    upstream.index.entry('aawiki', null);
    expect((await index()).aawiki?.version).toBe('0.8');
  });
});

describe('conditional requests', () => {
  test('are answered 304 until something changes, even if neither size nor clock do', async () => {
    const run = await freshRun();
    await run.finish();
    for (const path of ['/index.json', `/${run.dbname}/${DATE}/dumpstatus.json`]) {
      const first = await ask(path);
      const whole = await first.text();
      const tag = { 'If-None-Match': first.headers.get('etag') ?? '' };
      const since = { 'If-Modified-Since': first.headers.get('last-modified') ?? '' };
      for (const headers of [tag, since]) {
        const again = await ask(path, headers);
        expect([again.status, await again.text()]).toEqual([304, '']);
      }
      const frozen = nowMs;
      await run.rerun('articlesdump', { sameSize: true });
      expect(nowMs).toBe(frozen);
      for (const headers of [tag, since]) {
        const again = await ask(path, headers);
        expect(again.status).toBe(200);
        const changed = await again.text();
        expect(changed).not.toBe(whole);
        expect(changed.length).toBe(whole.length);
      }
    }
  });
});

describe('torn documents', () => {
  test.each(['/index.json', '/aawiki/20260101/dumpstatus.json', '/w/api.php'])('%s', async (path) => {
    const torn = faults.add({ server: 'dumps', match: path, kind: 'torn-json' });
    const address = path === '/w/api.php' ? `${path}?action=sitematrix&format=json` : path;
    const half = await text(address);
    expect(torn.fired).toBe(1);
    expect(() => JSON.parse(half)).toThrow();
    const whole = await text(address);
    expect(whole.startsWith(half)).toBe(true);
    JSON.parse(whole);
  });
});

describe('site matrix', () => {
  type Sites = { dbname: string; [flag: string]: unknown }[];
  const sites = async (version: 1 | 2): Promise<Sites> => {
    const body = await text(`/w/api.php?action=sitematrix&format=json&formatversion=${version}`);
    const { count, specials, ...languages } = (JSON.parse(body) as { sitematrix: Record<string, unknown> })
      .sitematrix;
    const all = [
      ...(specials as Sites),
      ...Object.values(languages).flatMap((l) => (l as { site: Sites }).site),
    ];
    expect(all).toHaveLength(count as number);
    return all;
  };
  const find = async (dbname: string) => {
    const [one, two] = [await sites(1), await sites(2)];
    return [one.find((s) => s.dbname === dbname), two.find((s) => s.dbname === dbname)];
  };

  test('gains wikis, flags and loses wikis, in both format versions', async () => {
    const facts = { lang: 'tlh', url: 'https://tlh.wikipedia.org', sitename: 'Wikipedia' };
    await upstream.siteMatrix.add({ dbname: 'tlhwiki', code: 'wiki', ...facts });
    const site = { url: facts.url, dbname: 'tlhwiki', code: 'wiki', sitename: 'Wikipedia' };
    expect(await find('tlhwiki')).toEqual([site, site]);
    await upstream.siteMatrix.flag('tlhwiki', { closed: true, fishbowl: true });
    expect(await find('tlhwiki')).toEqual([
      { ...site, closed: '', fishbowl: '' },
      { ...site, closed: true, fishbowl: true },
    ]);
    await upstream.siteMatrix.flag('tlhwiki', { closed: false, private: true });
    expect((await find('tlhwiki'))[0]).toEqual({ ...site, private: '', fishbowl: '' });
    await upstream.siteMatrix.remove('tlhwiki');
    expect(await find('tlhwiki')).toEqual([undefined, undefined]);
    await upstream.siteMatrix.add({
      ...site,
      lang: 'meta',
      dbname: 'newwiki',
      isSpecial: true,
      closed: true,
    });
    expect((await find('newwiki'))[1]).toMatchObject({ lang: 'meta', closed: true });
    await expect(upstream.siteMatrix.flag('nosuchwiki', {})).rejects.toThrow(RangeError);
  });
});

test('a folder that the sandbox did not make is served, but not changed', async () => {
  const foreign = mkdtempSync(join(tmpdir(), 'wikiseed-foreign-'));
  writeFileSync(join(foreign, 'index.json'), '{"wikis": {}}');
  const other = await startDumpSite({ root: foreign });
  await expect(other.upstream.run('aawiki', DATE).setJob('x', 'done')).rejects.toThrow('not made by');
  await expect(other.upstream.removeWiki('aawiki')).rejects.toThrow('not made by');
  await other.stop();
  rmSync(foreign, { recursive: true, force: true });
});

test('what was scripted outlasts a restart', async () => {
  const run = await freshRun();
  await run.setJob('articlesdump', 'failed');
  const tree = { dir: root, seed: 5, wikis: 4, sizeBytes: 600_000, runDates: [DATE] };
  expect((await generateDumpTree(tree)).isReused).toBe(true);
  const again = await startDumpSite({ root });
  const headers = { 'User-Agent': AGENT };
  const status = await (
    await fetch(`${again.baseUrl}/${run.dbname}/${DATE}/dumpstatus.json`, { headers })
  ).text();
  expect(JSON.parse(status)).toEqual(await run.status());
  await again.upstream.run(run.dbname, DATE).setJob('articlesdump', 'done');
  expect((await run.status()).jobs.articlesdump?.status).toBe('done');
  await again.stop();
});
