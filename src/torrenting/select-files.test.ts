import { describe, expect, it } from 'vitest';
import type { DumpFile, DumpRun, RunNotice, RunStatus } from '../catalog/index.ts';
import { runStatusOf } from './gaps.ts';
import { selectFiles } from './select-files.ts';
import type { SelectionCatalog } from './selection.ts';
import { ofCycle, type Variant } from './which-torrent.ts';

type Notices = RunNotice[];

/** A catalog of two types in the cycle: `page` is regular, `pages-meta-history` is history and held, stubs are in both lists. */
function setup(options: {
  notices?: Notices;
  status?: RunStatus;
  source?: DumpRun['source'];
  isHistoryHeld?: boolean;
}) {
  const { notices = [], status = 'finished', source = 'classic', isHistoryHeld = true } = options;
  const file = (
    dumpType: string,
    isHistory: boolean,
    ourStatus: DumpFile['ourStatus'] = 'pending',
  ): DumpFile =>
    ({
      ...{ dumpType, isHistory, ourStatus, filename: dumpType, wikiDbName: 'aawiki', source: 'classic' },
      ...{
        runDate: '20261120',
        verification: 'sha1',
        localPath: 'x',
        sha1: 'y',
        upstreamSha1: 'y',
        damagedAt: null,
      },
      ...{ language: 'aa', project: 'wikipedia', sizeBytes: 1 },
    }) as DumpFile;
  const files = [
    file('page', false),
    file('stub-meta-history', false),
    file('pages-meta-history', true, isHistoryHeld ? 'downloaded' : 'pending'),
  ];
  const run = { wikiDbName: 'aawiki', source, runDate: '20261120', status, notices: JSON.stringify(notices) };
  const catalog: SelectionCatalog = {
    carriedFiles: () => new Map(),
    cycle: () => ({ includesHistory: true }) as never,
    dumpFiles: () => files,
    runFiles: () => files,
    replacements: () => new Map(),
    runs: () => [run as DumpRun],
    torrentFiles: () => [],
    torrentGaps: () => [],
    torrents: () => [],
    torrentsOfCycle: () => [],
    wikis: () => [],
  };
  const select = (variant: Variant, supplement = 0) =>
    selectFiles({
      ...{ ...ofCycle('2026-11-20', { variant, supplement }), catalog },
      regularTypes: ['page', 'pagelinks', 'redirect', 'stub-meta-history'],
      historyTypes: ['pages-meta-history', 'stub-meta-history'],
      pieceLengthBytes: 2 ** 24,
      alignFilesFromBytes: 2 ** 26,
    });
  const ofTypes = (variant: Variant) =>
    select(variant)
      .gaps.filter(({ filename }) => filename === null)
      .map(({ dumpType, state, reason }) => `${dumpType} ${state}: ${reason}`);
  return { select, ofTypes };
}

describe('selectFiles', () => {
  it('gives stubs to both torrents, full history to one', () => {
    const { select } = setup({});
    const types = (variant: Variant) => {
      const { included, absent } = select(variant);
      return [...included, ...absent].map((file) => file.dumpType).sort();
    };
    expect(types('regular')).toEqual(['page', 'stub-meta-history']);
    expect(types('history')).toEqual(['pages-meta-history', 'stub-meta-history']);
  });

  it('tells the gaps of the history in the regular torrent when no history torrent can be made', () => {
    const { select } = setup({ isHistoryHeld: false });
    expect(select('regular').gaps.map(({ filename }) => filename)).toContain('pages-meta-history');
    expect(
      setup({})
        .select('regular')
        .gaps.map(({ filename }) => filename),
    ).not.toContain('pages-meta-history');
  });

  it('tells a notice where its kind of file would be, and an unknown kind in the regular torrent', () => {
    const { ofTypes } = setup({
      notices: ['page', 'stub-meta-history', 'pages-meta-history', 'abstract'].map((dumpType) => ({
        ...{ dumpType, reason: 'no' },
      })),
    });
    expect(ofTypes('regular')).toEqual(
      ['abstract', 'page', 'stub-meta-history'].map((dumpType) => `${dumpType} not_offered: no`),
    );
    expect(ofTypes('history')).toEqual(
      ['pages-meta-history', 'stub-meta-history'].map((dumpType) => `${dumpType} not_offered: no`),
    );
  });

  it.each<[RunNotice['kind'], string, RunStatus, string]>([
    ['failed', 'x', 'finished', 'failed_upstream'],
    ['failed', 'x', 'in_progress', 'failed_upstream'],
    ['lacking', 'x', 'finished', 'failed_upstream'],
    ['refused', 'x', 'finished', 'failed_upstream'],
    ['waiting', 'x', 'in_progress', 'missing'],
    ['skipped', 'x', 'finished', 'not_offered'],
    ['not_offered', 'failed upstream', 'finished', 'not_offered'],
    // Rows of earlier versions.
    [undefined, 'failed upstream', 'finished', 'failed_upstream'],
    [undefined, 'skipped by upstream in this run (7z); failed upstream (bz2)', 'finished', 'failed_upstream'],
    [undefined, 'upstream lacks some of its files', 'finished', 'failed_upstream'],
    [undefined, 'refused: the address x is not /y', 'finished', 'failed_upstream'],
    [undefined, 'skipped by upstream in this run', 'finished', 'not_offered'],
    [undefined, 'not offered by this wiki', 'finished', 'not_offered'],
  ])('a dump type that is %s (%s) in a run that is %s ends as %s', (kind, reason, status, state) => {
    const { select, ofTypes } = setup({ status, notices: [{ dumpType: 'page', reason, kind }] });
    expect(ofTypes('regular')).toContain(`page ${state}: ${reason}`);
    expect(runStatusOf(select('regular').gaps)).toBe(status);
  });

  it('leaves hosts out of reasons', () => {
    const reason = 'see  http://127.0.0.1:8080/aawiki/20261120/\nfor more';
    expect(setup({ notices: [{ dumpType: 'page', reason }] }).ofTypes('regular')).toEqual([
      'page not_offered: see /aawiki/20261120/ for more',
    ]);
  });

  it('names each wanted type of an unfinished run of which nothing is known yet', () => {
    const reason = 'never offered';
    const { ofTypes } = setup({ status: 'in_progress', notices: [{ dumpType: 'redirect', reason }] });
    expect(ofTypes('regular')).toEqual([
      'pagelinks missing: not finished upstream by the deadline',
      'redirect not_offered: never offered',
    ]);
    // All that is wanted has a file: more of them may follow.
    expect(ofTypes('history')).toEqual([
      '* missing: not finished upstream by the deadline; more of its files may have followed',
    ]);
  });

  it('says of a run that is not there, and of one that has not begun, why', () => {
    const of = (status: RunStatus, notices: Notices) => setup({ status, notices }).ofTypes('regular');
    expect(of('absent', [])).toEqual(['* not_offered: upstream has no such run']);
    expect(of('absent', [{ dumpType: '*', reason: 'gone' }])).toEqual(['* not_offered: gone']);
    expect(of('in_progress', [{ dumpType: '*', reason: 'not begun' }])).toEqual(['* missing: not begun']);
  });

  it.each<[DumpRun['source'], number, number]>([
    ['content_current', 1, 0],
    ['content_history', 0, 1],
    ['classic', 1, 1],
  ])('tells of runs of %s where their files travel', (source, regular, history) => {
    const { ofTypes } = setup({ source, status: 'absent' });
    expect([ofTypes('regular').length, ofTypes('history').length]).toEqual([regular, history]);
  });

  it('refuses a supplement of a torrent that was never made', () => {
    expect(() => setup({}).select('regular', 1)).toThrowError(
      expect.objectContaining({ code: 'nothing_to_supplement' }),
    );
  });
});

it.each<[RunStatus, Notices]>([
  ['absent', []],
  ['absent', [{ dumpType: 'page', reason: 'x' }]],
  ['in_progress', []],
  ['in_progress', [{ dumpType: '*', reason: 'x' }]],
  ['finished', [{ dumpType: 'page', reason: 'x' }]],
  ['finished', []],
])('the gaps alone tell that a run was %s (%j)', (status, notices) => {
  const { gaps } = setup({ status, notices }).select('regular');
  expect(runStatusOf(gaps)).toBe(status);
});
