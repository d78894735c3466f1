import { expect, test } from 'vitest';
import type { DumpStatus, StatusJob } from './dump-status.ts';
import { matchType, type Selection, selectFiles } from './select-files.ts';

const run = { wikiDbName: 'enwiki', runDate: '20261120', baseUrl: 'https://dumps.wikimedia.org' };
const wanted: Selection = {
  regularTypes: ['pages-articles'],
  historyTypes: ['pages-meta-history'],
  includesHistory: false,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
};
const done = (...rests: string[]): StatusJob => job('done', ...rests);
function job(status: string, ...rests: string[]): StatusJob {
  return {
    status,
    updated: '2026-11-21 09:46:00',
    files: Object.fromEntries(
      rests.map((rest) => {
        const name = `enwiki-20261120-${rest}`;
        return [name, { size: 10, url: `/enwiki/20261120/${name}`, sha1: 'a'.repeat(40) }];
      }),
    ),
  };
}
const pick = (jobs: DumpStatus['jobs'], selection: Partial<Selection> = {}) => {
  const result = selectFiles({ jobs }, run, { ...wanted, ...selection });
  return { names: result.files.map((f) => f.filename.slice('enwiki-20261120-'.length)), ...result };
};

test.each([
  ['pages-articles.xml.bz2', 'pages-articles', 'whole'],
  ['pages-articles1.xml-p1p41242.bz2', 'pages-articles', 'part'],
  ['pages-articles1.xml-p000000010p000030302.bz2', 'pages-articles', 'part'],
  ['pages-articles27.xml-p74475910p75975909.bz2', 'pages-articles', 'part'],
  ['pages-articles-multistream.xml.bz2', 'pages-articles', null],
  ['pages-articles-multistream-index1.txt-p1p41242.bz2', 'pages-articles-multistream', 'part'],
  ['all-titles.gz', 'all-titles', 'whole'],
  ['all-titles-in-ns0.gz', 'all-titles', null],
  ['all-titles-in-ns0.gz', 'all-titles-in-ns0', 'whole'],
  ['stub-articles27.xml.gz', 'stub-articles', 'part'],
  ['page.sql.gz', 'page', 'whole'],
  ['page_props.sql.gz', 'page', null],
  ['pagelinks.sql.gz', 'page', null],
  ['pages-articles.xml.bz2.inprog', 'pages-articles', null],
  ['pages-articles.xml.bz2.truncated', 'pages-articles', null],
  ['pages-articles.xml.bz2-tmp', 'pages-articles', null],
])('%s as %s is %s', (rest, dumpType, form) => {
  expect(matchType(rest, dumpType)).toBe(form);
});

test('whole and parts are both there: only the whole is taken, or only the parts', () => {
  const jobs = {
    articlesdump: done('pages-articles1.xml-p1p9.bz2', 'pages-articles2.xml-p10p20.bz2'),
    articlesdumprecombine: done('pages-articles.xml.bz2'),
  };
  expect(pick(jobs).names).toEqual(['pages-articles.xml.bz2']);
  expect(pick(jobs, { splitFiles: 'prefer_parts' }).names).toHaveLength(2);
});

test('parts are not taken while the whole may still come, and are when it failed', () => {
  const parts = done('pages-articles1.xml-p1p9.bz2', 'pages-articles2.xml-p10p20.bz2');
  const running = pick({ articlesdump: parts, articlesdumprecombine: { status: 'in-progress' } });
  expect(running).toMatchObject({ names: [], notices: [], isFinished: false });
  expect(pick({ articlesdump: parts, articlesdumprecombine: { status: 'failed' } }).names).toHaveLength(2);
});

test('an incomplete set of parts is not taken while its job runs', () => {
  const jobs = { articlesdump: done('pages-articles1.xml-p1p9.bz2'), articlesdump2: { status: 'waiting' } };
  (jobs.articlesdump.files as Record<string, object>)['enwiki-20261120-pages-articles2.xml-p10p20.bz2'] = {};
  const result = pick(jobs);
  expect(result.notices).toEqual([
    { dumpType: 'pages-articles', reason: 'upstream lacks some of its files' },
  ]);
});

test('what will never come is named with its reason', () => {
  expect(pick({ articlesdump: { status: 'failed' } }).notices[0]?.reason).toBe('failed upstream');
  expect(pick({ articlesdump: { status: 'skipped' } }).notices[0]?.reason).toBe(
    'skipped by upstream in this run',
  );
  expect(
    pick({ articlesdump: { status: 'done', files: { 'enwiki-20261120-pages-articles.xml.bz2': {} } } }),
  ).toMatchObject({
    names: [],
    notices: [{ reason: 'upstream lists it as done, but gives no file' }],
  });
  expect(pick({ sitestatstable: { status: 'done' } }).notices[0]?.reason).toBe('not offered by this wiki');
  expect(pick({ articlesdump: { status: 'waiting' } }).notices).toEqual([]);
});

test('history waits for its format and takes the other one only when the wanted one is not offered', () => {
  const bz2 = done('pages-meta-history.xml.bz2');
  const sevenZip = done('pages-meta-history.xml.7z');
  const types = { regularTypes: [], includesHistory: true };
  expect(pick({ metahistorybz2dump: bz2, metahistory7zdump: { status: 'waiting' } }, types).names).toEqual(
    [],
  );
  expect(pick({ metahistorybz2dump: bz2, metahistory7zdump: sevenZip }, types).names).toEqual([
    'pages-meta-history.xml.7z',
  ]);
  expect(pick({ metahistorybz2dump: bz2 }, types).names).toEqual(['pages-meta-history.xml.bz2']);
  const both = pick(
    { metahistorybz2dump: bz2, metahistory7zdump: sevenZip },
    { ...types, historyFormat: 'both' },
  );
  expect(both.names).toHaveLength(2);
  expect(both.files.every((file) => file.isHistory)).toBe(true);
});

test.each([
  ['another path', '/frwiki/20261120/enwiki-20261120-pages-articles.xml.bz2'],
  ['dots', '/enwiki/20261120/../../etc/passwd'],
  ['another host', 'https://evil.example/enwiki/20261120/enwiki-20261120-pages-articles.xml.bz2'],
  ['a protocol-relative host', '//evil.example/enwiki-20261120-pages-articles.xml.bz2'],
])('an address with %s is refused, the rest goes on', (_name, url) => {
  const name = 'enwiki-20261120-pages-articles.xml.bz2';
  const jobs = {
    articlesdump: { status: 'done', files: { [name]: { size: 1, url, sha1: 'a'.repeat(40) } } },
    sitestatstable: done('site_stats.sql.gz'),
  };
  const result = pick(jobs, { regularTypes: ['pages-articles', 'site_stats'] });
  expect(result.names).toEqual(['site_stats.sql.gz']);
  expect(result.refused).toMatchObject([{ filename: name }]);
});

test.each([
  '../../x-pages-articles.xml.bz2',
  'a/b.bz2',
  '.hidden',
  'a\u0000b',
  'a\nb',
  '-rf',
])('the file name %j is refused, the rest goes on', (name) => {
  const jobs = { articlesdump: done('pages-articles.xml.bz2') };
  (jobs.articlesdump.files as Record<string, object>)[name] = { size: 1, url: `/enwiki/20261120/${name}` };
  const result = pick(jobs);
  expect(result.names).toEqual(['pages-articles.xml.bz2']);
  expect(result.refused).toMatchObject([{ filename: name }]);
});
