import { expect, test } from 'vitest';
import type { DumpFileId } from '../../src/lib/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import type { JobContext } from '../../src/queue/index.ts';
import type { ItemState } from '../../src/upload/ia-metadata.ts';
import { handleProveRemote } from '../../src/upload/jobs/prove-remote.ts';
import { NOW, type World, withPruning } from '../helpers/pruning-bundle.ts';

/** Goal: an old proof is renewed only by the archive's own word, and a copy that is gone is disbelieved at once, told and sent again. */

const INPUT = { identifier: 'wikiseed-aawiki-20260901', wikiDbName: 'aawiki', runDate: '20260901' };
const OLD = NOW - 30 * 86_400_000;

function setup(files: Parameters<World['run']>[1], item: Partial<ItemState>) {
  const world = withPruning();
  const ids = world.run('20260901', files);
  const rows = world.catalog.archivedFiles({ iaIdentifier: INPUT.identifier, ...INPUT });
  const listed = rows.map(({ filename, sizeBytes }) => ({
    name: `aawiki/20260901/${filename}`,
    ...{ source: 'original', size: String(sizeBytes), md5: 'm', sha1: 's' },
  }));
  const state: ItemState = {
    ...{ exists: true, isDark: false, hasTasks: false, ownWikiDbName: 'aawiki', files: listed },
    ...item,
  };
  const handler = handleProveRemote({
    catalog: world.catalog,
    bus: world.bus,
    reader: { item: async () => state },
  });
  const context = { signal: new AbortController().signal, log: silentLog } as JobContext;
  const proofOf = (id: number | undefined): number | null =>
    world.catalog.dumpFile(id as DumpFileId)?.iaVerifiedAt ?? null;
  return {
    ...{ world, ids, state, listed, proofOf },
    async work() {
      const output = await handler.run(INPUT, context);
      return handler.record?.(INPUT, output) as { toUpload: { dumpFileId: number }[] };
    },
  };
}

test('what the archive still lists is proved anew', async () => {
  const { work, world, ids, proofOf } = setup([{ archivedAt: OLD }, { part: 2, archivedAt: OLD }], {});
  expect(await work()).toEqual({ toUpload: [] });
  expect(ids.map(proofOf)).toEqual([NOW, NOW]);
  expect(world.alerts).toEqual([]);
});

test.each<[string, Partial<ItemState>]>([
  ['the item was taken down', { isDark: true }],
  ['the item is gone', { exists: false, files: [] }],
  ['the file is not listed', { files: [] }],
])('%s: disbelieved, told, and sent again when held', async (_what, item) => {
  const { work, world, ids, proofOf } = setup(
    [
      { archivedAt: OLD, status: 'uploaded' },
      { part: 2, archivedAt: OLD, status: 'deleted', verification: 'sha1' },
    ],
    item,
  );
  world.db.sqlite.exec(`UPDATE dumps SET md5 = 'm', sha1 = 's'`);
  const recorded = await work();
  expect(recorded.toUpload.map(({ dumpFileId }) => dumpFileId)).toEqual([ids[0]]);
  expect(ids.map(proofOf)).toEqual([null, null]);
  expect(ids.map(world.statusOf)).toEqual(['downloaded', 'deleted']);
  expect(world.alerts).toMatchObject([{ key: 'remote_copy:wikiseed-aawiki-20260901', severity: 'error' }]);
  expect(world.catalog.filesToUpload().map(({ id }) => id)).toEqual([ids[0]]);
});

test.each([
  ['md5', { md5: 'x' }],
  ['sha1', { sha1: 'x' }],
  ['size', { size: '1' }],
  ['source', { source: 'derivative' }],
])('another %s is a lie', async (_what, changed) => {
  const bundle = setup([{ archivedAt: OLD }], {});
  Object.assign(bundle.listed[0] ?? {}, changed);
  await bundle.work();
  expect(bundle.ids.map(bundle.proofOf)).toEqual([null]);
  expect(bundle.world.statusOf(bundle.ids[0] as number)).toBe('included');
});

test('while a task of the item runs, nothing is renewed and nothing disbelieved', async () => {
  const { work, world, ids, proofOf } = setup([{ archivedAt: OLD }], { hasTasks: true });
  await work();
  expect(ids.map(proofOf)).toEqual([OLD]);
  expect(world.alerts).toEqual([]);
});
