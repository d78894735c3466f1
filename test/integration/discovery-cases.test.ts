import { describe, expect, test } from 'vitest';
import { createClassicSource } from '../../src/discovery/classic-source.ts';
import { dumpTypeOf, isPart, parseFileName } from '../../src/discovery/file-name.ts';
import { parseListing, runDatesOf } from '../../src/discovery/listing.ts';
import { parseSiteMatrix } from '../../src/discovery/site-matrix.ts';
import type { FileDecision, RunDecision, Selection } from '../../src/discovery/source.ts';
import { addHashes, needsHashes } from '../../src/discovery/sums.ts';
import { listingOf, RUN_DATE, startClassicSite, statusOf } from '../helpers/classic-site.ts';

/**
 * The list of odd cases of upstream's formats (section 14 of the description of them that the project keeps), by its numbers.
 * Elsewhere:
 * 14.3 replaced files keep their bytes and are fetched anew: the catalog's tests of `recordRun`;
 * 14.7 retries of a torn document in the queue: test/integration/discovery-faults.test.ts;
 * 14.11 more of the site matrix: src/discovery/site-matrix.test.ts, test/integration/discovery-wikis.test.ts;
 * 14.13 ranges, 416, dropped bodies, wrong lengths, 503, 403: test/integration/download.test.ts and section-14.test.ts;
 *   what a host's 503 means for the jobs behind it: queue-targets.test.ts;
 * 14.14 mirrors that have nothing or other bytes, right size and wrong bytes: section-14.test.ts and test/e2e/download-matrix.test.ts;
 * 14.15 a run removed while it is downloaded, two runs of a wiki at once: section-14.test.ts; while its files wait:
 *   test/e2e/upstream-changes.test.ts.
 */
const source = createClassicSource({ baseUrl: 'https://dumps.wikimedia.org' });
const base: Selection = {
  regularTypes: ['pages-articles', 'stub-articles', 'all-titles', 'page'],
  historyTypes: ['pages-meta-history'],
  includesHistory: false,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
  isUrgent: false,
};
const run = { wikiDbName: 'aawiki', runDate: RUN_DATE };
const PREFIX = `aawiki-${RUN_DATE}-`;
type Jobs = Parameters<typeof statusOf>[1];
type Raw = { jobs: Record<string, { status: string; updated?: string; files?: Record<string, unknown> }> };

const raw = (jobs: Jobs): Raw => statusOf('aawiki', jobs) as Raw;
const decide = (status: unknown, selection: Partial<Selection> = {}): RunDecision =>
  source.decide(JSON.stringify(status), run, { ...base, ...selection });
const rest = (file: { filename: string }): string => file.filename.replace(PREFIX, '');
const taken = ({ files }: RunDecision): string[] => files.filter((f) => f.action === 'take').map(rest);
const find = (decision: RunDecision, name: string): FileDecision | undefined =>
  decision.files.find((file) => rest(file) === name);
const hashesOf = (decision: RunDecision) =>
  decision.files.flatMap((file) => (file.action === 'take' ? [file.file.hashes] : []));

/** Changes one file's facts. */
function withFile(status: Raw, job: string, name: string, facts: object): Raw {
  const copy = structuredClone(status);
  (copy.jobs[job] as { files: Record<string, unknown> }).files[`${PREFIX}${name}`] = facts;
  return copy;
}
const urlOf = (name: string): string => `/aawiki/${RUN_DATE}/${PREFIX}${name}`;

describe('14.1 files and hashes of done jobs', () => {
  test('14.1 a file that is {} in a done job is never taken', () => {
    const status = withFile(raw({ xmlstubsdump: ['done', 'stub-articles.xml.gz'] }), 'xmlstubsdump', 'x', {});
    for (const facts of [{}, { size: 5 }, { url: urlOf('stub-articles.xml.gz') }]) {
      const decision = decide(withFile(status, 'xmlstubsdump', 'stub-articles.xml.gz', facts));
      expect(taken(decision)).toEqual([]);
      expect(find(decision, 'stub-articles.xml.gz')).toMatchObject({
        action: 'skip',
        reason: 'upstream gives no size or address',
      });
      expect(decision.notices).toContainEqual({
        dumpType: 'stub-articles',
        reason: 'upstream lists it as done, but gives no file',
        kind: 'lacking',
      });
    }
  });

  test('14.1 a done file without hashes is expected, and its hashes are looked for', async () => {
    const facts = { size: 5, url: urlOf('page.sql.gz') };
    const decision = decide(withFile(raw({ pagetable: ['done'] }), 'pagetable', 'page.sql.gz', facts));
    const files = decision.files.flatMap((file) => (file.action === 'take' ? [file.file] : []));
    expect(files).toMatchObject([{ hashes: {} }]);
    expect(needsHashes(files)).toBe(true);
    const line = `${'b'.repeat(32)}  ${PREFIX}page.sql.gz\n`;
    const filled = await addHashes(files, run, async (name) => (name.endsWith('md5sums.txt') ? line : null));
    expect(filled).toMatchObject([{ hashes: { md5: 'b'.repeat(32) } }]);
    // One that is nowhere stays without, and is expected all the same.
    expect(await addHashes(files, run, async () => null)).toEqual(files);
  });

  test.each([
    ['md5', 'b'.repeat(32)],
    ['sha1', 'a'.repeat(40)],
  ])('14.1 %s alone is enough', (algorithm, hash) => {
    const facts = { size: 5, url: urlOf('page.sql.gz'), [algorithm]: hash };
    const decision = decide(withFile(raw({ pagetable: ['done'] }), 'pagetable', 'page.sql.gz', facts));
    expect(hashesOf(decision)).toEqual([{ [algorithm]: hash }]);
    const files = decision.files.flatMap((file) => (file.action === 'take' ? [file.file] : []));
    expect(needsHashes(files)).toBe(false);
  });
});

describe('14.2 what is absent or unknown', () => {
  test('14.2 a job without files that is not settled is waited for, silently', () => {
    const decision = decide({ jobs: { articlesdump: { status: 'waiting' } } });
    expect(decision).toMatchObject({ files: [], isFinished: false });
    expect(decision.notices.map((notice) => notice.dumpType)).not.toContain('pages-articles');
  });

  test('14.2 a job that is absent is "not offered"', () => {
    expect(decide(raw({ pagetable: ['done', 'page.sql.gz'] })).notices).toEqual(
      ['all-titles', 'pages-articles', 'stub-articles'].map((dumpType) => ({
        ...{ dumpType, reason: 'not offered by this wiki', kind: 'not_offered' },
      })),
    );
  });

  test('14.2 an unknown job is no obstacle, and its files are judged by their names', () => {
    const decision = decide(raw({ newfangleddump: ['done', 'page.sql.gz', 'novelty.sql.gz'] }));
    expect(taken(decision)).toEqual(['page.sql.gz']);
    expect(find(decision, 'novelty.sql.gz')?.reason).toBe('its type (novelty) is not configured');
    expect(decision.isFinished).toBe(true);
  });

  test('14.2 an unknown status is not ready, and the run is not finished', () => {
    const decision = decide(raw({ pagetable: ['pondering', 'page.sql.gz'] }));
    expect(find(decision, 'page.sql.gz')).toMatchObject({
      action: 'wait',
      reason: 'upstream says of it "pondering", which is no word we know',
    });
    expect(decision.isFinished).toBe(false);
  });

  test('14.2 an unknown version and extra fields change nothing', () => {
    const status = raw({ pagetable: ['done', 'page.sql.gz'] });
    const strange = structuredClone(status) as Raw & Record<string, unknown>;
    Object.assign(strange, { version: '3.14', mood: 'good' });
    Object.assign(strange.jobs.pagetable as object, { colour: 'green', job: 'pagetable' });
    Object.assign(strange.jobs.pagetable?.files?.[`${PREFIX}page.sql.gz`] as object, { crc: 1 });
    Object.assign(strange.jobs, { job: 'pagetable' });
    expect(decide(strange)).toEqual(decide(status));
    const { version: _version, ...without } = strange;
    expect(decide(without)).toEqual(decide(status));
  });
});

describe('14.3 what changes between two looks', () => {
  test('14.3 waiting with an old time, and files of an earlier try, is not ready', () => {
    const status = raw({ pagetable: ['done', 'page.sql.gz'] });
    Object.assign(status.jobs.pagetable as object, { status: 'waiting', updated: '2020-10-03 01:01:38' });
    expect(find(decide(status), 'page.sql.gz')).toMatchObject({
      action: 'wait',
      reason: 'upstream has not made it yet',
    });
  });

  test('14.3 a failed job that turns done later is taken then', () => {
    const failed = decide(raw({ pagetable: ['failed', 'page.sql.gz'] }));
    expect(failed.notices).toContainEqual({ dumpType: 'page', reason: 'failed upstream', kind: 'failed' });
    expect(failed.mayChange).toBe(true);
    expect(find(failed, 'page.sql.gz')?.reason).toBe('its job failed upstream');
    const done = decide(raw({ pagetable: ['done', 'page.sql.gz'] }));
    expect(taken(done)).toEqual(['page.sql.gz']);
    expect(done.notices.map((notice) => notice.dumpType)).not.toContain('page');
  });

  test('14.3 size and hash are those of the newest reading', () => {
    const status = raw({ pagetable: ['done', 'page.sql.gz'] });
    const now = { size: 99, url: urlOf('page.sql.gz'), sha1: 'c'.repeat(40) };
    const [file] = decide(withFile(status, 'pagetable', 'page.sql.gz', now)).files;
    expect(file).toMatchObject({ sizeBytes: 99, file: { sizeBytes: 99, hashes: { sha1: 'c'.repeat(40) } } });
  });
});

describe('14.4 whole and parts', () => {
  const [whole, one, two] = [
    'pages-articles.xml.bz2',
    'pages-articles1.xml-p1p9.bz2',
    'pages-articles2.xml-p10p20.bz2',
  ];
  const parts = ['done', one, two] as const;
  test('14.4 whole and parts both present: one of the two, never both', () => {
    const status = raw({ articlesdump: parts, articlesdumprecombine: ['done', whole] });
    expect(taken(decide(status))).toEqual([whole]);
    expect(taken(decide(status, { splitFiles: 'prefer_parts' }))).toEqual([one, two]);
  });

  test('14.4 recombine still running: the parts wait', () => {
    const decision = decide(raw({ articlesdump: parts, articlesdumprecombine: ['in-progress', whole] }));
    expect(decision.files.map((file) => file.action)).toEqual(['wait', 'wait', 'wait']);
    expect(decision.notices.map((notice) => notice.dumpType)).not.toContain('pages-articles');
  });

  test('14.4 recombine failed but parts done: the parts are taken', () => {
    const decision = decide(raw({ articlesdump: parts, articlesdumprecombine: ['failed', whole] }));
    expect(taken(decision)).toEqual([one, two]);
    expect(find(decision, whole)?.reason).toBe('its job failed upstream');
  });

  test('14.4 parts that are still being made are not taken one by one', () => {
    const decision = decide(raw({ articlesdump: ['in-progress', one, two] }), { splitFiles: 'prefer_parts' });
    expect(decision.files.map((file) => [file.action, file.reason])).toEqual([
      ['wait', 'upstream is still writing it'],
      ['wait', 'upstream is still writing it'],
    ]);
  });
});

test.each([
  ['pages-articles1.xml-p1p41242.bz2', 'pages-articles', true],
  ['stub-articles1.xml.gz', 'stub-articles', true],
  ['pages-articles1.xml-p000000010p000030302.bz2', 'pages-articles', true],
  ['pages-meta-history27.xml-p77234299p77508831.7z', 'pages-meta-history', true],
  ['pages-articles-multistream-index27.txt-p1p2.bz2', 'pages-articles-multistream', true],
  ['all-titles-in-ns0.gz', 'all-titles-in-ns0', false],
  ['siteinfo2-namespacesv2.json.gz', 'siteinfo2-namespacesv2', false],
])('14.5 the part name %s is of type %s', (name, dumpType, part) => {
  const parsed = parseFileName(`${PREFIX}${name}`, 'aawiki');
  expect(parsed === null ? null : [dumpTypeOf(parsed), isPart(parsed)]).toEqual([dumpType, part]);
});

test('14.5 two parts of one number with different pages are two files', () => {
  const names = [
    'pages-articles27.xml-p74475910p75975909.bz2',
    'pages-articles27.xml-p75975910p77475909.bz2',
  ];
  expect(taken(decide(raw({ articlesdump: ['done', ...names] })))).toEqual(names);
});

test('14.6 abstracts that a run does not offer are a notice, not an error', () => {
  const decision = decide(raw({ pagetable: ['done', 'page.sql.gz'] }), {
    regularTypes: ['page', 'abstract'],
  });
  expect(decision.notices).toEqual([
    { dumpType: 'abstract', reason: 'not offered by this wiki', kind: 'not_offered' },
  ]);
});

test('14.6 history that is asked of a run that skips it is a notice; when nobody asks, it is none', () => {
  const status = raw({
    metahistorybz2dump: ['skipped', 'pages-meta-history.xml.bz2'],
    metahistory7zdump: ['skipped', 'pages-meta-history.xml.7z'],
  });
  const asked = decide(status, { regularTypes: [], includesHistory: true });
  expect(asked.notices).toEqual([
    { dumpType: 'pages-meta-history', reason: 'skipped by upstream in this run', kind: 'skipped' },
  ]);
  expect(asked.files.map((file) => file.reason)).toEqual(Array(2).fill('upstream skips it in this run'));
  const unasked = decide(status, { regularTypes: [] });
  expect(unasked.notices).toEqual([]);
  expect(unasked.files.map((file) => file.reason)).toEqual(
    Array(2).fill('history is not taken in this cycle'),
  );
});

test('14.7 a status that is cut off or no JSON is an error that is retried, wherever it is cut', async () => {
  const text = JSON.stringify(raw({ pagetable: ['done', 'page.sql.gz'] }));
  for (let cut = 0; cut < text.length; cut += 1)
    expect(() => source.decide(text.slice(0, cut), run, base), String(cut)).toThrow(
      expect.objectContaining({ name: 'RetryableError', code: 'torn_status' }),
    );
  const site = await startClassicSite({ [`/aawiki/${RUN_DATE}/dumpstatus.json`]: text.slice(0, 60) });
  await expect(site.askOne('aawiki', true)).rejects.toMatchObject({ code: 'torn_status' });
});

test('14.7 a torn index is an error that is retried, and no wiki of it is told of', async () => {
  const text = JSON.stringify({ wikis: { aawiki: raw({ pagetable: ['done', 'page.sql.gz'] }), bbwiki: {} } });
  const site = await startClassicSite();
  for (const torn of [text.slice(0, -1), text.slice(0, 40), '', `${text}"}}`, text.replace(':{', ';{')]) {
    site.pages.set('/index.json', torn);
    await expect(site.scan(['aawiki']), torn.slice(-20)).rejects.toMatchObject({
      ...{ name: 'RetryableError', code: 'torn_index' },
    });
  }
});

test('14.8 sizes beyond 32 bits and sums beyond 41', () => {
  const size = 99_999_999_999;
  const names = Array.from(
    { length: 30 },
    (_, n) => `pages-articles${n + 1}.xml-p${n * 10 + 1}p${n * 10 + 10}.bz2`,
  );
  let status = raw({ articlesdump: ['done', ...names] });
  for (const name of names) status = withFile(status, 'articlesdump', name, { size, url: urlOf(name) });
  const { files } = decide(status);
  expect(files.every((file) => file.action === 'take' && file.file.sizeBytes === size)).toBe(true);
  const sum = files.reduce((total, file) => total + (file.sizeBytes ?? 0), 0);
  expect(sum).toBe(2_999_999_999_970);
  expect(sum).toBeGreaterThan(2 ** 41);
  for (const odd of [2 ** 53, -1, 1.5, '10', null, true]) {
    const broken = withFile(status, 'articlesdump', names[0] as string, {
      size: odd,
      url: urlOf(names[0] as string),
    });
    expect(taken(decide(broken)), String(odd)).toEqual(names.slice(1));
  }
});

test.each([
  `https://dumps.wikimedia.org${urlOf('page.sql.gz')}`,
  `//dumps.wikimedia.org${urlOf('page.sql.gz')}`,
  `/aawiki/${RUN_DATE}/../${RUN_DATE}/${PREFIX}page.sql.gz`,
  `/aawiki/latest/${PREFIX}page.sql.gz`,
  `/bbwiki/${RUN_DATE}/${PREFIX}page.sql.gz`,
  `/aawiki/${RUN_DATE}/${PREFIX}redirect.sql.gz`,
  `${urlOf('page.sql.gz')}#x`,
  `${urlOf('page.sql.gz').slice(1)}`,
  '',
])('14.9 the address %j is refused', (url) => {
  const status = withFile(raw({ pagetable: ['done'] }), 'pagetable', 'page.sql.gz', { size: 5, url });
  const decision = decide(status, { regularTypes: ['page'] });
  expect(decision.files).toMatchObject([
    {
      action: 'skip',
      url: null,
      reason: expect.stringMatching(/^refused: the address .* is not \/aawiki\//),
    },
  ]);
  expect(decision.refused).toHaveLength(1);
});

test.each([
  '../../../etc/cron.d/x',
  '/etc/passwd',
  'a/b',
  'a\\b',
  '..',
  '.',
  '.hidden',
  '',
  '-rf',
  `${PREFIX}page\u0000.sql.gz`,
  `${PREFIX}page\n.sql.gz`,
  `${PREFIX}p\u202eage.sql.gz`,
  `${PREFIX}..page.sql.gz`,
  'x'.repeat(300),
])('14.10 the file name %j never becomes a path', (name) => {
  const status = raw({ pagetable: ['done', 'page.sql.gz'] });
  (status.jobs.pagetable?.files as Record<string, unknown>)[name] = {
    size: 1,
    url: `/aawiki/${RUN_DATE}/${name}`,
  };
  const decision = decide(status);
  expect(taken(decision)).toEqual(['page.sql.gz']);
  expect(decision.refused.map((each) => each.filename)).toEqual([name]);
});

test.each([
  'page.sql.gz.inprog',
  'page.sql.gz.truncated',
  'page.sql.gz.empty',
  'page.sql.gz-tmp',
])('14.10 the temporary file %s is never taken', (name) => {
  const decision = decide(raw({ pagetable: ['done', name] }));
  expect(find(decision, name)).toMatchObject({
    action: 'skip',
    reason: expect.stringMatching(/^a temporary file of upstream/),
  });
  expect(decision.refused).toEqual([]);
});

test('14.11 site matrix: "" and true mean the same, an empty site list is fine, specials and underscores are read', () => {
  const site = (dbname: string, code: string, more: object = {}) => ({
    ...{ url: `https://${dbname}.example`, dbname, code, sitename: dbname },
    ...more,
  });
  const matrix = (flag: unknown) =>
    JSON.stringify({
      sitematrix: {
        count: 4,
        0: { code: 'aa', name: 'Afar', site: [site('aawiki', 'wiki', { closed: flag })] },
        1: { code: 'ab', name: 'x', site: [] },
        2: { code: 'be-x-old', name: 'x', site: [site('be_x_oldwiki', 'wiki')] },
        specials: [
          site('boardwiki', 'board', { private: flag }),
          site('commonswiki', 'commons', { lang: 'commons' }),
        ],
      },
    });
  const [one, two] = [parseSiteMatrix(matrix('')), parseSiteMatrix(matrix(true))];
  expect(one).toEqual(two);
  const flags = one.wikis.map((wiki) => [wiki.wikiDbName, wiki.project, wiki.isClosed, wiki.isPrivate]);
  expect(flags).toEqual([
    ['aawiki', 'wikipedia', true, false],
    ['be_x_oldwiki', 'wikipedia', false, false],
    ['boardwiki', 'board', false, true],
    ['commonswiki', 'commons', false, false],
  ]);
});

test('14.12 only real calendar dates are runs: not 20260231, latest, archive or a file', async () => {
  const entries = [
    '20260101/',
    '20260229/',
    '20260231/',
    '20261301/',
    '00000000/',
    'latest/',
    'archive/',
    '20260120',
  ];
  const html = listingOf('/aawiki/', [...entries, '2026012/', '202601201/', '20280229/']);
  expect(runDatesOf(parseListing(html))).toEqual(['20260101', '20280229']);
  const site = await startClassicSite({ '/aawiki/': listingOf('/aawiki/', ['20269931/', 'latest/']) });
  // A name that only looks like a later date does not make a run gone.
  expect(await site.askOne('aawiki', true)).toMatchObject({ kind: 'not_yet' });
});

test('14.12 a file of another date, or of latest, is not a file of this run', () => {
  const facts = { size: 5, url: '/aawiki/latest/aawiki-latest-page.sql.gz' };
  const status = raw({ pagetable: ['done'] });
  Object.assign(status.jobs.pagetable?.files as object, {
    'aawiki-latest-page.sql.gz': facts,
    'aawiki-20261101-page.sql.gz': { size: 5, url: '/aawiki/20261101/aawiki-20261101-page.sql.gz' },
    'bbwiki-20261120-page.sql.gz': { size: 5, url: '/bbwiki/20261120/bbwiki-20261120-page.sql.gz' },
  });
  expect(decide(status).files.map((file) => `${file.action}: ${file.reason}`)).toEqual([
    'skip: a link of upstream to its latest run',
    'skip: its name is that of another run',
    'skip: its name is not that of a dump file of this wiki',
  ]);
});

test('14.15 two runs of one wiki at once: the index tells of the newer one, the older is asked for', async () => {
  const newest = { aawiki: statusOf('aawiki', { pagetable: ['waiting', 'page.sql.gz'] }, '20261201') };
  const own = JSON.stringify(raw({ pagetable: ['done', 'page.sql.gz'] }));
  const site = await startClassicSite({
    '/index.json': JSON.stringify({ wikis: newest }),
    [`/aawiki/${RUN_DATE}/dumpstatus.json`]: own,
  });
  const cycle = { cycleDate: '2026-12-01', includesHistory: false };
  const ofNew = await site.scan(['aawiki'], {}, { cycle, runDate: '20261201' });
  expect(ofNew.sightings).toMatchObject([{ kind: 'document' }]);
  const ofOld = await site.scan(['aawiki'], { aawiki: { status: 'in_progress' } });
  expect(ofOld.sightings).toEqual([{ wikiDbName: 'aawiki', kind: 'ask', isInIndex: true }]);
  expect(await site.askOne('aawiki', true)).toMatchObject({ kind: 'document', document: own });
});

test('14.15 a run that is removed is told apart from one that upstream never made', async () => {
  const site = await startClassicSite({ '/aawiki/': listingOf('/aawiki/', ['20261101/', '20261201/']) });
  expect(await site.askOne('aawiki', true)).toMatchObject({ reason: 'upstream has no run of this date' });
  expect(await site.askOne('aawiki', true, { status: 'in_progress' })).toMatchObject({
    ...{ kind: 'absent', reason: 'upstream has removed the run' },
  });
});
