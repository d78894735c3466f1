import { expect, test } from 'vitest';
import type { DumpStatus } from '../catalog/index.ts';
import { readStatus } from './dump-status.ts';
import { decideFiles } from './select-files.ts';
import { begunOf, type Selection } from './source.ts';

const run = { wikiDbName: 'enwiki', runDate: '20261120' };
const PREFIX = 'enwiki-20261120-';
const wanted: Selection = {
  regularTypes: ['pages-articles'],
  historyTypes: ['pages-meta-history'],
  includesHistory: false,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
  isUrgent: false,
};
type Job = { status: string; updated?: string; files?: Record<string, unknown> };
const ready = (rest: string) => ({
  size: 10,
  url: `/enwiki/20261120/${PREFIX}${rest}`,
  sha1: 'a'.repeat(40),
});
/** A job that lists these, each as upstream does in that state. */
const job = (status: string, ...rests: string[]): Job => ({
  status,
  updated: '2026-11-21 09:46:00',
  files: Object.fromEntries(rests.map((rest) => [`${PREFIX}${rest}`, status === 'done' ? ready(rest) : {}])),
});
const done = (...rests: string[]): Job => job('done', ...rests);
/** Keeps the run unfinished. */
const busy = { xmlpagelogsdump: { status: 'waiting' } };

/** What we have of a run: where each file stands. */
type Ours = Record<string, DumpStatus>;

function decide(jobs: Record<string, Job>, selection: Partial<Selection> = {}, ours: Ours = {}) {
  const status = readStatus(JSON.parse(JSON.stringify({ jobs, version: '0.8' })));
  if (status === null) throw new Error('the test wrote a torn status');
  const begun = begunOf(
    Object.entries(ours).map(([rest, ourStatus]) => ({ filename: `${PREFIX}${rest}`, ourStatus })),
  );
  const decision = decideFiles(status, run, { ...wanted, ...selection }, 'https://dumps.example', begun);
  const of = (action: string): string[] =>
    decision.files.filter((f) => f.action === action).map((f) => f.filename.replace(PREFIX, ''));
  const reasons = Object.fromEntries(decision.files.map((f) => [f.filename.replace(PREFIX, ''), f.reason]));
  return { ...decision, taken: of('take'), waiting: of('wait'), skipped: of('skip'), reasons };
}

const WHOLE = 'pages-articles.xml.bz2';
const ONE = 'pages-articles1.xml-p1p9.bz2';
const TWO = 'pages-articles2.xml-p10p20.bz2';

test('a file that is taken carries what the download needs', () => {
  expect(decide({ articlesdump: done(WHOLE) }).files).toEqual([
    {
      action: 'take',
      filename: `${PREFIX}${WHOLE}`,
      dumpType: 'pages-articles',
      sizeBytes: 10,
      url: `https://dumps.example/enwiki/20261120/${PREFIX}${WHOLE}`,
      reason: 'its type is configured',
      file: {
        dumpType: 'pages-articles',
        filename: `${PREFIX}${WHOLE}`,
        isHistory: false,
        sizeBytes: 10,
        hashes: { sha1: 'a'.repeat(40) },
        wikimediaUrl: `https://dumps.example/enwiki/20261120/${PREFIX}${WHOLE}`,
        wikimediaStatus: 'done',
        wikimediaDate: Date.parse('2026-11-21T09:46:00Z'),
      },
    },
  ]);
});

test('whole and parts are both there: only the whole is taken, or only the parts', () => {
  const jobs = { articlesdump: done(ONE, TWO), articlesdumprecombine: done(WHOLE) };
  expect(decide(jobs)).toMatchObject({
    taken: [WHOLE],
    reasons: { [ONE]: 'parts are not needed: the whole file is taken' },
    notices: [],
  });
  expect(decide(jobs, { splitFiles: 'prefer_parts' })).toMatchObject({
    taken: [ONE, TWO],
    reasons: { [WHOLE]: 'the whole file is not needed: its parts are taken' },
    notices: [],
  });
});

test.each(['in-progress', 'waiting', 'pondering'])('parts wait while the recombine job is %s', (status) => {
  const running = decide({ articlesdump: done(ONE, TWO), articlesdumprecombine: { status } });
  expect(running).toMatchObject({ taken: [], waiting: [ONE, TWO], notices: [], isFinished: false });
  expect(running.reasons[ONE]).toBe('only needed when the whole file does not come');
});

test.each([{}, busy])('parts are taken when the whole failed (other jobs: %j)', (others) => {
  const failed = decide({
    articlesdump: done(ONE, TWO),
    articlesdumprecombine: job('failed', WHOLE),
    ...others,
  });
  expect(failed).toMatchObject({ taken: [ONE, TWO], skipped: [WHOLE], notices: [] });
  expect(failed.reasons).toEqual({
    [ONE]: 'its parts are taken: the whole file does not come',
    [TWO]: 'its parts are taken: the whole file does not come',
    [WHOLE]: 'its job failed upstream',
  });
});

test('near the deadline complete parts are taken while the recombine job hangs, and incomplete ones still wait', () => {
  const hangs = { articlesdump: done(ONE, TWO), articlesdumprecombine: job('in-progress', WHOLE) };
  expect(decide(hangs)).toMatchObject({ taken: [], waiting: [ONE, TWO, WHOLE] });
  expect(decide(hangs, { isUrgent: true })).toMatchObject({
    taken: [ONE, TWO],
    skipped: [WHOLE],
    notices: [],
    reasons: {
      [ONE]: 'its parts are taken: the whole file may come too late',
      [WHOLE]: 'it may come too late: parts are taken',
    },
  });
  const silent = { ...hangs, articlesdumprecombine: { status: 'waiting' } };
  expect(decide(silent, { isUrgent: true }).reasons[ONE]).toBe(
    'its parts are taken: the whole file may come too late',
  );
  const written = { ...hangs, articlesdump: job('in-progress', ONE, TWO) };
  expect(decide(written, { isUrgent: true }).taken).toEqual([]);
  // The same the other way round, and between the formats of the history.
  const whole = { articlesdump: job('in-progress', ONE), articlesdumprecombine: done(WHOLE) };
  expect(decide(whole, { isUrgent: true, splitFiles: 'prefer_parts' }).taken).toEqual([WHOLE]);
  const [seven, bz2] = ['pages-meta-history.xml.7z', 'pages-meta-history.xml.bz2'];
  const history = { metahistorybz2dump: done(bz2), metahistory7zdump: job('in-progress', seven) };
  const withHistory = decide(history, { isUrgent: true, includesHistory: true });
  expect(withHistory.taken).toEqual([bz2]);
  expect(withHistory.reasons[bz2]).toBe('bz2 is taken: 7z may come too late');
});

test('near the deadline the whole is still taken when it is there', () => {
  const both = { articlesdump: done(ONE, TWO), articlesdumprecombine: done(WHOLE) };
  expect(decide(both, { isUrgent: true }).taken).toEqual([WHOLE]);
});

test('parts that were begun are gone on with when the whole comes after all; the same content is not taken twice', () => {
  const both = { articlesdump: done(ONE, TWO), articlesdumprecombine: done(WHOLE) };
  for (const ours of ['downloaded', 'uploaded', 'downloading', 'deleted'] as const)
    expect(decide(both, {}, { [ONE]: ours, [TWO]: 'pending' })).toMatchObject({
      taken: [ONE, TWO],
      skipped: [WHOLE],
      notices: [],
      reasons: {
        [ONE]: 'its parts are taken: the whole file came later',
        [WHOLE]: 'it came later: parts are taken',
      },
    });
  // Of what was only meant to be taken nothing is lost.
  expect(decide(both, {}, { [ONE]: 'pending', [TWO]: 'pending' }).taken).toEqual([WHOLE]);
  expect(decide(both, { splitFiles: 'prefer_parts' }, { [WHOLE]: 'downloaded' })).toMatchObject({
    taken: [WHOLE],
    skipped: [ONE, TWO],
  });
});

test('parts that were begun and cannot be had, or are not complete any more, give way to the whole', () => {
  const both = { articlesdump: done(ONE, TWO), articlesdumprecombine: done(WHOLE) };
  for (const trouble of ['failed', 'quarantined'] as const)
    expect(decide(both, {}, { [ONE]: 'downloaded', [TWO]: trouble }).taken).toEqual([WHOLE]);
  const lacking = done(ONE);
  (lacking.files as Record<string, unknown>)[`${PREFIX}${TWO}`] = {};
  expect(decide({ ...both, articlesdump: lacking }, {}, { [ONE]: 'downloaded' }).taken).toEqual([WHOLE]);
});

test('parts that are wanted are waited for, even when there is a whole; when they fail, the whole is taken', () => {
  const policy = { splitFiles: 'prefer_parts' } as const;
  const whole = { articlesdumprecombine: done(WHOLE) };
  expect(decide({ articlesdump: job('in-progress', ONE), ...whole }, policy)).toMatchObject({
    taken: [],
    waiting: [ONE, WHOLE],
  });
  expect(decide({ articlesdump: job('in-progress'), ...whole }, policy).taken).toEqual([]);
  expect(decide({ articlesdump: job('failed', ONE), ...whole }, policy)).toMatchObject({ taken: [WHOLE] });
  // Nor does anybody wait for a whole that is not wanted.
  expect(
    decide({ articlesdump: done(ONE, TWO), articlesdumprecombine: { status: 'waiting' } }, policy).taken,
  ).toEqual([ONE, TWO]);
  // A small wiki has no parts to wait for.
  expect(decide({ articlesdump: done(WHOLE) }, policy).taken).toEqual([WHOLE]);
});

test('a set of parts without one of them: the whole instead, else what there is, and the lack is named', () => {
  const parts = done(ONE);
  (parts.files as Record<string, unknown>)[`${PREFIX}${TWO}`] = {};
  const lacking = [{ dumpType: 'pages-articles', reason: 'upstream lacks some of its files' }];
  expect(decide({ articlesdump: parts })).toMatchObject({ taken: [ONE], skipped: [TWO], notices: lacking });
  expect(decide({ articlesdump: parts }).reasons[TWO]).toBe('upstream gives no size or address');
  const running = decide({ articlesdump: parts, ...busy });
  expect(running).toMatchObject({ taken: [ONE], waiting: [TWO], notices: lacking });
  expect(running.reasons[TWO]).toBe('no size or address yet');
  const policy = { splitFiles: 'prefer_parts' } as const;
  expect(decide({ articlesdump: parts, articlesdumprecombine: done(WHOLE) }, policy)).toMatchObject({
    taken: [WHOLE],
    notices: [],
    reasons: { [ONE]: 'its set is not complete: the whole file is taken' },
  });
});

test('a recombine job that is done but names no size yet is waited for until the run is finished', () => {
  const jobs = {
    articlesdump: done(ONE),
    articlesdumprecombine: { ...job('waiting', WHOLE), status: 'done' },
  };
  expect(decide({ ...jobs, ...busy })).toMatchObject({ taken: [], waiting: [ONE, WHOLE] });
  expect(decide(jobs)).toMatchObject({ taken: [ONE], skipped: [WHOLE], isFinished: true });
});

test('what will never come is named with its reason', () => {
  const reasonOf = (jobs: Record<string, Job>) => decide(jobs).notices;
  const notice = (reason: string, kind: string) => [{ dumpType: 'pages-articles', reason, kind }];
  expect(reasonOf({ articlesdump: { status: 'failed' } })).toEqual(notice('failed upstream', 'failed'));
  expect(reasonOf({ articlesdump: { status: 'skipped' } })).toEqual(
    notice('skipped by upstream in this run', 'skipped'),
  );
  const empty = { status: 'done', files: { [`${PREFIX}${WHOLE}`]: {} } };
  expect(reasonOf({ articlesdump: empty })).toEqual(
    notice('upstream lists it as done, but gives no file', 'lacking'),
  );
  expect(reasonOf({ sitestatstable: { status: 'done' } })).toEqual(
    notice('not offered by this wiki', 'not_offered'),
  );
  expect(reasonOf({ articlesdump: { status: 'waiting' } })).toEqual([]);
});

test('what failed or is lacking may come with a rerun on the old date, although the run is finished', () => {
  const lacking = { status: 'done', files: { [`${PREFIX}${ONE}`]: ready(ONE), [`${PREFIX}${TWO}`]: {} } };
  const notOurs = { articlesdump: done(WHOLE), flowtable: { status: 'failed' } };
  const wholeOnly = { articlesdump: done(ONE, TWO), articlesdumprecombine: job('failed', WHOLE) };
  for (const [jobs, mayChange] of [
    [{ articlesdump: job('failed', WHOLE) }, true],
    [{ articlesdump: lacking }, true],
    [{ articlesdump: { status: 'skipped' } }, false],
    [{ sitestatstable: { status: 'done' } }, false],
    [notOurs, false],
    // The same content is taken in parts.
    [wholeOnly, false],
  ] as const)
    expect(decide(jobs)).toMatchObject({ isFinished: true, mayChange });
});

test('a file without a size is awaited while the run goes on, and lacking when it is finished', () => {
  const lacking = { status: 'done', files: { [`${PREFIX}${ONE}`]: ready(ONE), [`${PREFIX}${TWO}`]: {} } };
  expect(decide({ articlesdump: lacking, ...busy }).notices).toMatchObject([{ kind: 'waiting' }]);
  expect(decide({ articlesdump: lacking }).notices).toMatchObject([{ kind: 'lacking' }]);
});

test('a multistream is the dump and its index, both or neither', () => {
  const [dump, index] = ['pages-articles-multistream.xml.bz2', 'pages-articles-multistream-index.txt.bz2'];
  const types = { regularTypes: ['pages-articles-multistream'] };
  expect(decide({ articlesmultistreamdump: done(dump, index) }, types).taken).toEqual([dump, index]);
  expect(decide({ articlesmultistreamdump: done(dump, index) }).reasons[index]).toBe(
    'its type (pages-articles-multistream) is not configured',
  );
});

const BZ2 = 'pages-meta-history.xml.bz2';
const SEVEN = 'pages-meta-history.xml.7z';
const history = { regularTypes: [], includesHistory: true };

test('history waits for its format and takes the other one only when the wanted one never comes', () => {
  const bz2 = { metahistorybz2dump: done(BZ2) };
  const waits = decide({ ...bz2, metahistory7zdump: { status: 'waiting' } }, history);
  expect(waits).toMatchObject({ taken: [], waiting: [BZ2], notices: [] });
  expect(waits.reasons[BZ2]).toBe('only needed when 7z does not come');
  const preferred = decide({ ...bz2, metahistory7zdump: done(SEVEN) }, history);
  expect(preferred).toMatchObject({ taken: [SEVEN], reasons: { [BZ2]: '7z is preferred' } });
  expect(preferred.files.flatMap((f) => (f.action === 'take' ? [f.file.isHistory] : []))).toEqual([true]);
  for (const jobs of [bz2, { ...bz2, metahistory7zdump: job('failed', SEVEN) }])
    expect(decide(jobs, history)).toMatchObject({
      taken: [BZ2],
      notices: [],
      reasons: { [BZ2]: 'bz2 is taken: 7z does not come' },
    });
  const asBz2 = { ...history, historyFormat: 'bz2' } as const;
  expect(decide({ ...bz2, metahistory7zdump: done(SEVEN) }, asBz2).taken).toEqual([BZ2]);
});

test('both formats: each for itself, and the lack of one is named', () => {
  const both = { ...history, historyFormat: 'both' } as const;
  const bz2 = { metahistorybz2dump: done(BZ2) };
  expect(decide({ ...bz2, metahistory7zdump: done(SEVEN) }, both).taken).toEqual([BZ2, SEVEN]);
  expect(decide({ ...bz2, metahistory7zdump: { status: 'waiting' } }, both)).toMatchObject({
    taken: [BZ2],
    notices: [],
  });
  expect(decide({ ...bz2, metahistory7zdump: job('failed', SEVEN) }, both)).toMatchObject({
    taken: [BZ2],
    notices: [{ dumpType: 'pages-meta-history', reason: 'failed upstream (7z)', kind: 'failed' }],
  });
  const neither = { metahistory7zdump: { status: 'skipped' }, metahistorybz2dump: job('failed', BZ2) };
  expect(decide(neither, both).notices).toEqual([
    {
      ...{ dumpType: 'pages-meta-history', kind: 'failed' },
      reason: 'skipped by upstream in this run (7z); failed upstream (bz2)',
    },
  ]);
});

test('split history in parts only: one format, all its parts', () => {
  const parts = (packing: string) => [1, 2].map((n) => `pages-meta-history${n}.xml-p${n}p${n}.${packing}`);
  const jobs = { metahistorybz2dump: done(...parts('bz2')), metahistory7zdump: done(...parts('7z')) };
  expect(decide(jobs, history).taken).toEqual(parts('7z'));
  expect(decide(jobs, { ...history, splitFiles: 'prefer_parts' }).taken).toEqual(parts('7z'));
});

test('a file that two jobs list is one file, and counts as ready when one of them has it', () => {
  const twice = decide({ one: job('failed', WHOLE), other: done(WHOLE), third: job('failed', WHOLE) });
  expect(twice.files).toHaveLength(1);
  expect(twice.taken).toEqual([WHOLE]);
});

test.each([
  ['another path', '/frwiki/20261120/enwiki-20261120-pages-articles.xml.bz2'],
  ['another date', '/enwiki/20261101/enwiki-20261120-pages-articles.xml.bz2'],
  ['another file', '/enwiki/20261120/enwiki-20261120-page.sql.gz'],
  ['dots', '/enwiki/20261120/../../etc/passwd'],
  ['another host', 'https://evil.example/enwiki/20261120/enwiki-20261120-pages-articles.xml.bz2'],
  ['a protocol-relative host', '//evil.example/enwiki-20261120-pages-articles.xml.bz2'],
  ['a query', '/enwiki/20261120/enwiki-20261120-pages-articles.xml.bz2?x'],
  ['a control character', '/enwiki/20261120/\u001b[2Jx'],
])('an address with %s is refused, the rest goes on', (_name, url) => {
  const jobs = {
    articlesdump: { status: 'done', files: { [`${PREFIX}${WHOLE}`]: { ...ready(WHOLE), url } } },
    sitestatstable: done('site_stats.sql.gz'),
  };
  const result = decide(jobs, { regularTypes: ['pages-articles', 'site_stats'] });
  expect(result.taken).toEqual(['site_stats.sql.gz']);
  expect(result.refused).toMatchObject([
    { filename: `${PREFIX}${WHOLE}`, reason: expect.stringMatching(/^the address .* is not /) },
  ]);
  expect(result.refused[0]?.reason).not.toContain('\u001b');
  expect(result.files[0]).toMatchObject({
    action: 'skip',
    url: null,
    reason: expect.stringMatching(/^refused: the address /),
  });
  expect(result.notices).toMatchObject([
    { dumpType: 'pages-articles', reason: expect.stringMatching(/^refused: /), kind: 'refused' },
  ]);
});

test.each([
  '../../x-pages-articles.xml.bz2',
  'a/b.bz2',
  '.hidden',
  'a\u0000b',
  'a\nb',
  '-rf',
  'a\\b',
  '',
  '..',
])('the file name %j is refused, the rest goes on', (name) => {
  const jobs = { articlesdump: done(WHOLE) };
  (jobs.articlesdump.files as Record<string, object>)[name] = { size: 1, url: `/enwiki/20261120/${name}` };
  const result = decide(jobs);
  expect(result.taken).toEqual([WHOLE]);
  expect(result.refused).toMatchObject([{ filename: name }]);
  expect(result.files[1]).toMatchObject({
    action: 'skip',
    reason: 'refused: the name would leave its folder',
  });
  // It is no dump type, and nothing of one that is configured is lacking.
  expect(result.notices).toEqual([]);
});
