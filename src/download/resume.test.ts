import { expect, test } from 'vitest';
import { parseDownloadCursor, rangeHeaders, readRangeAnswer } from './resume.ts';
import { hasUpstreamHash, judge, maySameBytesFit, upstreamHashesOf } from './verdict.ts';

const wanted = { haveBytes: 40, sizeBytes: 100 };

test.each([
  [206, { 'content-range': 'bytes 40-99/100' }, 'append'],
  [206, { 'content-range': 'bytes 40-99/*' }, 'append'],
  [206, { 'content-range': 'bytes 40-99/101' }, 'wrong_size'],
  [206, { 'content-range': 'bytes 0-99/100' }, 'again'],
  [206, { 'content-range': 'bytes 40-99, 0-1/100' }, 'again'],
  [206, {}, 'again'],
  [200, { 'content-length': '100' }, 'whole'],
  [200, {}, 'whole'],
  [200, { 'content-length': '60' }, 'wrong_size'],
  [416, { 'content-range': 'bytes */40' }, 'again'],
  [304, {}, 'status'],
  [500, {}, 'status'],
] as const)('%i with %o means %s', (status, headers, kind) => {
  expect(readRangeAnswer({ status, headers }, wanted).kind).toBe(kind);
});

test('a 416 to a request without range is an answer like any other error', () => {
  expect(readRangeAnswer({ status: 416, headers: {} }, { haveBytes: 0, sizeBytes: 100 }).kind).toBe('status');
});

test('uses a validator only for the address that gave it', () => {
  const cursor = { url: 'https://a.example/f', etag: '"1"' };
  expect(rangeHeaders('https://a.example/f', 40, cursor)).toEqual({ range: 'bytes=40-', 'if-range': '"1"' });
  expect(rangeHeaders('https://b.example/f', 40, cursor)).toEqual({ range: 'bytes=40-' });
  expect(rangeHeaders('https://a.example/f', 0, cursor)).toEqual({});
});

test.each([
  null,
  7,
  'x',
  { url: 1, etag: '"1"' },
  {},
  { facts: { sizeBytes: 'x' }, resume: null },
])('forgets a cursor of another shape: %o', (cursor) => {
  expect(parseDownloadCursor(cursor)).toEqual({ facts: null, resume: null });
});

test('reads its own cursor back, and the one that an earlier version wrote', () => {
  const resume = { url: 'https://a.example/f', etag: '"1"' };
  const cursor = { facts: { sizeBytes: 7, hashes: { sha256: 'ab' } }, resume };
  expect(parseDownloadCursor(JSON.parse(JSON.stringify(cursor)))).toEqual(cursor);
  expect(parseDownloadCursor(resume)).toEqual({ facts: null, resume });
});

const read = { sizeBytes: 3, sha1: 'ab', md5: 'cd', sha256: 'ef' };

test.each([
  ['sha1', { sha1: 'AB', md5: 'cd', sha256: 'ef' }],
  ['sha1', { sha1: 'ab', sha256: 'ef' }],
  ['md5', { md5: 'CD', sha256: 'ef' }],
  ['sha256-upstream', { sha256: 'EF' }],
] as const)('is proved by %s when upstream publishes %o', (verification, hashes) => {
  expect(judge({ sizeBytes: 3, hashes }, read)).toEqual({ kind: 'proved', verification });
});

test.each([
  ['sha1', { sha1: '00' }],
  ['md5', { sha1: 'ab', md5: '00', sha256: 'ef' }],
  ['sha256', { sha1: 'ab', md5: 'cd', sha256: '00' }],
] as const)('is wrong when only %s does not match', (what, hashes) => {
  expect(judge({ sizeBytes: 3, hashes }, read)).toMatchObject({ kind: 'wrong', what });
});

test('a wrong size is wrong whatever the hashes say, and a right one proves nothing', () => {
  const hashes = { sha1: 'ab' };
  expect(judge({ sizeBytes: 2, hashes }, read)).toMatchObject({ kind: 'wrong', what: 'size' });
  expect(judge({ sizeBytes: 3, hashes: {} }, read)).toEqual({ kind: 'unprovable' });
});

test('takes the hashes from the columns that have one', () => {
  const none = { upstreamMd5: null, upstreamSha1: null, upstreamSha256: null };
  expect(upstreamHashesOf(none)).toEqual({});
  expect(hasUpstreamHash({ sizeBytes: 0, hashes: {} })).toBe(false);
  expect(upstreamHashesOf({ ...none, upstreamSha256: 'ef' })).toEqual({ sha256: 'ef' });
  expect(hasUpstreamHash({ sizeBytes: 0, hashes: { sha256: 'ef' } })).toBe(true);
  expect(upstreamHashesOf({ upstreamMd5: 'cd', upstreamSha1: 'ab', upstreamSha256: 'ef' })).toEqual({
    md5: 'cd',
    sha1: 'ab',
    sha256: 'ef',
  });
});

test('statements contradict each other by size or by a hash that both name', () => {
  const one = { sizeBytes: 3, hashes: { sha1: 'ab', md5: 'cd' } };
  expect(maySameBytesFit(one, { sizeBytes: 3, hashes: {} })).toBe(true);
  expect(maySameBytesFit(one, { sizeBytes: 3, hashes: { sha1: 'AB', sha256: 'ef' } })).toBe(true);
  expect(maySameBytesFit(one, { sizeBytes: 4, hashes: one.hashes })).toBe(false);
  expect(maySameBytesFit(one, { sizeBytes: 3, hashes: { sha1: 'ab', md5: '00' } })).toBe(false);
});
