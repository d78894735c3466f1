import { expect, test } from 'vitest';
import type { SystemState } from '../db/index.ts';
import { noteUnlisted, unlistedWikis } from './unlisted.ts';

function memory(): SystemState {
  const values = new Map<string, string>();
  return {
    get: (key) => values.get(key) ?? null,
    set: (key, value) => void values.set(key, value),
    delete: (key) => void values.delete(key),
    list: () => [],
  };
}

const list = (...listedNames: string[]) => ({ listedNames });

test('what the last look at each source found is told together, until the site matrix names it', () => {
  const state = memory();
  const all = ['classic', 'content_current'] as const;
  expect(unlistedWikis(state, [], all)).toEqual([]);
  expect(noteUnlisted(state, 'classic', [], list('yywiki', 'xxwiki', 'other'), 5)).toEqual([
    '2 wikis are dumped, but the site matrix does not name them, so they are not taken: xxwiki, yywiki',
  ]);
  noteUnlisted(state, 'content_current', [], list('xxwiki'), 7);
  // Nothing new.
  expect(noteUnlisted(state, 'classic', [], list(), 9)).toEqual([]);
  expect(unlistedWikis(state, [], all)).toEqual([
    { wikiDbName: 'xxwiki', places: ['classic', 'content_current'], seenAt: 7 },
    { wikiDbName: 'yywiki', places: ['classic'], seenAt: 5 },
  ]);
  expect(unlistedWikis(state, [{ wikiDbName: 'xxwiki' }], all)).toMatchObject([{ wikiDbName: 'yywiki' }]);
  expect(unlistedWikis(state, [], ['content_current'])).toHaveLength(1);
  noteUnlisted(state, 'classic', [], list('other'), 9);
  expect(unlistedWikis(state, [], ['classic'])).toEqual([]);
});
