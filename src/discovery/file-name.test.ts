import { expect, test } from 'vitest';
import { dumpTypeOf, formatFileName, isPart, parseFileName, temporarySuffix } from './file-name.ts';

test.each([
  ['pages-articles.xml.bz2', 'pages-articles', 'whole', null],
  ['pages-articles1.xml-p1p41242.bz2', 'pages-articles', 'part', 1],
  ['pages-articles1.xml-p000000010p000030302.bz2', 'pages-articles', 'part', 1],
  ['pages-articles27.xml-p74475910p75975909.bz2', 'pages-articles', 'part', 27],
  ['pages-articles.xml-p1p10.bz2', 'pages-articles', 'part', null],
  ['pages-articles-multistream.xml.bz2', 'pages-articles-multistream', 'whole', null],
  ['pages-articles-multistream-index.txt.bz2', 'pages-articles-multistream', 'whole', null],
  ['pages-articles-multistream-index12.txt-p1p41242.bz2', 'pages-articles-multistream', 'part', 12],
  ['all-titles.gz', 'all-titles', 'whole', null],
  ['all-titles-in-ns0.gz', 'all-titles-in-ns0', 'whole', null],
  ['siteinfo2-namespacesv2.json.gz', 'siteinfo2-namespacesv2', 'whole', null],
  ['siteinfo-namespaces.json', 'siteinfo-namespaces', 'whole', null],
  ['stub-articles27.xml.gz', 'stub-articles', 'part', 27],
  ['abstract.xml', 'abstract', 'whole', null],
  ['page.sql.gz', 'page', 'whole', null],
  ['page_props.sql.gz', 'page_props', 'whole', null],
  ['cu_log2.sql.gz', 'cu_log2', 'whole', null],
  ['pages-meta-history1.xml-p1p812.7z', 'pages-meta-history', 'part', 1],
  ['odd01.xml.gz', 'odd01', 'whole', null],
])('%s is of type %s, %s', (rest, dumpType, form, part) => {
  const filename = `be_x_oldwiki-20261120-${rest}`;
  const name = parseFileName(filename, 'be_x_oldwiki');
  expect(name).not.toBeNull();
  if (name === null) return;
  expect(dumpTypeOf(name)).toBe(dumpType);
  expect(isPart(name) ? 'part' : 'whole').toBe(form);
  expect(name).toMatchObject({ part, date: '20261120' });
  expect(formatFileName(name)).toBe(filename);
});

test.each([
  'README.md',
  'aawiki-mywikifile.txt',
  'aawiki-20261120-.xml.bz2',
  'aawiki-20261120-page',
  'aawiki-2026112-page.sql.gz',
  'aawiki-20261120-page.sql.gz.zst',
  'aawiki-20261120-page.sql.gz/..',
  'frwiki-20261120-page.sql.gz',
  'aawikibooks-20261120-page.sql.gz',
  'aawiki-20261120--page.sql.gz',
  'aawiki-20261120-pages-articles.xml-p1.bz2',
])('%s is no dump file of aawiki', (filename) => {
  expect(parseFileName(filename, 'aawiki')).toBeNull();
});

test.each([
  ['x.xml.bz2.inprog', '.inprog'],
  ['x.xml.bz2.truncated', '.truncated'],
  ['x.xml.bz2.empty', '.empty'],
  ['x.xml.bz2-tmp', '-tmp'],
  ['x.xml.bz2', null],
  ['x-empty.sql.gz', null],
])('%s is temporary by %s', (filename, suffix) => {
  expect(temporarySuffix(filename)).toBe(suffix);
});
