import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ContentExportKind,
  createFaultList,
  type DumpSite,
  type DumpTree,
  generateDumpTree,
  startDumpSite,
  startSandbox,
} from '../../src/sandbox/index.ts';
import { has } from '../helpers/needs.ts';

const hasTools = has('bzip2') && has('sha256sum');
const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
const folders: string[] = [];
function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-content-'));
  folders.push(folder);
  return folder;
}
const options = {
  seed: 11,
  wikis: 4,
  sizeBytes: 800_000,
  runDates: ['20260101', '20260120', '20260201'],
  contentExports: ['current', 'history'] as const,
};
const faults = createFaultList();
let tree: DumpTree;
let site: DumpSite;
let nowMs = Date.parse('2026-03-02T09:30:00Z');

beforeAll(async () => {
  tree = await generateDumpTree({ dir: freshFolder(), ...options });
  site = await startDumpSite({ root: tree.dir, faults, now: () => nowMs });
}, 60_000);
afterAll(async () => {
  await site.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const ask = (path: string): Promise<Response> =>
  fetch(`${site.baseUrl}${path}`, { headers: { 'User-Agent': AGENT } });
const text = async (path: string): Promise<string> => (await ask(path)).text();
const place = (kind: ContentExportKind, db: string, date: string): string =>
  `/other/mediawiki_content_${kind}/${db}/${date}/xml/bzip2/`;
/** Names, times and sizes of a listing; a folder's size is null. */
async function listing(path: string): Promise<Map<string, { time: string; size: number | null }>> {
  const rows = (await text(path)).matchAll(
    /^<a href="([^"]+)">[^<]+<\/a> +(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d) +(\d+|-)$/gm,
  );
  return new Map(
    [...rows].map(([, name = '', time = '', size]) => [
      name,
      { time, size: size === '-' ? null : Number(size) },
    ]),
  );
}

describe('generated content exports', () => {
  test.skipIf(!hasTools)('are real bzip2 with sums that sha256sum accepts', () => {
    for (const kind of options.contentExports) {
      for (const db of tree.dbnames) {
        const folder = join(tree.dir, place(kind, db, '2026-01-01'));
        execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: folder });
        const files = readdirSync(folder).filter((name) => name.endsWith('.bz2'));
        expect(files.length).toBeGreaterThan(db === 'enwiki' ? 1 : 0);
        for (const name of files) {
          expect(name).toMatch(new RegExp(`^${db}-2026-01-01-p\\d+p\\d+\\.xml\\.bz2$`));
          execFileSync('bzip2', ['-t', name], { cwd: folder });
        }
        const listed = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').matchAll(/^[0-9a-f]{64} {2}(.+)$/gm);
        expect([...listed].map((line) => line[1])).toEqual(files.toSorted());
        expect(statSync(join(folder, '_SUCCESS')).size).toBe(0);
      }
    }
  });

  test.skipIf(!hasTools)(
    'hold the pages of the classic run in their ranges, history with all revisions',
    () => {
      const unpack = (path: string): string =>
        execFileSync('bzip2', ['-dc', path], { maxBuffer: 1 << 28 }).toString();
      const pagesOf = (xml: string): string[] => xml.match(/ {2}<page>[\s\S]*?<\/page>/g) ?? [];
      for (const [kind, classic] of [
        ['current', 'pages-meta-current'],
        ['history', 'pages-meta-history'],
      ] as const) {
        for (const db of ['enwiki', 'aawiki']) {
          const folder = join(tree.dir, place(kind, db, '2026-01-01'));
          const found: string[] = [];
          const names = readdirSync(folder).filter((name) => name.endsWith('.bz2'));
          const first = (name: string): number => Number(/-p(\d+)p/.exec(name)?.[1]);
          for (const name of names.toSorted((a, b) => first(a) - first(b))) {
            const xml = unpack(join(folder, name));
            expect(xml).toMatch(/^<mediawiki /);
            expect(xml).toMatch(/<\/mediawiki>$/);
            expect(xml).toContain(`<dbname>${db}</dbname>`);
            const pages = pagesOf(xml);
            const ids = pages.map((page) => Number(/<id>(\d+)<\/id>/.exec(page)?.[1]));
            expect(name).toBe(`${db}-2026-01-01-p${ids[0]}p${ids.at(-1)}.xml.bz2`);
            found.push(...pages);
          }
          const run = join(tree.dir, db, '20260101');
          const whole = readdirSync(run)
            .filter((name) => name.includes(`-${classic}`) && name.endsWith('.bz2') && !/xml\.bz2/.test(name))
            .toSorted((a, b) => first(a) - first(b));
          const files = whole.length > 0 ? whole : [`${db}-20260101-${classic}.xml.bz2`];
          expect(found).toEqual(files.flatMap((name) => pagesOf(unpack(join(run, name)))));
        }
      }
    },
  );

  test('exist for first days only, and not at all unless asked for', async () => {
    expect([...(await listing('/other/mediawiki_content_current/enwiki/')).keys()]).toEqual([
      '2026-01-01/',
      '2026-02-01/',
    ]);
    expect(Object.keys(tree.contentBytesByDate)).toEqual(['20260101', '20260201']);
    const without = await generateDumpTree({ ...options, dir: freshFolder(), contentExports: [], wikis: 1 });
    expect(readdirSync(without.dir)).not.toContain('other');
    expect(without.contentBytesByDate).toEqual({});
  });

  test('a sandbox has the current ones, and goes on with them', async () => {
    const small = { dir: freshFolder(), wikis: 1, sizeBytes: 60_000, runDates: ['20260101'] };
    for (const round of [1, 2]) {
      const sandbox = await startSandbox(small);
      const path = `${sandbox.dumpsBaseUrl}${place('current', 'enwiki', '2026-01-01')}SHA256SUMS`;
      expect((await fetch(path, { headers: { 'User-Agent': AGENT } })).status, `round ${round}`).toBe(200);
      expect(sandbox.counters().dumps.byKind.content).toBe(1);
      await sandbox.stop();
    }
  });

  test('are listed on every level with exact sizes and the times of upstream', async () => {
    expect((await listing('/')).get('other/')?.size).toBeNull();
    expect([...(await listing('/other/')).keys()]).toEqual([
      'mediawiki_content_current/',
      'mediawiki_content_history/',
    ]);
    const wikis = await listing('/other/mediawiki_content_current/');
    expect([...wikis.keys()].toSorted()).toEqual(tree.dbnames.map((db) => `${db}/`).toSorted());
    expect(wikis.get('enwiki/')?.time).toBe('01-Feb-2026 02:00');
    const folder = place('history', 'enwiki', '2026-02-01');
    const files = await listing(folder);
    expect(files.get('_SUCCESS')?.size).toBe(0);
    const names = [...files.keys()].filter((name) => name.endsWith('.bz2'));
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) {
      const data = Buffer.from(await (await ask(`${folder}${name}`)).arrayBuffer());
      expect(files.get(name)).toEqual({
        size: data.length,
        time: expect.stringMatching(/^01-Feb-2026 06:\d\d$/),
      });
    }
  });
});

describe('content exports over time', () => {
  const date = '2026-02-01';

  test('half listed, without _SUCCESS, without sums, with sums of the half; then whole', async () => {
    const content = site.upstream.content('current', 'enwiki', date);
    const folder = place('current', 'enwiki', date);
    const all = await content.files();
    expect(all.length).toBeGreaterThan(1);
    const whole = await text(`${folder}SHA256SUMS`);
    nowMs += 60_000;
    await content.show({ files: 1, sums: false, success: false });
    expect([...(await listing(folder)).keys()]).toEqual([all[0]]);
    for (const name of ['_SUCCESS', 'SHA256SUMS', all[1]])
      expect((await ask(`${folder}${name}`)).status, name).toBe(404);
    await content.show({ files: [all[1] as string], sums: 'shown', success: false });
    expect(await text(`${folder}SHA256SUMS`)).toMatch(new RegExp(`^[0-9a-f]{64} {2}${all[1]}\n$`));
    await content.show({ files: 0, sums: true, success: true });
    expect([...(await listing(folder)).keys()]).toEqual(['SHA256SUMS', '_SUCCESS']);
    expect(await text(`${folder}SHA256SUMS`)).toBe(whole);
    await content.show({});
    expect(await text(`${folder}SHA256SUMS`)).toBe(whole);
    const time = await listing(folder);
    expect([...time.keys()].toSorted()).toEqual([...all, 'SHA256SUMS', '_SUCCESS'].toSorted());
    expect(time.get('_SUCCESS')?.time).toBe('02-Mar-2026 09:31');
    await expect(content.show({ files: ['x'] })).rejects.toThrow(RangeError);
  });

  test.skipIf(!hasTools)('made again: other bytes, other sums, other names', async () => {
    const content = site.upstream.content('history', 'enwiki', date);
    const folder = place('history', 'enwiki', date);
    const before = await text(`${folder}SHA256SUMS`);
    const names = await content.files();
    await content.rerun();
    const after = await text(`${folder}SHA256SUMS`);
    const hashes = (sums: string): string[] => sums.match(/[0-9a-f]{64}/g) ?? [];
    expect(hashes(after).some((hash) => before.includes(hash))).toBe(false);
    expect(await content.files()).toEqual(names);
    await content.rerun({ rename: (name) => name.replace('.xml', '9.xml'), sameSize: true });
    expect(await content.files()).toEqual(names.map((name) => name.replace('.xml', '9.xml')));
    expect((await ask(`${folder}${names[0]}`)).status).toBe(404);
    const path = join(tree.dir, folder);
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: path });
    for (const name of await content.files()) execFileSync('bzip2', ['-t', name], { cwd: path });
  });

  test.skipIf(!hasTools)('a new one begins with nothing, and its wiki shows the time of it', async () => {
    nowMs = Date.parse('2026-03-03T05:00:00Z');
    const next = await site.upstream.beginContent('current', 'commonswiki', '2026-03-01');
    const folder = place('current', 'commonswiki', '2026-03-01');
    expect((await listing(folder)).size).toBe(0);
    expect((await listing('/other/mediawiki_content_current/')).get('commonswiki/')?.time).toBe(
      '03-Mar-2026 05:00',
    );
    nowMs += 3_600_000;
    await next.show({});
    const names = [...(await listing(folder)).keys()].filter((name) => name.endsWith('.bz2'));
    expect(names).toEqual((await next.files()).toSorted());
    for (const name of names) expect(name).toMatch(/^commonswiki-2026-03-01-p\d+p\d+\.xml\.bz2$/);
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], {
      cwd: join(tree.dir, folder),
    });
    // Its pages came later, but the wiki's folder has not changed since the export began.
    expect((await listing('/other/mediawiki_content_current/')).get('commonswiki/')?.time).toBe(
      '03-Mar-2026 05:00',
    );
  });

  test('one vanishes, then all of a wiki', async () => {
    await site.upstream.content('current', 'aawiki', date).remove();
    expect([...(await listing('/other/mediawiki_content_current/aawiki/')).keys()]).toEqual(['2026-01-01/']);
    await site.upstream.removeWiki('aawiki');
    for (const kind of options.contentExports)
      expect([...(await listing(`/other/mediawiki_content_${kind}/`)).keys()]).not.toContain('aawiki/');
    await expect(site.upstream.content('current', 'aawiki', date).show({})).rejects.toThrow(
      'no content export',
    );
  });

  test('a listing can be torn', async () => {
    const half = faults.add({ server: 'dumps', match: /content_current\/$/, kind: 'torn-json' });
    expect(await text('/other/mediawiki_content_current/')).not.toContain('</html>');
    expect(half.fired).toBe(1);
  });
});
