import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createFaultList, type DumpSite, generateDumpTree, startDumpSite } from '../../src/sandbox/index.ts';

const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
const root = mkdtempSync(join(tmpdir(), 'wikiseed-counts-'));
const faults = createFaultList();
let site: DumpSite;
const data = '/enwiki/20260101/enwiki-20260101-pages-articles.xml.bz2';

beforeAll(async () => {
  await generateDumpTree({
    dir: root,
    seed: 3,
    wikis: 2,
    sizeBytes: 200_000,
    runDates: ['20260101'],
    contentExports: ['current'],
  });
  site = await startDumpSite({ root, faults });
}, 60_000);
beforeEach(() => {
  faults.clear();
  site.resetCounters();
});
afterAll(async () => {
  await site.stop();
  rmSync(root, { recursive: true, force: true });
});

/** One request over the agent's connections; resolves with the status when the body has been read. */
function ask(
  path: string,
  agent: Agent,
  headers: Record<string, string> = {},
  host = '127.0.0.1',
): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { agent, headers: { 'User-Agent': AGENT, Host: `${host}:${site.port}`, ...headers } };
    get(`${site.baseUrl}${path}`, options, (response: IncomingMessage) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    }).once('error', reject);
  });
}

describe('counters', () => {
  test('tell what was asked for, of which host', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const content = '/other/mediawiki_content_current/enwiki/2026-01-01/xml/bzip2/';
    const [file = ''] = await site.upstream.content('current', 'enwiki', '2026-01-01').files();
    const paths = {
      index: ['/index.json'],
      status: ['/enwiki/20260101/dumpstatus.json', '/aawiki/20251201/dumpstatus.json'],
      listing: ['/', '/enwiki/', '/enwiki/20260101/'],
      sums: [
        '/enwiki/20260101/enwiki-20260101-sha1sums.txt',
        '/enwiki/20260101/enwiki-20260101-md5sums.json',
        '/enwiki/20260101/sha1sums-enwiki-20260101-page.sql.gz.txt',
      ],
      siteMatrix: ['/w/api.php?action=sitematrix&format=json'],
      wikistats: ['/wikistats.csv'],
      content: ['/other/mediawiki_content_current/', content, `${content}SHA256SUMS`, `${content}_SUCCESS`],
      data: [data, `${content}${file}`],
      other: ['/legal.html', '/enwiki/20260101/report.json'],
    };
    for (const path of Object.values(paths).flat()) await ask(path, agent);
    await ask('/index.json', agent, {}, 'elsewhere.example');
    const counters = site.counters();
    const expected = Object.fromEntries(Object.entries(paths).map(([kind, list]) => [kind, list.length]));
    expect(counters.byHost[`127.0.0.1:${site.port}`]).toEqual(expected);
    expect(counters.byHost[`elsewhere.example:${site.port}`]).toEqual({ index: 1 });
    expect(counters.byKind).toEqual({ ...expected, index: 2 });
    expect(counters.requests).toBe(20);
    expect(counters.fileRequests).toBe(2);
    expect(counters.byStatus).toEqual({ '200': 19, '404': 1 });
    expect([counters.maxConcurrent, counters.maxSockets]).toEqual([1, 1]);
    const log = site.requestLog();
    expect(log).toHaveLength(20);
    expect(log[0]).toEqual({
      method: 'GET',
      path: '/index.json',
      kind: 'index',
      userAgent: AGENT,
      status: 200,
      range: null,
      ifRange: null,
      beganMs: expect.any(Number),
      endedMs: expect.any(Number),
    });
    expect(log.filter((entry) => entry.status === 404).map((entry) => entry.path)).toEqual([
      '/aawiki/20251201/dumpstatus.json',
    ]);
    agent.destroy();
  });

  test('tell the most requests and the most connections of one client, and what was refused', async () => {
    const agent = new Agent({ keepAlive: true });
    const stall = faults.add({ server: 'dumps', match: data, kind: 'stall', times: 3 });
    const held = [1, 2, 3].map(() => ask(data, agent));
    await stall.whenFired(3);
    expect(await ask('/legal.html', agent)).toBe(503);
    const other = new Agent({ keepAlive: true });
    expect(await ask('/legal.html', other, { 'User-Agent': `${AGENT} other` })).toBe(200);
    expect(await ask('/legal.html', other, { 'User-Agent': 'curl/8' })).toBe(403);
    stall.release();
    await Promise.all(held);
    expect(site.counters()).toMatchObject({
      maxConcurrent: 4,
      maxSockets: 4,
      refused: { connections: 1, agent: 1 },
      byStatus: { '200': 4, '503': 1, '403': 1 },
    });
    // One request after another uses a connection that is open: it is not a new one.
    site.resetCounters();
    await ask('/legal.html', agent);
    await ask('/legal.html', agent);
    expect(site.counters()).toMatchObject({ requests: 2, maxConcurrent: 1, maxSockets: 4 });
    agent.destroy();
    other.destroy();
  });

  test('tell of answers that said nothing new, and of connections cut', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const response = await fetch(`${site.baseUrl}/index.json`, { headers: { 'User-Agent': AGENT } });
    await response.text();
    const tag = { 'If-None-Match': response.headers.get('etag') ?? '' };
    expect(await ask('/index.json', agent, tag)).toBe(304);
    const cut = faults.add({ server: 'dumps', match: '/legal.html', kind: 'reset' });
    await expect(ask('/legal.html', agent)).rejects.toThrow();
    expect(cut.fired).toBe(1);
    const counters = site.counters();
    expect([counters.notModified, counters.byStatus]).toEqual([1, { '200': 1, '304': 1, none: 1 }]);
    expect(site.requestLog().at(-1)?.status).toBeNull();
    agent.destroy();
  });
});

test('the Wikistats table has its columns and a row for every wiki', async () => {
  const csv = await (await fetch(site.wikistatsUrl, { headers: { 'User-Agent': AGENT } })).text();
  const [head, ...rows] = csv.trim().split('\n');
  expect(head).toBe(
    'rank,prefix,type,language,loclang,good,total,edits,admins,users,activeusers,images,stubratio,timestamp',
  );
  expect(rows).toHaveLength(2);
  expect(rows[0]).toMatch(/^1,en,wikipedia,English,English,\d+,\d+,/);
});
