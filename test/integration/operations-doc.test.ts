import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { silentLog } from '../../src/ports/index.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';

/**
 * Goal: what docs/operations.md lists is what there is: job types, targets, alerts.
 * Method: the names in the document beside those of a whole app, and beside every key under which the sources raise an alert.
 */
const ROOT = join(import.meta.dirname, '..', '..');
const document = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');

/** Names in code marks in the line that begins so. */
function namesIn(start: string): string[] {
  const line = document.split('\n').find((each) => each.startsWith(start)) ?? '';
  return [...line.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);
}

test('the job types and targets of the runbook are those that are registered', async () => {
  const options = sandboxConfig(await withSandbox({ wikis: 1, sizeBytes: 100_000 }));
  const app = await createApp({ ...options, log: silentLog });
  onTestFinished(() => app.stop());
  const types = app.queue.jobTypes();
  expect(types).toContain('download_dump');
  expect(namesIn('Job types: ').sort()).toEqual([...types].sort());
  const targets = app.queue.targets().filter((target) => !types.includes(target));
  expect(targets).toContain('storage');
  expect(namesIn('Targets: ').sort()).toEqual(targets.sort());
});

const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  .map((path) => ({ path, text: readFileSync(join(ROOT, 'src', path), 'utf8') }));

/** Keys of alerts in one file: whole ones, and `name:…` where a subject follows. */
function keysIn(text: string): string[] {
  const whole = [...text.matchAll(/(?:ALERT(?:_KEY)? = |\bkey: )'([a-z_:]+)'/g)].map((found) => found[1]);
  const families = [...text.matchAll(/\b\w*(?:[kK]ey|Alert)\w*\b[^`;]{0,60}`([a-z_]+):\$\{/g)].map(
    (found) => `${found[1]}:…`,
  );
  return [...whole, ...families] as string[];
}

test('every alert that the sources raise has its row in the runbook, and every row its alert', () => {
  const raising = sources.filter(({ text }) =>
    /emit\('alert:|_ALERT = '|keyOf\(event\)|^\s*key: 'database:/m.test(text),
  );
  // A file that raises one either names its key or imports it.
  for (const { path, text } of raising)
    expect(keysIn(text).length > 0 || /_ALERT|ALERT_KEY/.test(text), `the scan sees no key in ${path}`).toBe(
      true,
    );
  const raised = [...new Set(raising.flatMap(({ text }) => keysIn(text)))];
  for (const known of ['database', 'database:wal', 'damaged_files', 'source:…', 'job:…', 'webseed:…'])
    expect(raised).toContain(known);

  const table = document.slice(document.indexOf('\n## Alerts'), document.indexOf('\n## The clock'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const listed = rows.flatMap((row) =>
    [...(row.split(' | ')[0] as string).matchAll(/`([^`]+)`/g)].map((match) =>
      // The engine as a whole is one of the subjects of its family.
      (match[1] as string).replace(/:<[^>]+>$/, ':…').replace('seeding:engine', 'seeding:…'),
    ),
  );
  expect([...new Set(listed)].sort()).toEqual(raised.sort());
});
