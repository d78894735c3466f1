import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createSystemClock, type Log } from '../src/ports/index.ts';
import { createSeeder } from '../src/seeding/seeder.ts';
import { makePlainTorrent, type PlainTorrent } from '../test/helpers/plain-torrent.ts';

const FILES = 30_000;
const PIECES = 180_000;
const PIECE_LENGTH = 2 ** 24;
const FOLDERS = 1000;

/** What it costs to begin to serve it. */
export interface Loaded {
  seconds: number;
  longestBlockMs: number;
  moreMemoryMb: number;
}

/** 3 TB in 30,000 files that take no room, with hashes of nothing: who loads it reads sizes only. */
export function makeHugeTorrent(folder: string): PlainTorrent {
  const files: { path: string; sizeBytes: number }[] = [];
  for (let index = 0; index < FOLDERS; index += 1)
    mkdirSync(join(folder, 'huge', String(index)), { recursive: true });
  for (let index = 0; index < FILES; index += 1) {
    const sizeBytes = (PIECES / FILES) * PIECE_LENGTH;
    const path = `${index % FOLDERS}/aawiki-20261120-pages-${index}.xml.bz2`;
    const file = openSync(join(folder, 'huge', path), 'w');
    ftruncateSync(file, sizeBytes);
    closeSync(file);
    files.push({ path, sizeBytes });
  }
  return makePlainTorrent({
    ...{ contentRoot: folder, name: 'huge', files, pieceLength: PIECE_LENGTH },
    pieces: randomBytes(PIECES * 20),
  });
}

/** From a thread that does nothing yet to the answer that it is served; memory is the highest that was seen. */
export async function load({ infoHash, torrentFile, contentRoot }: PlainTorrent): Promise<Loaded> {
  const none = (): void => {};
  const log: Log = { debug: none, info: none, warn: none, error: none, child: () => log };
  const seeder = createSeeder({
    settings: {
      ...{ port: 0, host: '127.0.0.1', maxConnections: 50, dht: false, lsd: false, utPex: false },
      ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/bench' },
    },
    clock: createSystemClock(),
    log,
  });
  await seeder.start([]);
  const before = process.memoryUsage.rss();
  let peak = before;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  await seeder.add({ infoHash, torrentFile, contentRoot }, new AbortController().signal);
  const seconds = (performance.now() - began) / 1000;
  delay.disable();
  clearInterval(sampler);
  const [served] = await seeder.snapshot();
  if (served?.state !== 'seeding') throw new Error('the huge torrent is not served');
  await seeder.stop();
  return {
    seconds,
    longestBlockMs: delay.max / 1e6,
    moreMemoryMb: (Math.max(peak, process.memoryUsage.rss()) - before) / 1e6,
  };
}
