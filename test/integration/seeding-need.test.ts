import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Torrent } from '../../src/catalog/index.ts';
import { JobId } from '../../src/lib/index.ts';
import { createDatagrams, createHttp, createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createSeeding } from '../../src/seeding/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { httpTracker } from '../helpers/statistics-bundle.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/*
 * Goal: what is counted decides who is served where not all can be: at a start what was written down last, and then each count.
 * Method: the whole room with a watch folder, so that nothing between the counting and the thread may drop it; a tracker that says
 * what the test wants, and one place for two torrents.
 */

const COUNT_MS = 6 * 60 * 60_000;

async function room() {
  const dataDir = temporaryFolder();
  const layout = createLayout(dataDir);
  mkdirSync(layout.torrents, { recursive: true });
  const seeders = new Map<string, number>();
  const tracker = await httpTracker((request, response) => {
    const asked = [...(request.url ?? '').matchAll(/info_hash=([^&]*)/g)].map(([, raw = '']) =>
      Buffer.from(unescape(raw), 'latin1'),
    );
    const entries = asked.map((bytes) => {
      const count = seeders.get(bytes.toString('hex')) ?? 0;
      const counts = `d8:completei${count}e10:downloadedi0e10:incompletei0ee`;
      return Buffer.concat([Buffer.from('20:'), bytes, Buffer.from(counts)]);
    });
    response.end(Buffer.concat([Buffer.from('d5:filesd'), ...entries, Buffer.from('ee')]));
  });
  const db = withDb();
  const clock = new FakeClock();
  const torrents = ['common', 'rare'].map((name, index) => {
    mkdirSync(join(layout.torrents, name));
    writeFileSync(join(layout.torrents, name, 'dump.gz'), randomBytes(1000));
    const { infoHash, torrentFile } = makePlainTorrent({
      ...{ contentRoot: layout.torrents, name, pieceLength: 2 ** 14 },
      files: [{ path: 'dump.gz', sizeBytes: 1000 }],
    });
    const row = {
      ...{ id: index + 1, name, infoHash, torrentFilePath: layout.relative(torrentFile) },
      ...{ contentPath: layout.relative(layout.torrents), seedingSince: 1, retiredAt: null },
    };
    db.sqlite
      .prepare(
        `INSERT INTO torrents (id, name, grouping, info_hash, magnet_link, total_size_bytes, file_count, piece_length, piece_count,
           is_history, is_uncompressed, supplement, part, cycle_date, torrent_file_path, content_path, trackers, webseeds, created_at, seeding_since)
         VALUES (@id, @name, 'cycle', @infoHash, '', 1000, 1, 16384, 1, 0, 0, 0, 0, '2026-11-20', @torrentFilePath, @contentPath, @trackers, '[]', 1, 1)`,
      )
      .run({
        ...{ id: row.id, name, infoHash, torrentFilePath: row.torrentFilePath },
        ...{ contentPath: row.contentPath, trackers: JSON.stringify([tracker.url]) },
      });
    return row as unknown as Torrent;
  });
  /** Those that we have begun to seed a short while ago are counted with us. */
  const say = (counts: readonly number[]): void =>
    torrents.forEach(({ infoHash }, index) => void seeders.set(infoHash, counts[index]!));
  const begin = async () => {
    const seeding = createSeeding({
      catalog: {
        torrents: () => torrents,
        torrentByInfoHash: () => null,
        torrent: () => null,
        ...{ markSeeding: () => {}, torrentsWith: () => [] },
        ...{ dumpFile: () => null, fileInTorrent: () => null, namesInTorrents: () => [] },
      },
      ...{ layout, clock, log: silentLog, askForRepair: () => {}, disk: createNodeDisk() },
      statistics: {
        ...{ db, random: seededRandom(1), datagrams: createDatagrams() },
        http: createHttp({ userAgent: 'WikiSeed/test', clock }),
      },
      config: {
        ...{ enabled: true, port: 0, host: '127.0.0.1', maxConnections: 20, dht: false, lsd: false },
        ...{ utPex: false, uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
        ...{ maxActiveTorrents: 1, watchFolder: join(dataDir, 'watch') },
      },
    });
    onTestFinished(() => seeding.stop());
    await seeding.start();
    const states = async () =>
      Object.fromEntries(
        (await seeding.snapshot()).torrents.map(({ infoHash, state, seeders: count }) => [
          torrents.find((each) => each.infoHash === infoHash)!.name,
          `${state} ${count}`,
        ]),
      );
    const count = () =>
      seeding.handlers
        .find(({ jobType }) => jobType.type === 'collect_stats')!
        .run(
          {},
          {
            ...{ jobId: JobId.parse(1), attempt: 1, signal: new AbortController().signal, clock },
            ...{ log: silentLog, cursor: null, progress: () => {} },
          },
        );
    return { seeding, states, count };
  };
  return { say, begin, clock, watched: () => readdirSync(join(dataDir, 'watch', 'torrents')).length };
}

it('serves what was needed most when it was last counted, from the start', async () => {
  const { say, begin, watched } = await room();
  say([10, 3]);
  const first = await begin();
  await first.count();
  await first.seeding.stop();
  const second = await begin();
  expect(await second.states()).toEqual({ common: 'resting 9', rare: 'seeding 2' });
  expect(watched()).toBe(2);
});

it('changes places when the count says so and the turn is over', async () => {
  const { say, begin, clock } = await room();
  say([2, 6]);
  const first = await begin();
  await first.count();
  expect(await first.states()).toMatchObject({ common: expect.stringMatching(/ 1$/) });
  await first.seeding.stop();
  const { count, states } = await begin();
  expect(await states()).toEqual({ common: 'seeding 1', rare: 'resting 5' });
  // The one that rests was forgotten by the tracker.
  say([41, 5]);
  await clock.advance(COUNT_MS);
  await count();
  await clock.advance(COUNT_MS / 6);
  await expect.poll(states).toEqual({ common: 'resting 40', rare: 'seeding 5' });
});
