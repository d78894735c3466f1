import { describe, expect, test } from 'vitest';
import {
  type CopyFile,
  type FamilyFacts,
  goldenVerdict,
  isFreshProof,
  type Removal,
  type TextSet,
  type WikiFlags,
} from './golden-rule.ts';

const NOW = 1_000_000;
const AGE = { now: NOW, remoteProofMaxAgeMs: 1000 };
const FLAGS: WikiFlags = {
  ...{ project: 'wikipedia', language: 'aa' },
  ...{ isClosed: false, isPrivate: false, isVanished: false },
};
const file = (id: number, facts: Partial<CopyFile> = {}): CopyFile => ({
  ...{ id, isHeld: true, isProved: true, isDamaged: false, isContested: false, archivedAt: null },
  ...facts,
});
const set = (runDate: string, files: CopyFile[], facts: Partial<TextSet> = {}): TextSet => ({
  ...{
    wikiDbName: 'aawiki',
    source: 'classic',
    runDate,
    dumpType: 'pages-articles',
    isComplete: true,
    files,
  },
  ...facts,
});
const family = (textSets: TextSet[], flags: Partial<WikiFlags> | null = {}): FamilyFacts => ({
  ...{ project: 'wikipedia', language: 'aa', textSets },
  wikis: new Map([['aawiki', flags === null ? null : { ...FLAGS, ...flags }]]),
});
const remove = (...ids: number[]): Removal => ({ ids: new Set(ids), wikis: new Set(['aawiki']) });
const OLD = set('20260901', [file(1), file(2)]);

test('a newer whole set on disk lets the older one go', () => {
  expect(goldenVerdict(family([OLD, set('20261001', [file(3), file(4)])]), remove(1, 2), AGE)).toEqual({
    isAllowed: true,
    copies: [
      {
        ...{ wikiDbName: 'aawiki', source: 'classic', runDate: '20261001', dumpType: 'pages-articles' },
        ...{ where: 'disk', ids: [3, 4] },
      },
    ],
  });
});

test('what goes is no copy, not even for a part of it', () => {
  expect(goldenVerdict(family([OLD]), remove(1), AGE)).toMatchObject({ isAllowed: false });
  expect(goldenVerdict(family([OLD, set('20261001', [file(3)])]), remove(1, 2, 3), AGE)).toMatchObject({
    isAllowed: false,
  });
});

describe('is no copy on disk', () => {
  test.each<[string, TextSet]>([
    ['one part of it is not held', set('20261001', [file(3), file(4, { isHeld: false })])],
    ['one part is damaged', set('20261001', [file(3), file(4, { isDamaged: true })])],
    ['no hash proved one part', set('20261001', [file(3), file(4, { isProved: false })])],
    ['upstream published one part anew', set('20261001', [file(3), file(4, { isContested: true })])],
    ['its run is not complete', set('20261001', [file(3)], { isComplete: false })],
    ['it has no files', set('20261001', [])],
    ['it is of another wiki', set('20261001', [file(3)], { wikiDbName: 'abwiki' })],
  ])('%s', (_why, newer) => {
    expect(goldenVerdict(family([OLD, newer]), remove(1, 2), AGE)).toMatchObject({
      isAllowed: false,
      reason: expect.stringContaining('golden rule: no other whole verified copy of aawiki'),
    });
  });
});

describe('at the archive', () => {
  const archived = (...at: (number | null)[]): TextSet =>
    set(
      '20261001',
      at.map((archivedAt, index) => file(3 + index, { isHeld: false, archivedAt })),
    );
  test.each<[string, TextSet, boolean]>([
    ['proved just now', archived(NOW, NOW), true],
    ['proved as long ago as allowed', archived(NOW - 1000), true],
    ['proved a moment longer ago', archived(NOW - 1001), false],
    ['proved in the future', archived(NOW + 1), false],
    ['one part never proved', archived(NOW, null), false],
  ])('%s', (_what, newer, isAllowed) => {
    expect(goldenVerdict(family([OLD, newer]), remove(1, 2), AGE).isAllowed).toBe(isAllowed);
  });

  test('the very files that go may be the copy, once they are proved there', () => {
    const both = set('20260901', [file(1, { archivedAt: NOW }), file(2, { archivedAt: NOW })]);
    expect(goldenVerdict(family([both]), remove(1, 2), AGE)).toMatchObject({
      copies: [{ where: 'internet_archive', runDate: '20260901' }],
    });
  });

  test('half on disk and half at the archive is no copy', () => {
    const mixed = set('20261001', [file(3), file(4, { isHeld: false, archivedAt: NOW })]);
    expect(goldenVerdict(family([OLD, mixed]), remove(1, 2), AGE).isAllowed).toBe(false);
  });

  test('no hash ever proved the bytes there', () => {
    const weak = set('20261001', [file(3, { isHeld: false, isProved: false, archivedAt: NOW })]);
    expect(goldenVerdict(family([OLD, weak]), remove(1, 2), AGE).isAllowed).toBe(false);
  });
});

describe('is protected', () => {
  test.each<[string, Partial<WikiFlags> | null, RegExp]>([
    ['closed', { isClosed: true }, /closed wiki: protected for ever/],
    ['vanished', { isVanished: true }, /vanished from the site matrix: protected for ever/],
    ['private', { isPrivate: true }, /private/],
    ['unknown', null, /nothing is known of the wiki/],
    ['called otherwise', { language: 'ab' }, /protected until that is clear/],
  ])('a wiki that is %s', (_what, flags, reason) => {
    const facts = family([OLD, set('20261001', [file(3)])], flags);
    expect(goldenVerdict(facts, remove(1, 2), AGE)).toEqual({
      isAllowed: false,
      reason: expect.stringMatching(reason),
    });
  });
});

test('wikis of one project and language each need a copy of their own', () => {
  const facts: FamilyFacts = {
    ...family([OLD, set('20261001', [file(3)]), set('20260901', [file(9)], { wikiDbName: 'xwiki' })]),
    wikis: new Map([
      ['aawiki', FLAGS],
      ['xwiki', FLAGS],
    ]),
  };
  const both = { ids: new Set([1, 2, 9]), wikis: new Set(['aawiki', 'xwiki']) };
  expect(goldenVerdict(facts, both, AGE).isAllowed).toBe(false);
  expect(goldenVerdict(facts, remove(1, 2), AGE).isAllowed).toBe(true);
});

test('a removal of nobody knows what is refused', () => {
  expect(goldenVerdict(family([OLD]), { ids: new Set([5]), wikis: new Set() }, AGE).isAllowed).toBe(false);
  expect(isFreshProof(null, AGE)).toBe(false);
});
