import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { generateDumpTree, startDumpSite } from '../../src/sandbox/index.ts';
import { AGENT, DATE, scriptedSite } from '../helpers/scripted-site.ts';

const { ask, clock, faults, freshRun, index, root, statusOf, text, tree, upstream } = scriptedSite();

describe('runs and wikis', () => {
  test('a new run shows in the index while the old one goes on', async () => {
    const old = await freshRun();
    await old.setJob('articlesdump', 'done');
    const before = await ask('/index.json');
    await before.text();
    const next = await upstream().beginRun({ dbname: old.dbname, date: '20260120' });
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
    const next = await upstream().beginRun({ dbname: old.dbname, date: '20260120', files: 'absent' });
    expect((await statusOf(next)).jobs.articlesdump).toEqual({ status: 'waiting', updated: '' });
    clock.nowMs = Date.parse('2026-02-03T04:05:00Z');
    await next.remove();
    expect((await ask(`/${next.dbname}/20260120/dumpstatus.json`)).status).toBe(404);
    expect(await text(`/${old.dbname}/`)).not.toContain('20260120');
    expect(JSON.stringify((await index())[old.dbname])).toContain(DATE);
    expect(await text('/')).toMatch(new RegExp(`${old.dbname}/</a> +03-Feb-2026 04:05`));
    await upstream().removeWiki(old.dbname);
    expect(await index()).not.toHaveProperty(old.dbname);
    expect((await ask(`/${old.dbname}/`)).status).toBe(404);
    expect(await text('/')).not.toContain(`${old.dbname}/`);
    await expect(old.setJob('articlesdump', 'done')).rejects.toThrow('has no run');
  });

  test('the index can lag behind, show a wiki as {} and leave one out', async () => {
    const run = await freshRun();
    await run.setJob('articlesdump', 'failed');
    await upstream().index.hold();
    await run.setJob('articlesdump', 'done');
    expect((await index())[run.dbname]?.jobs.articlesdump?.status).toBe('failed');
    upstream().index.follow();
    expect((await index())[run.dbname]?.jobs.articlesdump?.status).toBe('done');
    upstream().index.entry(run.dbname, 'empty');
    upstream().index.entry('aawiki', 'absent');
    const shown = await index();
    expect(shown[run.dbname]).toEqual({});
    expect(shown).not.toHaveProperty('aawiki');
    upstream().index.entry(run.dbname, null);
    upstream().index.entry('aawiki', null);
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
      const frozen = clock.nowMs;
      await run.rerun('articlesdump', { sameSize: true });
      expect(clock.nowMs).toBe(frozen);
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
    await upstream().siteMatrix.add({ dbname: 'tlhwiki', code: 'wiki', ...facts });
    const site = { url: facts.url, dbname: 'tlhwiki', code: 'wiki', sitename: 'Wikipedia' };
    expect(await find('tlhwiki')).toEqual([site, site]);
    await upstream().siteMatrix.flag('tlhwiki', { closed: true, fishbowl: true });
    expect(await find('tlhwiki')).toEqual([
      { ...site, closed: '', fishbowl: '' },
      { ...site, closed: true, fishbowl: true },
    ]);
    await upstream().siteMatrix.flag('tlhwiki', { closed: false, private: true });
    expect((await find('tlhwiki'))[0]).toEqual({ ...site, private: '', fishbowl: '' });
    await upstream().siteMatrix.remove('tlhwiki');
    expect(await find('tlhwiki')).toEqual([undefined, undefined]);
    await upstream().siteMatrix.add({
      ...site,
      lang: 'meta',
      dbname: 'newwiki',
      isSpecial: true,
      closed: true,
    });
    expect((await find('newwiki'))[1]).toMatchObject({ lang: 'meta', closed: true });
    await expect(upstream().siteMatrix.flag('nosuchwiki', {})).rejects.toThrow(RangeError);
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
