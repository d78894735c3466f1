import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { KillOrder, KillRecord } from '../helpers/kill-points.ts';
import { NOW, namesBelow, type World, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: a process that dies at any step of a prune leaves nothing half: after the next start every file is either held with
 * its bytes, or deleted with none of its names left.
 * Method: a prune in a process of its own, with real files and hard links; killed (SIGKILL) at each occurrence of each named
 * step and after each database write that an undisturbed one names (WIKISEED_CRASH=exhaustive; else each step once and some
 * writes); then one that runs to its end.
 */

/** Every occurrence and every write, instead of each step once and some writes. */
const isExhaustive = process.env.WIKISEED_CRASH === 'exhaustive';

const PRELOAD = new URL('../helpers/kill-preload.js', import.meta.url).href;
const CHILD = new URL('../helpers/prune-child.ts', import.meta.url).pathname;

async function runChild(
  world: World,
  order: KillOrder,
): Promise<{ code: number | null; records: KillRecord[] }> {
  const child = spawn(
    process.execPath,
    ['--import', PRELOAD, CHILD, world.layout.dataDir, String(NOW), JSON.stringify(world.usage)],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, WIKISEED_TEST_KILL: JSON.stringify(order) },
    },
  );
  const said = text(child.stdio[3] as NodeJS.ReadableStream);
  const errors = text(child.stderr as NodeJS.ReadableStream);
  const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
  if (code !== 0 && code !== null) throw new Error(await errors);
  const records = (await said)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as KillRecord);
  return { code, records };
}

/** Two old sets of two files each in a torrent with a third that stays. */
function build(): { world: World; old: number[]; stays: number[] } {
  const world = withPruning();
  const old = world.run('20260901', [{ part: 1 }, { part: 2 }, { dumpType: 'pagelinks' }]);
  const only = world.run('20260902', [{ dumpType: 'redirect' }]);
  const newer = world.run('20261001', [{ part: 1 }, { part: 2 }, { dumpType: 'pagelinks' }]);
  world.db.sqlite.prepare(`UPDATE dumps SET cycle_date = '2026-09-01' WHERE id = ?`).run(only[0]);
  world.torrent('2026-09-01', [...old, ...only]);
  world.need(2500);
  return { world, old, stays: [...only, ...newer] };
}

function expectWhole({ world, old, stays }: ReturnType<typeof build>): void {
  for (const id of stays) {
    expect(world.statusOf(id)).toBe('included');
    expect(world.isThere(id)).toBe(true);
  }
  expect(world.catalog.openDeletions()).toEqual([]);
  for (const id of old) {
    expect(world.statusOf(id)).toBe('deleted');
    expect(world.isThere(id)).toBe(false);
  }
  expect(world.catalog.deletions({ limit: 100 }).map(({ removedAt }) => removedAt)).toEqual(
    old.map(() => NOW),
  );
  expect(readdirSync(join(world.layout.torrents, 'wikimedia-dumps-2026-09-01'))).toEqual(['README.txt']);
  expect(namesBelow(world.layout.dumps)).toHaveLength(stays.length);
  expect(world.db.sqlite.pragma('integrity_check', { simple: true })).toBe('ok');
}

test('killed at every step and after every write of a prune, then run to the end', async () => {
  const reference = build();
  const { records } = await runChild(reference.world, { record: true });
  expectWhole(reference);
  const steps = records.filter((record) => record.kind === 'step' && record.name.startsWith('pruning:'));
  const [first] = steps;
  const begun = first?.kind === 'step' ? first.writes : 0;
  const writes = records.flatMap((record) =>
    record.kind === 'write' && record.count > begun - 12 ? [record.count] : [],
  );
  const points: KillOrder[] = [
    ...steps.flatMap((record) =>
      record.kind === 'step' && (isExhaustive || record.count === 1)
        ? [{ step: { name: record.name, count: record.count } }]
        : [],
    ),
    // Inside transactions as well as between them.
    ...writes.filter((_, index) => isExhaustive || index % 6 === 0).map((write) => ({ write })),
  ];
  const names = new Set(records.flatMap((record) => (record.kind === 'step' ? [record.name] : [])));
  expect([...names]).toEqual(
    expect.arrayContaining(
      ['decided', 'name_removed', 'removed', 'recorded', 'link_removed', 'folder_removed'].map(
        (name) => `pruning:${name}`,
      ),
    ),
  );
  expect(points.length).toBeGreaterThan(10);
  for (const point of points) {
    const bundle = build();
    const killed = await runChild(bundle.world, point);
    expect(killed.code, JSON.stringify(point)).toBeNull();
    // Nothing that stays is touched, whatever was under way.
    for (const id of bundle.stays) expect(bundle.world.isThere(id), JSON.stringify(point)).toBe(true);
    expect((await runChild(bundle.world, {})).code).toBe(0);
    expectWhole(bundle);
    bundle.world.db.close();
    rmSync(bundle.world.layout.dataDir, { recursive: true });
  }
}, 300_000);

test('a deletion that was begun is taken back when the golden rule forbids it by then', async () => {
  const bundle = build();
  const { world, old } = bundle;
  const killed = await runChild(world, { step: { name: 'pruning:decided', count: 1 } });
  expect(killed.code).toBeNull();
  const begun = old.filter((id) => world.statusOf(id) === 'deleted');
  expect(begun.length).toBeGreaterThan(0);
  // What should have stayed in its place turned out damaged meanwhile.
  world.db.sqlite.exec(
    `UPDATE dumps SET damaged_at = 1 WHERE run_date = '20261001' AND dump_type = 'pages-articles'`,
  );
  const room = world.restart();
  expect(await room.start()).toEqual({ removed: 0, takenBack: begun.length });
  for (const id of old) {
    expect(world.statusOf(id)).toBe('included');
    expect(world.isThere(id)).toBe(true);
  }
  expect(world.catalog.deletions({ limit: 10 })).toEqual([]);
  expect(world.catalog.torrents().map(({ retiredAt }) => retiredAt)).toEqual([null]);
  // A second start finds nothing to do.
  expect(await room.start()).toEqual({ removed: 0, takenBack: 0 });
});

test('with the disk not mounted, deletions that were begun wait', async () => {
  const { world, old } = build();
  await runChild(world, { step: { name: 'pruning:decided', count: 1 } });
  const begun = old.filter((id) => world.statusOf(id) === 'deleted');
  rmSync(world.layout.dumps, { recursive: true });
  await world.restart().start();
  expect(world.catalog.openDeletions()).toHaveLength(begun.length);
});
