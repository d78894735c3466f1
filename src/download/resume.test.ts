import { expect, test } from 'vitest';
import { parseResumeCursor, rangeHeaders, readRangeAnswer } from './resume.ts';
import { judge } from './verdict.ts';

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

test.each([null, 7, 'x', { url: 1, etag: '"1"' }, {}])('forgets a cursor of another shape: %o', (cursor) => {
  expect(parseResumeCursor(cursor)).toBeNull();
});

test('judges by every published hash, whatever the case of its letters', () => {
  const upstream = { sizeBytes: 3, upstreamSha1: 'AB', upstreamMd5: 'cd', upstreamSha256: null };
  const read = { sizeBytes: 3, sha1: 'ab', md5: 'cd', sha256: 'ef', pieceSha1s: Buffer.alloc(0) };
  expect(judge(upstream, read)).toEqual({ isProved: true, verification: 'sha1' });
  expect(judge({ ...upstream, upstreamSha1: null }, read)).toMatchObject({ verification: 'md5' });
  expect(judge(upstream, { ...read, md5: '00' })).toMatchObject({ isProved: false, what: 'md5' });
  expect(judge(upstream, { ...read, sizeBytes: 2 })).toMatchObject({ isProved: false, what: 'size' });
  const later = { ...upstream, upstreamSha1: null, upstreamMd5: null, upstreamSha256: 'ef' };
  expect(judge(later, read)).toMatchObject({ verification: 'sha256-upstream' });
  expect(judge({ ...later, upstreamSha256: null }, read)).toMatchObject({ isProved: false });
});
