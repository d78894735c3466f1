import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { containerOf, hasContainerSql, isUnverified } from './checkable.ts';

const NAMES = [
  'x.gz',
  'x.xml.bz2',
  'x.xml-p1p9.7z',
  'x.GZ',
  'x.json',
  'x',
  'x.gz.txt',
  'xgz',
  'x.zip',
  'x.xml',
];

test('the database and the program agree on what can be checked', () => {
  const db = new Database(':memory:');
  const ask = db.prepare<[string], { found: number }>(
    `SELECT ${hasContainerSql('name')} AS found FROM (SELECT ? AS name)`,
  );
  const found = NAMES.filter((name) => ask.get(name)?.found === 1);
  expect(found).toEqual(['x.gz', 'x.xml.bz2', 'x.xml-p1p9.7z', 'x.GZ']);
  expect(NAMES.filter((name) => containerOf(name) !== null)).toEqual(found);
  db.close();
});

test.each([
  ['x.json', 'structure-only', true],
  ['x.json', 'sha1', false],
  ['x.json', null, false],
  ['x.json.gz', 'structure-only', false],
])('%s proved by %s: unverified %s', (filename, verification, expected) => {
  expect(isUnverified({ filename, verification })).toBe(expected);
});
