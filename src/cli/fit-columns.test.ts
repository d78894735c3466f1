import { expect, test } from 'vitest';
import { fitColumns } from './fit-columns.ts';

const heads = ['wiki', 'flags', 'why', 'seen', 'oldest'];
const rows = [
  ['aawiki', 'closed', 'closed, still dumped', '2026-11-20', '-'],
  ['enwiki', '-', 'included', '2026-11-20', '-'],
];
const fitted = (width: number) =>
  fitColumns({ heads, rows }, { width, leaveOut: ['oldest', 'seen', 'flags'], keep: 'why' });

test.each([
  [Number.POSITIVE_INFINITY, []],
  [56, []],
  [55, ['oldest']],
  [48, ['oldest']],
  [47, ['seen', 'oldest']],
  [35, ['flags', 'seen', 'oldest']],
  [1, ['flags', 'seen', 'oldest']],
])('at %d columns it leaves out %j', (width, left) => {
  const found = fitted(width);
  expect(found.left).toEqual(left);
  expect(found.heads).toEqual(heads.filter((head) => !left.includes(head)));
  expect(found.rows[0]).toContain('closed, still dumped');
  for (const row of found.rows) expect(row).toHaveLength(found.heads.length);
});

test('one long reason costs no column: it is cut', () => {
  const long = [['aawiki', 'closed', 'x'.repeat(200), '2026-11-20', '-']];
  const found = fitColumns({ heads, rows: long }, { width: 90, leaveOut: ['oldest'], keep: 'why' });
  expect(found.left).toEqual([]);
});
