import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { DumpFile, Torrent, TorrentFacts } from '../../src/catalog/index.ts';
import { DumpFileId, JobId, TorrentId } from '../../src/lib/index.ts';
import { type Clock, createNodeDisk, createSystemClock, type Log, silentLog } from '../../src/ports/index.ts';
import type { JobContext } from '../../src/queue/index.ts';
import { createSeeding, type SeedingConfig } from '../../src/seeding/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { createTorrenting } from '../../src/torrenting/index.ts';
import { temporaryFolder } from './with-db.ts';

/*
 * What the tests of seeding share: a finished torrent with the seeding room beside it, a tracker, and a stranger's client.
 */

const CYCLE = '2026-11-20';

const context = (): JobContext => ({
  jobId: JobId.parse(1),
  attempt: 1,
  signal: new AbortController().signal,
  clock: createSystemClock(),
  log: silentLog,
  cursor: null,
  progress: () => {},
});

/** A log that keeps its lines, to wait for one of them instead of for a time. */
export function recordingLog() {
  const entries: { level: string; message: string; fields: object }[] = [];
  const waiting = new Map<string, () => void>();
  const write = (level: string) => (fields: object, message: string) => {
    entries.push({ level, message, fields });
    waiting.get(message)?.();
  };
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  const next = (message: string): Promise<void> => new Promise((resolve) => waiting.set(message, resolve));
  return { log, entries, next };
}

export async function startTracker(): Promise<{ url: string; completed: () => number }> {
  const { Server } = (await import('bittorrent-tracker' as string)) as {
    Server: new (
      options: object,
    ) => {
      http: { address(): { port: number } };
      on(event: string, listener: () => void): void;
      listen(port: number, host: string, done: () => void): void;
      close(done: () => void): void;
    };
  };
  const server = new Server({ udp: false, ws: false, stats: false, http: true });
  let completed = 0;
  server.on('complete', () => {
    completed += 1;
  });
  server.on('warning', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${server.http.address().port}/announce`, completed: () => completed };
}

interface Options {
  trackers?: string[];
  config?: Partial<SeedingConfig>;
  log?: Log;
  clock?: Clock;
  dataDir?: string;
  pieceLengthBytes?: number;
  alignFilesFromBytes?: number;
}

/** A data directory with a finished torrent, and the seeding room beside it. */
export async function setup(options: Options = {}) {
  const dataDir = options.dataDir ?? temporaryFolder();
  const layout = createLayout(dataDir);
  const specs = [
    {
      language: 'aa',
      project: 'wikipedia',
      filename: 'aawiki-20261120-pages-articles.xml.bz2',
      sizeBytes: 3_000_001,
    },
    { language: 'aa', project: 'wikipedia', filename: 'aawiki-20261120-redirect.sql.gz', sizeBytes: 0 },
    { language: 'en', project: 'wikinews', filename: 'enwikinews-20261120-page.sql.gz', sizeBytes: 77 },
  ];
  const rows = specs.map((spec, index) => {
    const wikiDbName = spec.filename.split('-')[0]!;
    const place = layout.dumpFile({
      source: 'classic',
      wikiDbName,
      runDate: '20261120',
      filename: spec.filename,
    });
    mkdirSync(dirname(place), { recursive: true });
    const bytes = randomBytes(spec.sizeBytes);
    writeFileSync(place, bytes);
    return {
      ...spec,
      id: DumpFileId.parse(index + 1),
      wikiDbName,
      source: 'classic',
      runDate: '20261120',
      cycleDate: CYCLE,
      dumpType: 'any',
      isHistory: false,
      sha1: createHash('sha1').update(bytes).digest('hex'),
      md5: null,
      sha256: null,
      verification: 'sha1',
      ourStatus: 'downloaded',
      localPath: layout.relative(place),
      storedMtimeMs: null,
      damagedAt: null,
    } as unknown as DumpFile;
  });
  const torrents: (Torrent & Pick<TorrentFacts, 'files'>)[] = [];
  /** Files whose repair was asked for. */
  const toRepair: DumpFileId[] = [];
  const catalog = {
    dumpFile: (id: DumpFileId) => rows.find((row) => row.id === id) ?? null,
    pieceHashes: () => null,
    reopenDumpFile: () => {},
    recordDamaged: () => false,
    recordSound: () => true,
    dumpFiles: () => rows,
    runFiles: () => [],
    runs: () => [],
    wikis: () => [],
    cycle: () => null,
    replacements: () => new Map(),
    carriedFiles: () => new Map(),
    torrentFiles: () => [],
    fileInTorrent: (_infoHash: string, path: string) =>
      rows.find(({ filename }) => path.endsWith(`/${filename}`))?.id ?? null,
    namesInTorrents: (id: DumpFileId) =>
      torrents.flatMap(({ name, infoName, contentPath, infoHash, files }) =>
        files
          .filter(({ dumpId }) => dumpId === id)
          .map(({ pathInTorrent }) => ({ torrent: name, infoName, contentPath, infoHash, pathInTorrent })),
      ),
    torrentsWith: () => [],
    torrentGaps: () => [],
    torrents: () => torrents,
    torrentByInfoHash: (infoHash: string) => torrents.find((each) => each.infoHash === infoHash) ?? null,
    torrentsOfCycle: () => torrents,
    torrent: (id: TorrentId) => torrents.find((torrent) => torrent.id === id) ?? null,
    markSeeding: (id: TorrentId) => {
      const torrent = torrents.find((candidate) => candidate.id === id);
      if (torrent) torrent.seedingSince = 1;
    },
    *prepareTorrent() {},
    recordTorrent: (facts: TorrentFacts) => {
      torrents.push({
        ...facts,
        infoName: facts.infoName ?? facts.name,
        id: TorrentId.parse(1),
        seedingSince: null,
        retiredAt: null,
      } as unknown as Torrent & Pick<TorrentFacts, 'files'>);
      return TorrentId.parse(1);
    },
  };
  const torrenting = createTorrenting({
    catalog,
    disk: createNodeDisk(),
    layout,
    clock: createSystemClock(),
    log: silentLog,
    askForRepair: () => {},
    config: {
      pieceLengthBytes: options.pieceLengthBytes ?? 2 ** 18,
      alignFilesFromBytes: options.alignFilesFromBytes ?? 2 ** 26,
      regularTypes: [],
      historyTypes: [],
      trackers: options.trackers ?? [],
      version: '0.1.0',
    },
  });
  const made = await torrenting.handlers[0]!.run(
    { cycleDate: CYCLE, variant: 'regular', supplement: 0 },
    context(),
  );
  catalog.recordTorrent(made);
  const createRoom = () => {
    const room = createSeeding({
      catalog,
      layout,
      clock: options.clock ?? createSystemClock(),
      log: options.log ?? silentLog,
      disk: createNodeDisk(),
      askForRepair: (ids) => void toRepair.push(...ids),
      config: {
        enabled: true,
        port: 0,
        host: '127.0.0.1',
        maxConnections: 20,
        dht: false,
        lsd: false,
        utPex: false,
        uploadLimitBytesPerSecond: null,
        userAgent: 'WikiSeed/test',
        ...options.config,
      },
    });
    onTestFinished(() => room.stop());
    return room;
  };
  const seeding = createRoom();
  const start = () => seeding.handlers[0]!.run({ torrentId: TorrentId.parse(1) }, context());
  const record = (output: unknown) =>
    seeding.handlers[0]!.record?.({ torrentId: TorrentId.parse(1) }, output);
  const root = join(layout.torrents, made.name);
  return { toRepair, dataDir, layout, rows, torrents, made, seeding, createRoom, start, record, root };
}

export function tree(folder: string, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory()
        ? tree(join(folder, entry.name), `${prefix}${entry.name}/`)
        : [`${prefix}${entry.name}`],
    )
    .sort();
}

/** Runs aria2c until it has everything, or until `timeoutS`. */
export function aria2(
  torrentFile: string,
  target: string,
  timeoutS = 40,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('aria2c', [
      `--dir=${target}`,
      '--seed-time=0',
      '--enable-dht=false',
      '--enable-dht6=false',
      '--bt-enable-lpd=false',
      '--enable-peer-exchange=false',
      '--check-certificate=false',
      '--no-conf=true',
      '--file-allocation=none',
      '--disable-ipv6=true',
      '--bt-tracker-interval=2',
      `--bt-stop-timeout=${timeoutS}`,
      '--console-log-level=warn',
      '--summary-interval=0',
      torrentFile,
    ]);
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
    onTestFinished(() => void child.kill('SIGKILL'));
  });
}
