import { expect, test } from 'vitest';
import type { PlanRow } from '../discovery/index.ts';
import type { CliIo } from './io.ts';
import { printReasons } from './plan-reasons.ts';

function printed(rows: readonly Partial<PlanRow>[]): string[] {
  let out = '';
  const io = { out: { write: (text: string) => (out += text) } } as unknown as CliIo;
  const full = rows.map((row) => ({
    ...{ wikiDbName: 'aawiki', source: 'classic' as const, runDate: '20261120', dumpType: 'pagelinks' },
    ...{ filename: null, sizeBytes: null, url: null, action: 'skip' as const, reason: '' },
    ...row,
  }));
  printReasons(io, full, 80);
  return out.split('\n').filter((line) => line !== '');
}

test('gaps stand first, however many types are not configured, and none of them is cut', () => {
  const unwanted = Array.from({ length: 40 }, (_, n) =>
    ['aawiki', 'bbwiki'].map((wikiDbName) => ({
      ...{ wikiDbName, dumpType: `type${n}`, filename: `f${n}` },
      reason: `its type (type${n}) is not configured`,
    })),
  ).flat();
  const lost = Array.from({ length: 30 }, (_, n) => ({ dumpType: `lost${n}`, reason: 'failed upstream' }));
  const lines = printed([
    ...unwanted,
    { dumpType: 'flow', reason: 'not offered by this wiki' },
    { dumpType: 'abstract', filename: 'a.xml', reason: '7z is preferred' },
    { dumpType: 'page', action: 'wait', filename: 'p.gz', reason: 'upstream is still writing it' },
    ...lost,
    { dumpType: 'content', filename: 'c', reason: 'content is not configured' },
  ]);
  expect(lines[0]).toBe('Not downloaded now:');
  expect(lines.slice(2, 32).every((line) => / failed upstream$/.test(line))).toBe(true);
  expect(lines.slice(32)).toEqual([
    expect.stringMatching(/^wait +page +1 +1 +upstream is still writing it$/),
    expect.stringMatching(/^skip +flow +1 +0 +not offered by this wiki$/),
    expect.stringMatching(/^skip +abstract +1 +1 +7z is preferred$/),
    '41 dump types that are not configured: 2 wikis, 81 files',
    '--all lists every file',
  ]);
});

test('words that nobody foresaw are a gap, and files with one reason are one line', () => {
  const refused = ['a.gz', 'b.gz', 'c.gz'].map((filename) => ({
    filename,
    reason: `refused: the address /evil/${filename} is not /aawiki/20261120/${filename}`,
  }));
  const chosen = Array.from({ length: 12 }, (_, n) => ({ dumpType: `t${n}`, reason: 'its name is odd' }));
  const lines = printed([...chosen, ...refused, { reason: 'struck by lightning' }]);
  expect(lines[2]).toMatch(/^skip +pagelinks +1 +3 +refused: the address/);
  expect(lines[3]).toMatch(/struck by lightning$/);
  expect(lines.at(-2)).toBe('and 2 more reasons by choice');
  expect(printed([{ action: 'download' }])).toEqual([]);
});
