// One download of ours in a process of its own: `node download-ours.ts <json>`; says what it found.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createCatalog } from '../src/catalog/index.ts';
import { migrateDb, openDb } from '../src/db/index.ts';
import { createDownload } from '../src/download/index.ts';
import { JobId } from '../src/lib/index.ts';
import {
  createHttp,
  createNodeDisk,
  createSystemClock,
  createSystemRandom,
  limitConnectionsPerHost,
  silentLog,
} from '../src/ports/index.ts';
import { createLayout, createSpaceGuard } from '../src/storage/index.ts';
import { BLOCK_BYTES } from './download-content.ts';

export interface OursTask {
  dataDir: string;
  filename: string;
  sizeBytes: number;
  sha1: string;
  originPort: number;
  mirrorPorts: number[];
  segmentSizeBytes: number;
}

export interface OursResult {
  ms: number;
  /** Processor time of all threads. */
  cpuMs: number;
  /** Bytes that had to come from the disk. */
  readBytes: number;
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
  const readBefore = readBytes();
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
  delay.disable();
  clearInterval(watch);
  const row = catalog.dumpFile(id);
  if (row?.ourStatus !== 'downloaded' || row.localPath === null) throw new Error('the file was not stored');
  const result = {
    ms,
    cpuMs: (cpu.user + cpu.system) / 1000,
    readBytes: readBytes() - readBefore,
    maxRssBytes,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
    loopDelayMaxMs: delay.max / 1e6,
    finalPath: join(dataDir, row.localPath),
  };
  await room.stop();
  db.close();
  return result;
}

function readBytes(): number {
  return Number(/^read_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0);
}
