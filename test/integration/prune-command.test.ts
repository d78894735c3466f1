import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { STATE_KEYS } from '../../src/db/index.ts';
import { type World, withPruning } from '../helpers/pruning-bundle.ts';

/** Goal: the dry run says what the command then does, and changes nothing; the history says what was done. */

/** A limit below what is held, so that room is needed on any disk: 6 kB are held, 3,300 B may be used. */
const MAX_SIZE = 4000;

/** What seeds, by data directory; default: nothing. */
const seedingOf = new Map<string, object>();

function configOf(world: World): string {
  const path = join(world.layout.dataDir, 'config.json');
  writeFileSync(
    path,
    JSON.stringify({
      wikiseed: { data_dir: world.layout.dataDir, contact: 'test@example.org' },
      storage: { max_size: MAX_SIZE, safety_margin: 0 },
      ia: { enabled: false },
      publish: { r2: { enabled: false } },
      seeding: seedingOf.get(world.layout.dataDir) ?? { engine: 'none' },
    }),
  );
  return path;
}

async function run(world: World, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const io: CliIo = {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    env: {},
    cwd: world.layout.dataDir,
    readTextFile: (path) => (path.endsWith('config.json') ? `${JSON.stringify(readConfig(path))}` : null),
    signal: new AbortController().signal,
  };
  const code = await runCli(['prune', ...args, '--config', configOf(world)], io);
  return { code, out, err };
}

const readConfig = (path: string): unknown =>
  JSON.parse(process.getBuiltinModule('node:fs').readFileSync(path, 'utf8'));

function build(): { world: World; old: number[] } {
  const world = withPruning();
  const old = world.run('20260901', [{}, { dumpType: 'pagelinks' }]);
  world.run('20260920', [{}, { dumpType: 'pagelinks' }]);
  world.run('20261001', [{}, { dumpType: 'pagelinks' }]);
  // What the daemon measured of everything else.
  const saved = { mode: 'normal', isOnlyPromised: false, since: 0, reservedBytes: 0, otherBytes: 0 };
  world.db.sqlite
    .prepare('INSERT INTO system_state (key, value, updated_at) VALUES (?, ?, 0)')
    .run(STATE_KEYS.storage, JSON.stringify(saved));
  return { world, old };
}

test('the dry run names every file, and the command does just that', async () => {
  const { world, old } = build();
  const before = world.db.sqlite.prepare('SELECT * FROM dumps').all();
  const dry = await run(world, '--dry-run', '--json');
  expect(dry.err).toBe('');
  const plan = JSON.parse(dry.out) as {
    needed_bytes: number;
    files: {
      file: string;
      run_date: string;
      dump_type: string;
      action: string;
      rule: string;
      reason: string;
    }[];
  };
  expect(plan.needed_bytes).toBe(6000 - Math.floor(MAX_SIZE * 0.84));
  expect(plan.files).toHaveLength(6);
  for (const { reason } of plan.files) expect(reason).not.toBe('');
  const planned = plan.files.filter(({ action }) => action === 'remove').map(({ file }) => file);
  expect(planned).toHaveLength(3);
  expect(world.db.sqlite.prepare('SELECT * FROM dumps').all()).toEqual(before);

  const text = await run(world, '--dry-run');
  expect(text.out).toContain('Would be deleted, in this order (3 sets, 3 files, 3 kB)');
  expect(text.out).toContain('surplus: the newer runs 20261001 and 20260920 are held whole');
  expect(text.out).toContain('newest whole verified set');

  // Every item with its reason, as sets and as files.
  const reasons = new Map(plan.files.map(({ file, reason }) => [file, reason]));
  const all = await run(world, '--dry-run', '--all');
  for (const [file, reason] of reasons)
    expect(all.out.split('\n').filter((line) => line.includes(file) && line.includes(reason))).toHaveLength(
      1,
    );
  for (const { run_date: date, dump_type: type, reason } of plan.files)
    expect(text.out).toMatch(
      new RegExp(`aawiki +classic +${date} +${type} +1 +1 kB +${reason}`.replace(/[()]/g, '\\$&')),
    );
  const brief = await run(world, '--dry-run', '--summary');
  expect(brief.out).not.toContain('20261001  pages-articles');
  expect(brief.out).toMatch(/newest +2 +2 +2 kB/);
  expect(brief.out).toContain('Would be deleted, in this order (3 sets, 3 files, 3 kB)');

  const done = await run(world);
  expect(done.err).toBe('');
  expect(done.out).toBe('3 files of 3 sets deleted, 3 kB of 2.6 kB needed.\n');
  expect(done.code).toBe(0);
  expect(old.map(world.isThere)).toEqual([false, false]);
  const left = readdirSync(world.layout.dumps, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.bz2'),
  );
  expect(left).toHaveLength(3);
  for (const name of planned) expect(left.some((path) => path.endsWith(name))).toBe(false);

  const history = await run(world, '--history');
  expect(history.out).toContain('3 files deleted, 3 kB');
  const tombstones = JSON.parse((await run(world, '--history', '--json')).out) as {
    evidence: { rule: string };
  }[];
  expect(tombstones.map(({ evidence }) => evidence.rule).sort()).toEqual(['older', 'surplus', 'surplus']);

  expect((await run(world)).out).toBe('No room is needed: nothing was deleted.\n');
});

test('what does not go together is refused', async () => {
  const { world } = build();
  expect(await run(world, '--dry-run', '--history')).toMatchObject({ code: 2 });
  for (const args of [['--all'], ['--summary'], ['--dry-run', '--summary', '--json']])
    expect(await run(world, ...args), args.join(' ')).toMatchObject({ code: 2 });
  expect(world.catalog.deletions({ limit: 1 })).toEqual([]);
  expect(await run(world, '--wiki', 'aawiki')).toMatchObject({
    code: 2,
    err: expect.stringContaining('chosen by hand'),
  });
});

test('a wiki that nobody knows is an error, one of which nothing is held is not', async () => {
  const { world } = build();
  for (const option of ['--dry-run', '--history'])
    expect(await run(world, option, '--wiki', 'aawik')).toMatchObject({
      ...{ code: 2, out: '' },
      err: expect.stringMatching(/there is no wiki aawik\n.*"wikiseed wikis"/),
    });
  world.wiki('bbwiki');
  const other = await run(world, '--dry-run', '--wiki', 'bbwiki');
  expect(other).toMatchObject({ code: 0, out: expect.stringContaining('No dump file of bbwiki is held.') });
  const one = await run(world, '--dry-run', '--wiki', 'aawiki');
  expect(one.out).toContain('3 kB would be deleted, of all wikis; below is aawiki.');
});

test('unpacked files are told and go first, and what they took is not asked for twice', async () => {
  const { world, old } = build();
  const { id, folder } = world.unpackedTorrent('2026-09-01', old.slice(0, 1), 6000);
  // As the daemon measured it: the unpacked files are in it.
  const setOthers = world.db.sqlite.prepare(
    "UPDATE system_state SET value = json_set(value, '$.otherBytes', ?)",
  );
  setOthers.run(6000);
  const dry = JSON.parse((await run(world, '--dry-run', '--json')).out) as {
    needed_bytes: number;
    planned_bytes: number;
    unpacked: object[];
    files: { action: string }[];
  };
  expect(dry.needed_bytes).toBe(12_000 - Math.floor(MAX_SIZE * 0.84));
  expect(dry.unpacked).toEqual([
    {
      ...{ torrent: 'wikimedia-dumps-uncompressed-2026-09-01', cycle: '2026-09-01', files: 1 },
      ...{ size_bytes: 6000, action: 'remove' },
      reason: 'unpacked files: they can be unpacked again from the dumps',
    },
  ]);
  expect(dry.planned_bytes).toBe(9000);
  const text = (await run(world, '--dry-run')).out;
  expect(text).toMatch(
    /Unpacked files, which go before any dump:\n.*\n.*uncompressed-2026-09-01 +1 +6 kB +goes/,
  );
  expect(existsSync(folder)).toBe(true);

  // Of one run a text and its links are superfluous, and of the one before it the links: 3 kB beside the unpacked files.
  expect((await run(world)).out).toBe(
    '1 torrent of unpacked files and 3 files of 3 sets deleted, 9 kB of 8.6 kB needed.\n',
  );
  expect(existsSync(folder)).toBe(false);
  expect(world.catalog.torrent(id as never)?.retiredAt).not.toBeNull();
  expect((await run(world)).out).toBe('No room is needed: nothing was deleted.\n');
  expect((await run(world, '--dry-run', '--wiki', 'aawiki')).out).not.toContain('Unpacked');
});

test('what was decided on before and waits for the program is told, and nothing is planned in its place', async () => {
  const { world, old } = build();
  const [text, links] = old as [number, number];
  world.torrent('2026-09-01', [text, links]);
  world.mayBeSeeded = true;
  world.need(1500);
  expect(await world.prune()).toMatchObject({ waitingFiles: 2, waitingBytes: 2000 });
  const dry = JSON.parse((await run(world, '--dry-run', '--json')).out) as Record<string, unknown>;
  // Of 2.6 kB 2 wait.
  expect(dry).toMatchObject({ needed_bytes: 6000 - Math.floor(MAX_SIZE * 0.84), planned_bytes: 1000 });
  expect(dry).toMatchObject({ waiting_files: 2, waiting_bytes: 2000, is_enough: true });
  const shown = await run(world, '--dry-run');
  expect(shown.out).toContain(
    '2.6 kB must go (storage is paused); 1 kB would be deleted.\nDecided on before and not carried out yet: 2 files (2 kB). Nothing else goes in their place.\n',
  );
  expect(shown.out).not.toContain('That is not enough');
});

test('a program that does not answer is told with the torrent that waits for it, and who goes on', async () => {
  const { world, old } = build();
  world.torrent('2026-09-01', old);
  // Nobody listens there.
  seedingOf.set(world.layout.dataDir, { engine: 'qbittorrent', url: 'http://127.0.0.1:1' });
  const done = await run(world);
  expect(done.err).toBe('');
  expect(done.out).toMatch(
    /files? waits? for qBittorrent to let go of .*: the torrent wikimedia-dumps-2026-09-01 may still be seeded: .*qBittorrent does not answer at http:\/\/127\.0\.0\.1:1/,
  );
  expect(done.out).toContain(
    'A running WikiSeed asks again by itself until what waits can go; this command asks once.',
  );
  expect(old.map(world.isThere)).toEqual([true, true]);
  expect((await run(world, '--dry-run')).out).toMatch(
    /Decided on before and not carried out yet: \d files? \(\d kB\); they go when qBittorrent is known not to seed them any more\. /,
  );
});
