import { expect, test } from 'vitest';
import { hasUpstreamHash, judge, maySameBytesFit, upstreamHashesOf } from './verdict.ts';

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
