import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { keyPaths } from './fields.ts';
import { defaultConfig, loadConfig } from './index.ts';
import { configSection } from './schema.ts';
import { SECRET_NAMES } from './secrets.ts';

const text = readFileSync(new URL('../../config.example.yaml', import.meta.url), 'utf8');
const load = (source: string) =>
  loadConfig({ path: 'example', env: {}, readTextFile: (path) => (path === 'example' ? source : null) });

test('has no problem but the missing contact', () => {
  const result = load(text);
  expect(result.ok ? [] : result.problems.map(({ path }) => path)).toEqual(['wikiseed.contact']);
});

test('runs once the contact is written, and every value in it is the default', () => {
  const result = load(text.replace('contact: ""', 'contact: ops@example.org'));
  const defaults = defaultConfig();
  const expected = { ...defaults, wikiseed: { ...defaults.wikiseed, contact: 'ops@example.org' } };
  expect(result).toMatchObject({ ok: true, warnings: [] });
  expect(result.ok && result.config).toEqual(expected);
});

test('names every key of the schema', () => {
  const written = (group: object, prefix: string): string[] =>
    Object.entries(group).flatMap(([key, value]: [string, unknown]) => {
      const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
      return isGroup ? [`${prefix}${key}`, ...written(value, `${prefix}${key}.`)] : [`${prefix}${key}`];
    });
  const known = keyPaths(configSection);
  expect(written(parse(text) as object, '').sort()).toEqual(known.sort());
});

test('names every secret in its comments', () => {
  for (const [variable] of Object.values(SECRET_NAMES)) expect(text).toContain(variable);
});

test('stays within the width of the code, so that it can be read in any editor', () => {
  expect(text.split('\n').filter((line) => line.length > 118)).toEqual([]);
});
