// One download of ours in a process of its own: `node download-ours.ts <json>`; says what it found.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Catalog, createCatalog } from '../src/catalog/index.ts';
import { migrateDb, openDb } from '../src/db/index.ts';
import { createDownload } from '../src/download/index.ts';
import { JobId } from '../src/lib/index.ts';
import {
  type Clock,
  createHttp,
  createNodeDisk,
  createSystemClock,
  createSystemRandom,
  type Disk,
  limitConnectionsPerHost,
  silentLog,
} from '../src/ports/index.ts';
import { createLayout, createSpaceGuard } from '../src/storage/index.ts';
import { type CreateTorrentOutput, createTorrenting } from '../src/torrenting/index.ts';
import { BLOCK_BYTES } from './download-content.ts';

export interface OursTask {
  dataDir: string;
  filename: string;
  sizeBytes: number;
  sha1: string;
  originPort: number;
  mirrorPorts: number[];
  segmentSizeBytes: number;
  /** Whether the torrent is made, too. */
  withTorrent: boolean;
}

export interface OursResult {
  ms: number;
  /** Processor time of all threads. */
  cpuMs: number;
  /** Bytes that had to come from the disk while it was fetched and proved. */
  readBytes: number;
  /** The same for the torrent of it, made while none of it was in the page cache; null when that was not wanted. */
  torrent: { ms: number; readBytes: number; givenBytes: number } | null;
  maxRssBytes: number;
  loopDelayP99Ms: number;
  loopDelayMaxMs: number;
  finalPath: string;
}

const PIECE_BYTES = 16 * BLOCK_BYTES;
const task = JSON.parse(process.argv[2] ?? '') as OursTask;
process.send?.(await download());
process.disconnect?.();

async function download(): Promise<OursResult> {
  const { dataDir, filename, sizeBytes } = task;
  const clock = createSystemClock();
  const disk = createNodeDisk();
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  migrateDb(db, { dataDir, now: new Date() });
  const catalog = createCatalog({ db, clock });
  catalog.recordWikis([
    {
      ...{ wikiDbName: 'aawiki', project: 'wikipedia', language: 'aa', url: 'https://aa.wikipedia.org' },
      ...{ name: '', isClosed: true, isPrivate: false, isFishbowl: false },
    },
  ]);
  catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: clock.now() + 1e9 });
  const path = `/aawiki/20261120/${filename}`;
  catalog.recordRun({
    ...{ wikiDbName: 'aawiki', cycleDate: '2026-11-20', source: 'classic', runDate: '20261120' },
    ...{ status: 'finished', notices: [], document: null },
    files: [
      {
        ...{ dumpType: 'pages-articles', filename, isHistory: false, sizeBytes, hashes: { sha1: task.sha1 } },
        wikimediaUrl: `http://127.0.0.1:${task.originPort}${path}`,
        ...{ wikimediaStatus: 'done', wikimediaDate: null },
      },
    ],
    listedNames: new Set([filename]),
  });
  const id = catalog.dumpFiles('2026-11-20')[0]!.id;
  const room = createDownload({
    ...{ db, catalog, disk, clock, random: createSystemRandom(), log: silentLog },
    http: limitConnectionsPerHost(createHttp({ userAgent: 'WikiSeed/bench (bench@example.org)', clock }), 2),
    layout: createLayout(dataDir),
    space: createSpaceGuard({ disk, dataDir, safetyMarginBytes: 0, maxSizeBytes: null }),
    config: {
      pieceLengthBytes: PIECE_BYTES,
      segmentSizeBytes: task.segmentSizeBytes,
      mirrors: task.mirrorPorts.map((port) => `http://127.0.0.1:${port}`),
      connections: 2,
    },
  });
  const handler = room.handlers[0]!;
  const input = { dumpFileId: id };
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = bytesRead();
  let maxRssBytes = 0;
  const watch = setInterval(() => {
    maxRssBytes = Math.max(maxRssBytes, process.memoryUsage.rss());
  }, 100);
  delay.enable();
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const output = await handler.run(input, {
    jobId: JobId.parse(1),
    ...{ attempt: 1, signal: new AbortController().signal, clock, log: silentLog, cursor: null },
    progress: () => {},
  });
  db.transaction(() => handler.record?.(input, output));
  const ms = performance.now() - startedMs;
  const cpu = process.cpuUsage(cpuBefore);
  const downloaded = bytesRead();
  delay.disable();
  clearInterval(watch);
  const row = catalog.dumpFile(id);
  if (row?.ourStatus !== 'downloaded' || row.localPath === null) throw new Error('the file was not stored');
  const result = {
    ms,
    cpuMs: (cpu.user + cpu.system) / 1000,
    readBytes: downloaded.fromDisk - before.fromDisk,
    torrent: task.withTorrent
      ? await makeTorrent({ catalog, disk, clock, path: join(dataDir, row.localPath) })
      : null,
    maxRssBytes,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
    loopDelayMaxMs: delay.max / 1e6,
    finalPath: join(dataDir, row.localPath),
  };
  await room.stop();
  db.close();
  return result;
}

/** As the job does it, from the catalog that the download has filled. */
async function makeTorrent({
  catalog,
  disk,
  clock,
  path,
}: {
  catalog: Catalog;
  disk: Disk;
  clock: Clock;
  path: string;
}): Promise<OursResult['torrent']> {
  // What is read for it has to come from the disk then, and shows.
  execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
  const room = createTorrenting({
    ...{ catalog, disk, clock, log: silentLog, layout: createLayout(task.dataDir), askForRepair: () => {} },
    config: {
      pieceLengthBytes: PIECE_BYTES,
      alignFilesFromBytes: PIECE_BYTES,
      ...{ regularTypes: ['pages-articles'], historyTypes: [], trackers: [] },
      version: 'bench',
    },
  });
  const before = bytesRead();
  const startedMs = performance.now();
  const made = (await room.handlers[0]!.run(
    { cycleDate: '2026-11-20', variant: 'regular', supplement: 0 },
    {
      ...{ jobId: JobId.parse(2), attempt: 1, signal: new AbortController().signal, cursor: null },
      ...{ clock, log: silentLog, progress: () => {} },
    },
  )) as CreateTorrentOutput;
  if (made.alignFilesFromBytes === null) throw new Error('the torrent has not got the file');
  const after = bytesRead();
  return {
    ms: performance.now() - startedMs,
    readBytes: after.fromDisk - before.fromDisk,
    givenBytes: after.given - before.given,
  };
}

/** By this process so far: from the disk, and with the page cache and the network. */
function bytesRead(): { fromDisk: number; given: number } {
  const text = readFileSync('/proc/self/io', 'utf8');
  return {
    fromDisk: Number(/^read_bytes: (\d+)$/m.exec(text)?.[1] ?? 0),
    given: Number(/^rchar: (\d+)$/m.exec(text)?.[1] ?? 0),
  };
}
