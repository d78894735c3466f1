import { expect, test } from 'vitest';
import type { Catalog, Torrent } from '../../src/catalog/index.ts';
import { ofCycle } from '../../src/torrenting/index.ts';
import { createTorrentsWanted } from '../../src/torrents-wanted.ts';

/** Goal: a torrent of unpacked files is asked for once, and only beside one of the packed files. Method: the real rules on a catalog of rows. */

const CYCLE = '2026-11-20';

function wanted(hasUncompressed: boolean, made: Partial<Torrent>[]) {
  const catalog = {
    torrentsOfCycle: () =>
      made.map((facts) => ({ ...ofCycle(CYCLE), isHistory: false, isUncompressed: false, ...facts })),
    takesFiles: () => false,
    hasUnsettled: () => false,
    heldVariants: () => ({ regular: true, history: false }),
    torrentsToMakeAgain: () => [],
    hasMoreParts: () => false,
  } as unknown as Catalog;
  const config = { groupings: ['cycle'] as const, wikiRunMinSizeBytes: 1, historyTypes: [], hasUncompressed };
  const rules = createTorrentsWanted({ catalog, queue: { hasUnfinished: () => false }, config });
  const variants = (requests: { input: unknown }[]) =>
    requests.map(({ input }) => (input as { variant: string }).variant);
  return { missing: variants(rules.missing(CYCLE)), next: variants(rules.unpacked(CYCLE)) };
}

test.each<[string, boolean, Partial<Torrent>[], string[], string[]]>([
  ['nothing is made yet', true, [], ['regular'], []],
  ['only the history is made', true, [{ isHistory: true }], ['regular'], []],
  ['the regular one is made', true, [{}], ['uncompressed'], ['uncompressed']],
  ['the regular one is made in parts', true, [{ part: 1 }], ['uncompressed'], ['uncompressed']],
  ['only a supplement of it is made', true, [{ supplement: 1 }], ['regular'], []],
  ['both are made', true, [{}, { isUncompressed: true }], [], []],
  ['it was removed to make room', true, [{}, { isUncompressed: true, retiredAt: 1 }], [], []],
  ['it is switched off', false, [{}], [], []],
])('%s', (_name, hasUncompressed, made, missing, next) => {
  expect(wanted(hasUncompressed, made)).toEqual({ missing, next });
});
