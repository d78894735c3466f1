import { expect, test } from 'vitest';
import type { ExpectedFile, UpstreamHashes } from '../catalog/index.ts';
import { addHashes, needsHashes, parseJsonSums, parseSums } from './sums.ts';

const run = { wikiDbName: 'aawiki', runDate: '20261120' };
const MD5 = 'd'.repeat(32);
const SHA1 = 'a'.repeat(40);
const file = (rest: string, hashes: UpstreamHashes = {}): ExpectedFile => ({
  dumpType: 'page',
  filename: `aawiki-20261120-${rest}`,
  isHistory: false,
  sizeBytes: 1,
  hashes,
  wikimediaUrl: '',
  wikimediaStatus: 'done',
  wikimediaDate: null,
});
/** Reads from `documents`, and remembers what was asked for. */
function reader(documents: Record<string, string>) {
  const asked: string[] = [];
  const read = async (name: string): Promise<string | null> => {
    asked.push(name);
    return documents[name] ?? null;
  };
  return { asked, read };
}

test('nothing is asked when every file has a hash, be it one or two', async () => {
  const files = [file('a.gz', { md5: MD5 }), file('b.gz', { md5: MD5, sha1: SHA1 })];
  const { asked, read } = reader({});
  expect(needsHashes(files)).toBe(false);
  expect(await addHashes(files, run, read)).toEqual(files);
  expect(asked).toEqual([]);
});

test('one list is enough when it names all that lack', async () => {
  const { asked, read } = reader({ 'aawiki-20261120-sha1sums.txt': `${SHA1}  aawiki-20261120-a.gz\n` });
  const [a, b] = await addHashes([file('a.gz'), file('b.gz', { md5: MD5 })], run, read);
  expect([a?.hashes, b?.hashes]).toEqual([{ sha1: SHA1 }, { md5: MD5 }]);
  expect(asked).toEqual(['aawiki-20261120-sha1sums.txt']);
});

test('the lists are asked in turn: text, JSON, the other hash, then each file on its own', async () => {
  const { asked, read } = reader({
    'aawiki-20261120-sha1sums.json': JSON.stringify({ sha1: { files: { 'aawiki-20261120-a.gz': SHA1 } } }),
    'aawiki-20261120-md5sums.txt': `${MD5}  aawiki-20261120-b.gz\n`,
    'md5sums-aawiki-20261120-c.gz.txt': `${MD5}  aawiki-20261120-c.gz\n`,
  });
  const files = await addHashes([file('a.gz'), file('b.gz'), file('c.gz'), file('d.gz')], run, read);
  expect(files.map((each) => each.hashes)).toEqual([{ sha1: SHA1 }, { md5: MD5 }, { md5: MD5 }, {}]);
  expect(asked).toEqual([
    'aawiki-20261120-sha1sums.txt',
    'aawiki-20261120-sha1sums.json',
    'aawiki-20261120-md5sums.txt',
    'aawiki-20261120-md5sums.json',
    'sha1sums-aawiki-20261120-c.gz.txt',
    'md5sums-aawiki-20261120-c.gz.txt',
    'sha1sums-aawiki-20261120-d.gz.txt',
    'md5sums-aawiki-20261120-d.gz.txt',
  ]);
});

test('a run with hundreds of late hashes costs a bounded number of requests', async () => {
  const { asked, read } = reader({});
  await addHashes(
    Array.from({ length: 870 }, (_, index) => file(`pages-meta-history${index}.xml.7z`)),
    run,
    read,
  );
  expect(asked).toHaveLength(4 + 2 * 20);
});

test('a list that is being written is read as far as its last whole line', () => {
  const text = `${SHA1}  a.gz\n\nnonsense\n${MD5}  md5.gz\n${SHA1.toUpperCase()} *b.gz\r\n${SHA1}  pages-articles.xml`;
  expect([...parseSums(text, 'sha1')]).toEqual([
    ['a.gz', SHA1],
    ['b.gz', SHA1],
  ]);
});

test.each([
  '',
  '{',
  '[]',
  'null',
  '{"sha1":5}',
  '{"sha1":{"files":null}}',
  '{"md5":{"files":{"a":"b"}}}',
])('the JSON list %s gives no hash', (text) => {
  expect(parseJsonSums(text, 'sha1').size).toBe(0);
});
