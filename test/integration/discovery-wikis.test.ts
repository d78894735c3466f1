import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import { crossCheck, judgeWiki, looksLikeWiki } from '../../src/discovery/cross-check.ts';
import { readSiteMatrix } from '../../src/discovery/site-matrix.ts';
import { createUpstream } from '../../src/discovery/upstream.ts';
import { createWikiJudge } from '../../src/discovery/wiki-filter.ts';
import { createWikiReader } from '../../src/discovery/wiki-reader.ts';
import { createHttp, silentLog } from '../../src/ports/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { fixtures } from '../helpers/needs.ts';
import { withDb } from '../helpers/with-db.ts';

const folder = fixtures();
const read = (path: string): string => readFileSync(join(folder ?? '', path), 'utf8');

interface Group {
  code: string;
  site: object[];
}

/** An API over real sockets that gives a site matrix piece by piece, and a catalog that it is written into. */
async function setup(answer: (parameters: URLSearchParams) => string | { status: number; body: string }) {
  const asked: URLSearchParams[] = [];
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://127.0.0.1');
    asked.push(url.searchParams);
    const given = answer(url.searchParams);
    const { status, body } = typeof given === 'string' ? { status: 200, body: given } : given;
    res.writeHead(status, { 'content-type': 'application/json', 'retry-after': '9' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  onTestFinished(() => server.closeAllConnections());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clock = new FakeClock();
  const catalog = createCatalog({ db: withDb(), clock });
  const http = createHttp({ userAgent: 'WikiSeed/test (https://example.org; a@b.c)', clock });
  const upstream = createUpstream({ http, clock });
  const config = { sitematrixUrl: `${baseUrl}/w/api.php?uselang=en`, wikistatsUrl: `${baseUrl}/stats.csv` };
  const reader = createWikiReader({ catalog, upstream, log: silentLog, config });
  return { asked, catalog, clock, reader, signal: new AbortController().signal };
}

/** The real matrix, `size` languages an answer, the way the API continues. */
function inPieces(parameters: URLSearchParams, size: number): string {
  const { sitematrix } = JSON.parse(read('_api/sitematrix.json')) as {
    sitematrix: Record<string, Group> & { count: number; specials: object[] };
  };
  const { count, specials, ...groups } = sitematrix;
  const keys = Object.keys(groups);
  const from = Number(parameters.get('smcontinue')?.split('|')[1] ?? 0);
  const piece = Object.fromEntries(keys.slice(from, from + size).map((key) => [key, groups[key]]));
  const isLast = from + size >= keys.length;
  return JSON.stringify({
    ...(isLast ? {} : { continue: { smcontinue: `language|${from + size}`, continue: '-||' } }),
    sitematrix: { count, ...piece, ...(isLast ? { specials } : {}) },
  });
}

describe.skipIf(folder === null)('the list of all wikis', () => {
  test('in many answers is the same as in one, and no wiki vanishes on the way', async () => {
    const { asked, catalog, reader, signal } = await setup((parameters) =>
      parameters.has('action') ? inPieces(parameters, 50) : { status: 404, body: '' },
    );
    reader.record(await reader.read(signal));
    const whole = await readSiteMatrix(async () => read('_api/sitematrix.json'));
    const pick = ({ wikiDbName, project, language, isPrivate }: (typeof whole.wikis)[number]) => ({
      wikiDbName,
      project,
      language,
      isPrivate,
    });
    const byName = (a: { wikiDbName: string }, b: { wikiDbName: string }) =>
      a.wikiDbName < b.wikiDbName ? -1 : 1;
    expect(catalog.wikis().map(pick)).toEqual(whole.wikis.map(pick).sort(byName));
    const matrixRequests = asked.filter((parameters) => parameters.has('action'));
    expect(matrixRequests).toHaveLength(7);
    expect(matrixRequests[1]?.get('smcontinue')).toBe('language|50');
    expect(matrixRequests[1]?.get('continue')).toBe('-||');
    expect(catalog.wikis().filter((wiki) => wiki.vanishedAt !== null)).toEqual([]);
  });

  test.each([
    ['an error of the API', '{"error":{"code":"maxlag","info":"5 seconds lagged"}}', 'site_matrix_refused'],
    ['half an answer', '{"sitematrix":{"count":3,"0":{"co', 'torn_site_matrix'],
    ['an overload', { status: 429, body: 'slow down' }, 'http_status'],
  ])('that breaks off with %s changes nothing', async (_what, answer, code) => {
    let pieces = 0;
    const { catalog, reader, signal } = await setup((parameters) => {
      pieces += 1;
      return pieces < 3 ? inPieces(parameters, 50) : answer;
    });
    await expect(reader.read(signal)).rejects.toMatchObject({ code });
    expect(pieces).toBe(3);
    expect(catalog.wikis()).toEqual([]);
  });

  test('with sizes, which find their wikis; without them nothing else is lost', async () => {
    let stats = 'rank,prefix,type,total\n1,be-tarask,wikipedia,500\n2,commons,special,900\nbroken\n';
    const { catalog, reader, signal } = await setup((parameters) =>
      parameters.has('action') ? inPieces(parameters, 5000) : stats,
    );
    reader.record(await reader.read(signal));
    const pages = (name: string) => catalog.wikis().find((wiki) => wiki.wikiDbName === name)?.pageCount;
    expect([pages('be_x_oldwiki'), pages('commonswiki'), pages('enwiki')]).toEqual([500, 900, null]);
    stats = '<html>no table</html>';
    reader.record(await reader.read(signal));
    expect(catalog.wikis()).toHaveLength(996);
    expect(pages('commonswiki')).toBe(900);
  });
});

describe.skipIf(folder === null)('the real matrix against the real dumps', () => {
  test('14.11 private wikis are never taken, closed and fishbowl ones are, and each has its reason', async () => {
    const { catalog, reader, signal } = await setup((parameters) =>
      parameters.has('action') ? read('_api/sitematrix.formatversion2.json') : { status: 404, body: '' },
    );
    reader.record(await reader.read(signal));
    const names = Object.keys((JSON.parse(read('index.json')) as { wikis: object }).wikis);
    const mirrored = read('rsync-dirlist-last-1-good.txt')
      .split('\n')
      .flatMap((line) => line.split('/')[1] ?? []);
    const check = crossCheck(catalog.wikis(), [
      { place: 'index.json', names },
      { place: 'rsync-dirlist-last-1-good.txt', names: mirrored },
    ]);
    expect(check.dumped).toEqual(expect.arrayContaining(['aawiki', 'enwiki', 'enwikivoyage']));
    expect(check).toMatchObject({ notInMatrix: [], privateButDumped: [], vanishedButDumped: [] });
    expect(check.notDumped).toHaveLength(996 - 38 - check.dumped.length);
    catalog.noteDumped(check.dumped);

    const judge = createWikiJudge({ include: ['*'], exclude: ['de*'] });
    const verdicts = new Map(
      catalog.wikis().map((wiki) => [wiki.wikiDbName, judgeWiki(wiki, judge(wiki.wikiDbName))]),
    );
    expect(verdicts.size).toBe(996);
    expect(verdicts.get('aawiki')).toEqual({ included: true, reason: 'closed, still dumped' });
    expect(verdicts.get('enwiki')).toEqual({
      included: true,
      reason: 'included by discovery.wikis.include ("*")',
    });
    expect(verdicts.get('dewiki')?.reason).toBe('excluded by discovery.wikis.exclude ("de*")');
    const reasons = [...verdicts.values()].map(({ reason }) => reason);
    expect(reasons.filter((reason) => reason === 'private: upstream publishes no dumps')).toHaveLength(38);
    expect(reasons.every((reason) => reason.length > 0)).toBe(true);
    expect(catalog.wikis().every((wiki) => looksLikeWiki(wiki.wikiDbName))).toBe(true);
  });

  test('a wiki that leaves the matrix stays, marked and taken while it is dumped', async () => {
    const whole = JSON.parse(read('_api/sitematrix.json')) as {
      sitematrix: { specials: { dbname: string }[] };
    };
    let text = JSON.stringify(whole);
    const { catalog, clock, reader, signal } = await setup((parameters) =>
      parameters.has('action') ? text : { status: 404, body: '' },
    );
    reader.record(await reader.read(signal));
    whole.sitematrix.specials = whole.sitematrix.specials.filter(({ dbname }) => dbname !== 'specieswiki');
    text = JSON.stringify(whole);
    reader.record(await reader.read(signal));
    catalog.noteDumped(['specieswiki']);
    const gone = catalog.wikis().find((wiki) => wiki.wikiDbName === 'specieswiki');
    expect(gone?.vanishedAt).toBe(clock.now());
    const check = crossCheck(catalog.wikis(), [{ place: 'index.json', names: ['specieswiki'] }]);
    expect(check.vanishedButDumped).toEqual(['specieswiki']);
    if (gone === undefined) throw new Error('it was removed');
    expect(judgeWiki(gone, createWikiJudge({ include: ['*'], exclude: [] })('specieswiki'))).toEqual({
      included: true,
      reason: 'vanished from the site matrix, dumped before; kept',
    });
  });
});
