import { expect, test } from 'vitest';
import { createLayout, type DumpFilePlace } from './layout.ts';

const layout = createLayout('/data');
const SOURCES = ['classic', 'content_current', 'content_history'] as const;
const place = (facts: Partial<DumpFilePlace> = {}): DumpFilePlace => ({
  source: 'classic',
  wikiDbName: 'aawiki',
  runDate: '20260101',
  filename: 'x.bz2',
  ...facts,
});

test.each([
  ['classic', '20260101', '/data/dumps/aawiki/20260101/x.bz2'],
  ['content_current', '2026-01-01', '/data/dumps/aawiki/2026-01-01/x.bz2'],
  ['content_history', '2026-01-01', '/data/dumps/aawiki/2026-01-01-history/x.bz2'],
] as const)('a file of %s has a place of its own', (source, runDate, path) => {
  expect(layout.dumpFile(place({ source, runDate }))).toBe(path);
  const partial = layout.partialFile(place({ source, runDate }));
  expect(partial).toBe(`${path.replace('/dumps/', '/dumps/.partial/')}.part`);
  expect(layout.absolute(layout.relative(path))).toBe(path);
});

test('two sources never share a path, whatever upstream calls its runs', () => {
  const dates = ['20260101', '2026-01-01', '2026-01-01-history', '20260101-history', 'latest', '', '.', '..'];
  const seen = new Map<string, string>();
  for (const source of SOURCES)
    for (const runDate of dates) {
      const file = place({ source, runDate });
      let paths: string[] = [];
      try {
        paths = [layout.dumpFile(file), layout.partialFile(file)];
      } catch (error) {
        expect(error).toMatchObject({ name: 'PermanentError', code: 'unsafe_name' });
      }
      for (const path of paths) {
        expect(seen.get(path)).toBeUndefined();
        seen.set(path, source);
      }
    }
  expect(seen.size).toBe(6);
});

test.each([
  { wikiDbName: '../etc' },
  { filename: '../x' },
  { filename: '.hidden' },
  { runDate: '../20260101' },
])('refuses %o as part of a path', (facts) => {
  expect(() => layout.dumpFile(place(facts))).toThrow(/refusing/);
});
