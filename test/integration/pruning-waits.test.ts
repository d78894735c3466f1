import { truncateSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { createSystemState } from '../../src/db/index.ts';
import { discoverWikis, findDumps } from '../../src/discovery/index.ts';
import { downloadDump, repairFile } from '../../src/download/index.ts';
import { hours, PermanentError } from '../../src/lib/index.ts';
import { wirePipeline } from '../../src/pipeline.ts';
import { silentLog } from '../../src/ports/index.ts';
import { pruneStorage } from '../../src/pruning/index.ts';
import { publishManifest } from '../../src/publishing/index.ts';
import { createQueue, handleJob, type Queue } from '../../src/queue/index.ts';
import { startSeeding } from '../../src/seeding/index.ts';
import { createTorrent } from '../../src/torrenting/index.ts';
import { proveRemote, uploadIa } from '../../src/upload/index.ts';
import { checkWebseeds, watchWebseeds } from '../../src/webseeds/index.ts';
import { NOW, withPruning } from '../helpers/pruning-bundle.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/**
 * Goal: a prune that waits for the archive goes on with whatever it answers, on the same day; and on the next when it never does.
 * Method: real files, tables, queue and pipeline; the archive and the clock are the test's.
 */

const DAY = hours(24);
const GIGABYTE = 1_000_000_000;

type Archive = 'unsure' | 'proves' | 'fails' | 'never answers';

function setup(archive: Archive) {
  const world = withPruning({ uploadsEnabled: true });
  const [old] = world.run('20260901', [{ archivedAt: NOW - 30 * DAY }]) as [number];
  const [newest] = world.run('20261001', [{ archivedAt: NOW }]) as [number];
  world.torrent('2026-09-01', [old], { seeders: 9 });
  // Sparse: as large as recorded, on no room.
  for (const id of [old, newest]) truncateSync(world.pathOf(id), GIGABYTE);
  world.db.sqlite.exec(`UPDATE dumps SET stored_mtime_ms = NULL, size_bytes = ${GIGABYTE}`);
  world.need(500);
  const asked: string[] = [];
  const ended: string[] = [];
  world.bus.on('job:completed', ({ jobType }) => void ended.push(jobType));
  const never = (): Promise<never> => Promise.reject(new Error('not in this test'));
  const start = (): Queue => {
    const { db, bus, catalog, clock } = world;
    const room = world.restart();
    const state = createSystemState(db);
    const queue = createQueue({
      ...{ db, bus, clock, state, log: silentLog, random: seededRandom(1), concurrency: {} },
    });
    queue.register([
      ...room.handlers,
      handleJob(proveRemote, {
        async run({ identifier }, { signal }) {
          asked.push(identifier);
          if (archive === 'fails') throw new PermanentError('refused', 'the archive says no');
          if (archive === 'never answers')
            await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
          return archive === 'proves'
            ? { proved: [old as never], lied: [], unsure: 0 }
            : { proved: [], lied: [], unsure: 1 };
        },
        record(_input, { proved }) {
          for (const id of proved) catalog.recordRemoteProof(id);
          return { toUpload: [] };
        },
      }),
      handleJob(publishManifest, {
        run: async () => ({
          ...{
            changeCount: 0,
            manifestSha256: '',
            torrents: [],
            leftOut: [],
            writtenLocal: [],
            writtenRemote: [],
          },
        }),
        record: () => ({ isCurrent: true }),
      }),
      ...[
        discoverWikis,
        findDumps,
        downloadDump,
        repairFile,
        createTorrent,
        startSeeding,
        uploadIa,
        checkWebseeds,
        watchWebseeds,
      ].map((jobType) => handleJob(jobType as never, { run: never })),
    ]);
    wirePipeline({
      ...{ queue, catalog, bus, clock, uploadsEnabled: true, seedingEnabled: true },
      torrents: { groupings: ['cycle'], wikiRunMinSizeBytes: 1, historyTypes: [] },
      ...{ sourcesOf: () => [], isLookedAt: () => true, afterCommit: db.afterCommit },
      proofEnded: room.proofEnded,
    });
    queue.start();
    onTestFinished(() => queue.stop(0));
    return queue;
  };
  /** A prune, and all that follows from it as far as it goes. */
  const prune = async (queue: Queue): Promise<void> => {
    const count = (type: string) => ended.filter((ended) => ended === type).length;
    const before = count('prune_storage');
    queue.enqueue([pruneStorage.request({})]);
    if (archive === 'never answers') await expect.poll(() => count('prune_storage')).toBe(before + 1);
    else await queue.whenIdle();
  };
  return { world, old, newest, asked, start, prune };
}

test.each(['unsure', 'proves', 'fails'] as const)('the archive %s: it goes on that day', async (archive) => {
  const { world, old, newest, asked, start, prune } = setup(archive);
  await prune(start());
  expect(asked).toEqual(['wikiseed-aawiki-20260901']);
  expect(world.isThere(old)).toBe(false);
  expect(world.isThere(newest)).toBe(true);
  const [tombstone] = world.catalog.deletions({ limit: 1 });
  expect(JSON.parse(tombstone?.evidence ?? '')).toMatchObject({
    rule: archive === 'proves' ? 'seeded' : 'older',
  });
});

test('the archive never answers: it waits over restarts, and on the next day no more', async () => {
  const { world, old, asked, start, prune } = setup('never answers');
  const first = start();
  await prune(first);
  await expect.poll(() => asked).toHaveLength(1);
  expect(world.isThere(old)).toBe(true);
  await first.stop(0);
  await world.clock.advance(hours(12));
  const second = start();
  await prune(second);
  expect(world.isThere(old)).toBe(true);
  await second.stop(0);
  await world.clock.advance(hours(12));
  await prune(start());
  expect(world.isThere(old)).toBe(false);
});
