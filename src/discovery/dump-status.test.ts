import { expect, test } from 'vitest';
import { isRunFinished, parseDumpStatus, parseUpdated } from './dump-status.ts';

const status = (file: unknown): string =>
  JSON.stringify({
    version: '0.8',
    jobs: {
      good: { status: 'done', files: { a: { size: 1, url: '/a' } } },
      odd: { status: 'done', files: { b: file } },
    },
  });

test.each([
  [{ size: -5, url: '/b' }],
  [{ size: '123', url: '/b' }],
  [{ size: 12.5, url: '/b' }],
  [{ size: 1e300, url: '/b' }],
  ['a string'],
  [null],
])('a file that says %j is not ready, the rest of the run is', (file) => {
  const { jobs } = parseDumpStatus(status(file), 'x');
  expect(jobs.odd?.files?.b?.size).toBeUndefined();
  expect(jobs.good?.files?.a).toMatchObject({ size: 1, url: '/a' });
});

test('a job without a list of files is fine, whatever stands there instead', () => {
  const text = JSON.stringify({ jobs: { a: { status: 'waiting' }, b: { status: 'waiting', files: null } } });
  expect(parseDumpStatus(text, 'x').jobs.b?.files).toBeUndefined();
});

test('hashes that are none are left out', () => {
  const { jobs } = parseDumpStatus(status({ size: 1, url: '/b', md5: 'XYZ', sha1: 'a'.repeat(40) }), 'x');
  expect(jobs.odd?.files?.b).toMatchObject({ sha1: 'a'.repeat(40) });
  expect(jobs.odd?.files?.b?.md5).toBeUndefined();
});

test('a run is finished when nothing changes by itself any more; words we do not know are not ready', () => {
  const run = (...states: string[]) => ({
    jobs: Object.fromEntries(states.map((s, i) => [String(i), { status: s }])),
  });
  expect(isRunFinished(run('done', 'failed', 'skipped'))).toBe(true);
  expect(isRunFinished(run('done', 'waiting'))).toBe(false);
  expect(isRunFinished(run('done', 'pondering'))).toBe(false);
  expect(isRunFinished(run())).toBe(false);
});

test('times are UTC', () => {
  expect(parseUpdated('2024-08-01 09:46:00')).toBe(Date.parse('2024-08-01T09:46:00Z'));
  expect(parseUpdated('')).toBeNull();
  expect(parseUpdated('2026-02-31 99:00:00')).toBeNull();
});
