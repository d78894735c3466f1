import { describe, expect, test } from 'vitest';
import type { WikiFlags } from './golden-rule.ts';
import type { PruneFacts, PruneFile, PrunePolicy } from './prune-facts.ts';
import { LARGE_SET_BYTES } from './prune-order.ts';
import { planPrune } from './prune-plan.ts';

const NOW = Date.parse('2026-11-21T00:00:00Z');
const DAY_MS = 86_400_000;
const POLICY: PrunePolicy = {
  neededBytes: 1,
  remoteProofMaxAgeMs: 7 * DAY_MS,
  minSeedersBeforePrune: 3,
  seedersMaxAgeMs: 7 * DAY_MS,
  pruneOldestFirst: true,
  uploadsEnabled: true,
};

let lastId = 0;
const file = (runDate: string, facts: Partial<PruneFile> = {}): PruneFile => {
  lastId += 1;
  const dumpType = facts.dumpType ?? 'pages-articles';
  return {
    id: lastId,
    ...{ project: 'wikipedia', language: 'aa', wikiDbName: 'aawiki', source: 'classic', runDate },
    cycleDate: `${runDate.slice(0, 4)}-${runDate.slice(4, 6)}-${runDate.slice(6, 8)}`,
    ...{ dumpType, sizeBytes: 100 },
    isText: dumpType.startsWith('pages-'),
    ...{ isHeld: true, isIncluded: true, isProved: true, isDamaged: false, isContested: false },
    ...{ archivedAt: NOW, isRefused: false },
    ...facts,
  };
};
const FLAGS: WikiFlags = {
  ...{ project: 'wikipedia', language: 'aa', isClosed: false, isPrivate: false, isVanished: false },
};

const sizeOf = (files: readonly PruneFile[], id: number): number =>
  files.find((each) => each.id === id)?.sizeBytes ?? 0;

/** Runs are finished and cycles published unless said otherwise. */
function facts(files: PruneFile[], more: Partial<PruneFacts> = {}): PruneFacts {
  const cycle = { isPublished: true, takesFilesUntil: NOW - 1, isBusy: false };
  return {
    now: NOW,
    files,
    wikis: new Map([['aawiki', FLAGS]]),
    cycles: new Map(files.map(({ cycleDate }) => [cycleDate, cycle])),
    runs: new Map(
      files.map(({ wikiDbName, source, runDate }) => [
        `${wikiDbName}|${source}|${runDate}`,
        { isFinished: true, lacking: new Set<string>() },
      ]),
    ),
    busy: new Map(),
    otherSeeders: () => null,
    look: ({ id }) => ({ sizeBytes: sizeOf(files, id), isFile: true, linkCount: 2, ownLinks: 2 }),
    ...more,
  };
}

/** `20260901/pages-articles remove surplus`, for every set. */
function decide(given: PruneFacts, policy: Partial<PrunePolicy> = {}): string[] {
  const plan = planPrune(given, { ...POLICY, ...policy });
  return [...plan.removed, ...plan.kept].map(
    ({ set: { runDate, dumpType }, action, rule }) => `${runDate}/${dumpType} ${action} ${rule}`,
  );
}
const ALL = { neededBytes: 1e15 };

test('three runs: the oldest is surplus, the middle one older, the newest stays', () => {
  const files = ['20260901', '20260920', '20261001'].map((run) => file(run));
  expect(decide(facts(files), ALL)).toEqual([
    '20260901/pages-articles remove surplus',
    '20260920/pages-articles remove older',
    '20261001/pages-articles keep newest',
  ]);
});

test('it stops as soon as enough is planned, and plans nothing without need', () => {
  const files = ['20260901', '20260920', '20261001'].map((run) => file(run));
  expect(decide(facts(files), { neededBytes: 100 })).toEqual([
    '20260901/pages-articles remove surplus',
    '20260920/pages-articles keep not_needed',
    '20261001/pages-articles keep newest',
  ]);
  expect(decide(facts(files), { neededBytes: 101 })).toContain('20260920/pages-articles remove older');
  expect(decide(facts(files), { neededBytes: 0 }).filter((line) => line.includes('remove'))).toEqual([]);
});

test('damaged ones go first, then surplus, then well seeded, then older', () => {
  const big = { sizeBytes: LARGE_SET_BYTES };
  const files = [
    file('20260920', { dumpType: 'pagelinks' }),
    file('20261001', { dumpType: 'pagelinks' }),
    ...['20260920', '20261001'].map((run) => file(run, { dumpType: 'pages-meta-current', ...big })),
    ...['20260801', '20260920', '20261001'].map((run) => file(run)),
    file('20260920', { dumpType: 'redirect', isDamaged: true }),
    file('20261001', { dumpType: 'redirect' }),
  ];
  const seeded = facts(files, {
    otherSeeders: ({ id }) => (sizeOf(files, id) === LARGE_SET_BYTES ? 3 : null),
  });
  expect(decide(seeded, ALL).filter((line) => line.includes('remove'))).toEqual([
    '20260920/redirect remove damaged',
    '20260801/pages-articles remove surplus',
    '20260920/pages-meta-current remove seeded',
    '20260920/pagelinks remove older',
    '20260920/pages-articles remove older',
  ]);
});

describe('well seeded means', () => {
  const sets = (older: Partial<PruneFile>): PruneFile[] => [
    file('20260920', { sizeBytes: LARGE_SET_BYTES, ...older }),
    file('20261001', { sizeBytes: LARGE_SET_BYTES }),
  ];
  test.each<[string, Partial<PruneFile>, number | null, string]>([
    ['enough others, a fresh proof', {}, 3, 'seeded'],
    ['one too few', {}, 2, 'older'],
    ['nobody knows how many', {}, null, 'older'],
    ['the proof is too old', { archivedAt: NOW - 8 * DAY_MS }, 9, 'older'],
    ['a small set', { sizeBytes: LARGE_SET_BYTES - 1 }, 9, 'older'],
  ])('%s', (_what, older, count, rule) => {
    const given = facts(sets(older), { otherSeeders: () => count });
    expect(decide(given)[0]).toBe(`20260920/pages-articles remove ${rule}`);
  });

  test('unknown is not enough even when none are asked for', () => {
    const given = facts(sets({}), { otherSeeders: () => null });
    expect(decide(given, { minSeedersBeforePrune: 0 })[0]).toContain('older');
  });

  test('an old proof that would change the order is to be asked for anew', () => {
    const given = facts(sets({ archivedAt: NOW - 8 * DAY_MS }), { otherSeeders: () => 9 });
    expect(planPrune(given, POLICY).toProve.map(({ runDate }) => runDate)).toEqual(['20260920']);
  });
});

test('oldest first takes a whole cycle before the next; else the largest go first', () => {
  const files = [
    file('20260801', { dumpType: 'pagelinks', sizeBytes: 10 }),
    file('20260801', { dumpType: 'redirect', sizeBytes: 500 }),
    file('20260820', { dumpType: 'pagelinks', sizeBytes: 400 }),
    file('20260820', { dumpType: 'redirect', sizeBytes: 20 }),
    ...['20260901', '20261001'].flatMap((run) => [
      file(run),
      file(run, { dumpType: 'pagelinks', sizeBytes: 1 }),
      file(run, { dumpType: 'redirect', sizeBytes: 1 }),
    ]),
  ];
  const order = (policy: Partial<PrunePolicy>): string[] =>
    planPrune(facts(files), { ...POLICY, ...ALL, ...policy })
      .removed.filter(({ rule }) => rule === 'surplus')
      .map(({ set: { runDate, dumpType } }) => `${runDate}/${dumpType}`);
  expect(order({})).toEqual([
    '20260801/redirect',
    '20260801/pagelinks',
    '20260820/pagelinks',
    '20260820/redirect',
  ]);
  expect(order({ pruneOldestFirst: false })).toEqual([
    '20260801/redirect',
    '20260820/pagelinks',
    '20260820/redirect',
    '20260801/pagelinks',
  ]);
});

describe('stays:', () => {
  const older = (changed: Partial<PruneFile> = {}): PruneFile[] => [
    file('20260920', changed),
    file('20261001'),
  ];
  const cycle = { isPublished: true, takesFilesUntil: NOW - 1, isBusy: false };
  const cycles = (changed: object | null): Partial<PruneFacts> => ({
    cycles: new Map([
      ...(changed === null ? [] : [['2026-09-20', { ...cycle, ...changed }] as const]),
      ['2026-10-01', cycle] as const,
    ]),
  });
  const run = (changed: object): Partial<PruneFacts> => ({
    runs: new Map([
      ['aawiki|classic|20260920', { isFinished: true, lacking: new Set<string>() }],
      ['aawiki|classic|20261001', { isFinished: true, lacking: new Set<string>(), ...changed }],
    ]),
  });
  const disk = (changed: object | null): Partial<PruneFacts> => ({
    look: () =>
      changed === null ? null : { sizeBytes: 100, isFile: true, linkCount: 1, ownLinks: 1, ...changed },
  });
  test.each<[string, PruneFile[], Partial<PruneFacts>, string]>([
    [
      'its wiki is closed',
      older(),
      { wikis: new Map([['aawiki', { ...FLAGS, isClosed: true }]]) },
      'protected',
    ],
    ['its wiki is unknown', older(), { wikis: new Map() }, 'protected'],
    ['its cycle is not published', older(), cycles({ isPublished: false }), 'cycle'],
    ['its cycle is unknown', older(), cycles(null), 'cycle'],
    ['a torrent of its cycle is being made', older(), cycles({ isBusy: true }), 'busy'],
    [
      'a supplement is to carry it',
      older({ isIncluded: false }),
      cycles({ takesFilesUntil: NOW + 1 }),
      'awaits_supplement',
    ],
    ['it waits for its upload', older({ archivedAt: null }), {}, 'awaits_upload'],
    ['the newer run is not finished', older(), run({ isFinished: false }), 'no_whole_set'],
    [
      'the newer run lacks files of that type',
      older(),
      run({ lacking: new Set(['pages-articles']) }),
      'newest',
    ],
    ['it has another name elsewhere', older(), disk({ linkCount: 2 }), 'linked_elsewhere'],
    ['it is not on disk', older(), disk(null), 'not_on_disk'],
    ['it has another size on disk', older(), disk({ sizeBytes: 99 }), 'not_on_disk'],
    ['something else lies in its place', older(), disk({ isFile: false }), 'not_on_disk'],
  ])('%s', (_why, files, more, rule) => {
    const given = facts(files, more);
    const found = decide(given, ALL).find((line) => line.startsWith('20260920'));
    // Where the newer run is no whole set, the older one is the newest that is.
    expect(found).toBe(`20260920/pages-articles keep ${rule === 'no_whole_set' ? 'newest' : rule}`);
  });

  test('a job is at one of its files, and then all of the set stays', () => {
    const files = [file('20260920'), file('20260920'), file('20261001')];
    const busy = new Map([[files[1]?.id ?? 0, 'a download is at it']]);
    expect(decide(facts(files, { busy }), ALL)[0]).toBe('20260920/pages-articles keep busy');
  });

  test('uploads that are switched off, or were refused for good, hold nothing up', () => {
    expect(decide(facts(older({ archivedAt: null })), { uploadsEnabled: false })[0]).toContain('remove');
    expect(decide(facts(older({ archivedAt: null, isRefused: true })))[0]).toContain('remove');
  });

  test.each<[string, Partial<PruneFile>]>([
    ['damaged', { isDamaged: true }],
    ['not held whole', { isHeld: false }],
    ['proved by no hash', { isProved: false }],
    ['published anew', { isContested: true }],
  ])('the newest whole set, and a newer one that is %s', (_what, changed) => {
    const files = [file('20260901'), file('20260920'), file('20261001'), file('20261001', changed)];
    expect(decide(facts(files), ALL)).toEqual([
      '20260901/pages-articles remove older',
      '20260920/pages-articles keep newest',
      '20261001/pages-articles keep newer',
    ]);
  });

  test('another type is no substitute, nor another source or wiki', () => {
    const files = [
      file('20260920', { dumpType: 'pages-meta-history' }),
      file('20261001'),
      file('2026-10-01', { dumpType: 'pages-meta-history', source: 'content_history' }),
      file('20261001', { dumpType: 'pages-meta-history', wikiDbName: 'abwiki' }),
    ];
    expect(decide(facts(files), ALL).filter((line) => line.includes('remove'))).toEqual([]);
  });

  test('no text is held whole: the golden rule keeps everything else, too', () => {
    const links = ['20260920', '20261001'].map((run) => file(run, { dumpType: 'pagelinks' }));
    expect(decide(facts(links), ALL)).toContain('20260920/pagelinks keep golden_rule');
    const withProof = [...links, file('20260801', { isHeld: false })];
    expect(decide(facts(withProof), ALL)).toContain('20260920/pagelinks remove older');
    const old = [...links, file('20260801', { isHeld: false, archivedAt: NOW - 8 * DAY_MS })];
    const plan = planPrune(facts(old), { ...POLICY, ...ALL });
    expect(plan.removed).toEqual([]);
    expect(plan.toProve.map(({ runDate }) => runDate)).toEqual(['20260801']);
  });
});

test('every held set has a reason that can be read', () => {
  const files = ['20260901', '20260920', '20261001'].map((run) => file(run));
  const plan = planPrune(facts(files), POLICY);
  expect([...plan.removed, ...plan.kept].map(({ set, reason }) => `${set.runDate}: ${reason}`)).toEqual([
    '20260901: surplus: the newer runs 20261001 and 20260920 are held whole',
    '20260920: enough goes before it; the next time it could go (older)',
    '20261001: newest whole verified set of pages-articles of aawiki (classic)',
  ]);
});
