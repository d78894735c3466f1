import { expect, test } from 'vitest';
import { isRunFinished, parseDumpStatus, parseUpdated, readStatus, runDateOfStatus } from './dump-status.ts';

const status = (file: unknown): string =>
  JSON.stringify({
    version: '0.8',
    jobs: {
      good: { status: 'done', files: { a: { size: 1, url: '/a' } } },
      odd: { status: 'done', files: { b: file } },
    },
  });
const fileOf = (text: string, job: string, name: string) =>
  parseDumpStatus(text, 'x').jobs.get(job)?.files.get(name);

test.each([
  [{ size: -5, url: '/b' }],
  [{ size: '123', url: '/b' }],
  [{ size: 12.5, url: '/b' }],
  [{ size: 1e300, url: '/b' }],
  ['a string'],
  [null],
])('a file that says %j is not ready, the rest of the run is', (file) => {
  expect(fileOf(status(file), 'odd', 'b')?.size).toBeNull();
  expect(fileOf(status(file), 'good', 'a')).toMatchObject({ size: 1, url: '/a' });
});

test('a job without a list of files is fine, whatever stands there instead', () => {
  const jobs = { a: { status: 'waiting' }, b: { status: 'waiting', files: null }, c: { files: [1] }, d: 5 };
  const read = parseDumpStatus(JSON.stringify({ jobs }), 'x').jobs;
  expect([...read].map(([name, job]) => [name, job.status, job.files.size])).toEqual([
    ['a', 'waiting', 0],
    ['b', 'waiting', 0],
    ['c', '', 0],
  ]);
});

test('hashes that are none are left out', () => {
  const text = status({ size: 1, url: '/b', md5: 'XYZ', sha1: 'a'.repeat(40) });
  expect(fileOf(text, 'odd', 'b')).toEqual({ size: 1, url: '/b', md5: null, sha1: 'a'.repeat(40) });
});

test.each([
  'null',
  '5',
  '[]',
  '"x"',
  '{}',
  '{"jobs":null}',
  '{"jobs":[]}',
  '{"jobs":',
  '',
])('%s is torn, not an empty run', (text) => {
  expect(() => parseDumpStatus(text, 'aawiki')).toThrow(
    expect.objectContaining({ code: 'torn_status', message: expect.stringContaining('aawiki') }),
  );
});

test('names that mean something to JavaScript are names like others', () => {
  const text = '{"jobs":{"__proto__":{"status":"done","files":{"constructor":{"size":1},"__proto__":{}}}}}';
  const job = parseDumpStatus(text, 'x').jobs.get('__proto__');
  expect([...(job?.files.keys() ?? [])]).toEqual(['constructor', '__proto__']);
});

test('a run is finished when nothing changes by itself any more; words we do not know are not ready', () => {
  const run = (...states: string[]) => {
    const jobs = Object.fromEntries(states.map((status, index) => [`job${index}`, { status }]));
    return parseDumpStatus(JSON.stringify({ jobs }), 'x');
  };
  expect(isRunFinished(run('done', 'failed', 'skipped'))).toBe(true);
  expect(isRunFinished(run('done', 'waiting'))).toBe(false);
  expect(isRunFinished(run('done', 'pondering'))).toBe(false);
  expect(isRunFinished(run())).toBe(false);
});

test('the run date comes from a name, else from an address, else there is none', () => {
  const dateOf = (files: object) => {
    const read = readStatus({ jobs: { a: { status: 'done' }, b: { status: 'done', files } } });
    return read === null ? 'torn' : runDateOfStatus(read, 'aawiki');
  };
  expect(dateOf({ 'aawiki-20260101-page.sql.gz': {} })).toBe('20260101');
  expect(dateOf({ 'page.sql.gz': { url: '/aawiki/20260101/page.sql.gz' } })).toBe('20260101');
  expect(dateOf({ 'aawiki-latest-page.sql.gz': {}, 'frwiki-20260101-page.sql.gz': {} })).toBeNull();
  expect(dateOf({})).toBeNull();
});

test('times are UTC', () => {
  expect(parseUpdated('2024-08-01 09:46:00')).toBe(Date.parse('2024-08-01T09:46:00Z'));
  expect(parseUpdated('')).toBeNull();
  expect(parseUpdated(null)).toBeNull();
  expect(parseUpdated('2026-02-31 99:00:00')).toBeNull();
});
