// Goal: seeding waits for the look at webseeds, but neither a slow nor a broken one keeps anybody from it for more than two minutes.
// Method: the real queue and order of work over a real database and a clock of the test's own; the jobs are the test's.
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createAlerts } from '../../src/alerts/index.ts';
import { createSystemState } from '../../src/db/index.ts';
import { discoverWikis, findDumps } from '../../src/discovery/index.ts';
import { downloadDump, repairFile } from '../../src/download/index.ts';
import { createBus } from '../../src/events/index.ts';
import { PermanentError, TorrentId } from '../../src/lib/index.ts';
import { wirePipeline } from '../../src/pipeline.ts';
import { silentLog } from '../../src/ports/index.ts';
import { pruneStorage } from '../../src/pruning/index.ts';
import { publishManifest } from '../../src/publishing/index.ts';
import { type AnyJobHandler, createQueue } from '../../src/queue/index.ts';
import { startSeeding } from '../../src/seeding/index.ts';
import { createTorrent } from '../../src/torrenting/index.ts';
import { proveRemote, uploadIa } from '../../src/upload/index.ts';
import { checkWebseeds, watchWebseeds } from '../../src/webseeds/index.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { CYCLE, webseedWorld } from '../helpers/webseed-bundle.ts';

const HANGS = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

async function setup(look: (signal: AbortSignal) => Promise<{ isChanged: boolean }>) {
  const world = webseedWorld();
  const { db, clock, catalog } = world;
  catalog.markScanned(CYCLE);
  catalog.sealIfSettled(CYCLE, { force: true });
  const torrent = world.runTorrent();
  const bus = createBus({ log: silentLog });
  const queue = createQueue({
    ...{
      db,
      bus,
      clock,
      state: createSystemState(db),
      log: silentLog,
      random: seededRandom(1),
      concurrency: {},
    },
  });
  const begun: string[] = [];
  const job = (
    jobType: { type: string },
    run: (signal: AbortSignal) => Promise<unknown>,
    record?: () => unknown,
  ) =>
    ({
      jobType: { ...jobType, input: z.any(), output: z.any() },
      run: (_input: unknown, { signal }: { signal: AbortSignal }) => {
        begun.push(jobType.type);
        return run(signal);
      },
      ...(record === undefined ? {} : { record }),
    }) as unknown as AnyJobHandler;
  queue.register([
    job(
      createTorrent,
      async () => ({ hasMore: false }),
      () => torrent.id,
    ),
    job(checkWebseeds, look),
    job(
      startSeeding,
      async () => ({ isSeeding: true }),
      () => catalog.markSeeding(torrent.id),
    ),
    job(
      publishManifest,
      async () => ({}),
      () => ({ isCurrent: true }),
    ),
    ...[
      discoverWikis,
      findDumps,
      downloadDump,
      repairFile,
      uploadIa,
      proveRemote,
      pruneStorage,
      watchWebseeds,
    ].map((jobType) => job(jobType, () => Promise.reject(new Error('not in this test')))),
  ]);
  const pipeline = wirePipeline({
    ...{ queue, catalog, bus, clock, uploadsEnabled: false, seedingEnabled: true },
    torrents: { groupings: [], wikiRunMinSizeBytes: 0, historyTypes: [] },
    ...{ sourcesOf: () => [], isLookedAt: () => true, afterCommit: db.afterCommit, proofEnded: () => [] },
  } as Parameters<typeof wirePipeline>[0]);
  queue.start();
  onTestFinished(() => queue.stop(0));
  queue.enqueue([
    { ...createTorrent.request({ cycleDate: CYCLE, variant: 'regular' } as never), cycleDate: CYCLE },
  ]);
  await clock.advance(1000);
  return { ...world, torrent, queue, begun, pipeline };
}

test('a look that never ends is not waited for longer than two minutes', async () => {
  const { clock, begun } = await setup(HANGS);
  await clock.advance(110_000);
  expect(begun).toEqual(['create_torrent', 'check_webseeds']);
  await clock.advance(15_000);
  expect(begun).toEqual(['create_torrent', 'check_webseeds', 'start_seeding', 'publish_manifest']);
});

test.each([
  ['that is over', async () => ({ isChanged: true })],
  ['that failed for good', () => Promise.reject(new PermanentError('torrent_file_unreadable', 'no'))],
])('after a look %s seeding begins at once', async (_what, look) => {
  const { begun } = await setup(look);
  expect(begun).toEqual(['create_torrent', 'check_webseeds', 'start_seeding', 'publish_manifest']);
});

test('a look that ends late brings the new file to the engine and to the public', async () => {
  let end = (): void => {};
  const { clock, begun } = await setup(
    () =>
      new Promise((resolve) => {
        end = () => resolve({ isChanged: true });
      }),
  );
  await clock.advance(130_000);
  expect(begun.slice(-2)).toEqual(['start_seeding', 'publish_manifest']);
  end();
  await clock.advance(1000);
  expect(begun.slice(4).sort()).toEqual(['publish_manifest', 'start_seeding']);
});

test('a root that died is an alert until it works again, and an old run that a mirror dropped is none', () => {
  const { db, clock } = webseedWorld();
  const bus = createBus({ log: silentLog });
  const alerts = createAlerts({ db, bus, clock, log: silentLog, isOwner: true });
  alerts.start();
  onTestFinished(() => alerts.stop());
  const open = () =>
    db.sqlite.prepare('SELECT message FROM alerts WHERE resolved_at IS NULL').pluck().all() as string[];
  const [torrentId, url] = [TorrentId.parse(1), 'https://mirror.example/dumps/'];
  const facts = { torrentId, name: 'enwiki-20261120', url, reason: 'it has no 20261120/x (404)' };
  bus.emit('webseed:died', { ...facts, isExpected: true });
  expect(open()).toEqual([]);
  bus.emit('webseed:died', { ...facts, isExpected: false });
  expect(open()).toEqual([expect.stringContaining('it has no 20261120/x (404)')]);
  bus.emit('webseed:settled', { torrentId, url });
  expect(open()).toEqual([]);
});

test('what was never served is asked for at each start, also when its cycle was published long ago', async () => {
  const { begun, pipeline, catalog, db, clock } = await setup(async () => ({ isChanged: false }));
  db.sqlite.exec("UPDATE torrents SET seeding_since = NULL; UPDATE cycles SET status = 'seeding'");
  expect(catalog.cycle(CYCLE)?.status).toBe('seeding');
  begun.length = 0;
  await pipeline.reconcile();
  await clock.advance(1000);
  expect(begun).toContain('start_seeding');
  begun.length = 0;
  await pipeline.reconcile();
  await clock.advance(1000);
  expect(begun).not.toContain('start_seeding');
});
