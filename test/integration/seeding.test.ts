import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { DumpFile, Torrent, TorrentFacts } from '../../src/catalog/index.ts';
import { DumpFileId, JobId, TorrentId } from '../../src/lib/index.ts';
import { type Clock, createNodeDisk, createSystemClock, type Log, silentLog } from '../../src/ports/index.ts';
import type { JobContext } from '../../src/queue/index.ts';
import { createSeeding, type SeedingConfig } from '../../src/seeding/index.ts';
import { inspectFiles, ReadOnlyStore } from '../../src/seeding/read-only-store.worker.ts';
import { createLayout } from '../../src/storage/index.ts';
import { createTorrenting } from '../../src/torrenting/index.ts';
import { has } from '../helpers/needs.ts';

/*
 * Goal: what we made is what a stranger with an ordinary client receives, and nothing else is ever served.
 * Method: a torrent from the real torrenting room, the real seeding thread, a real tracker on loopback, and aria2c.
 */

const CYCLE = '2026-11-20';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-seeding-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

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
function recordingLog() {
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

async function startTracker(): Promise<{ url: string; completed: () => number }> {
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
  cleanups.push(() => new Promise<void>((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${server.http.address().port}/announce`, completed: () => completed };
}

interface Options {
  trackers?: string[];
  config?: Partial<SeedingConfig>;
  log?: Log;
  clock?: Clock;
  dataDir?: string;
}

/** A data directory with a finished torrent, and the seeding room beside it. */
async function setup(options: Options = {}) {
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
    const place = layout.dumpFile({ wikiDbName, runDate: '20261120', filename: spec.filename });
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
    } as unknown as DumpFile;
  });
  const torrents: Torrent[] = [];
  const catalog = {
    dumpFile: () => null,
    reopenDumpFile: () => {},
    dumpFiles: () => rows,
    runs: () => [],
    wikis: () => [],
    torrents: () => torrents,
    torrent: (id: TorrentId) => torrents.find((torrent) => torrent.id === id) ?? null,
    markSeeding: (id: TorrentId) => {
      const torrent = torrents.find((candidate) => candidate.id === id);
      if (torrent) torrent.seedingSince = 1;
    },
    recordTorrent: (facts: TorrentFacts) => {
      torrents.push({ ...facts, id: TorrentId.parse(1), seedingSince: null } as unknown as Torrent);
      return TorrentId.parse(1);
    },
  };
  const torrenting = createTorrenting({
    catalog,
    disk: createNodeDisk(),
    layout,
    clock: createSystemClock(),
    log: silentLog,
    config: {
      pieceLengthBytes: 2 ** 18,
      historyTypes: [],
      trackers: options.trackers ?? [],
      publicBaseUrl: null,
      version: '0.1.0',
    },
  });
  const made = await torrenting.handlers[0]!.run({ cycleDate: CYCLE, variant: 'regular' }, context());
  catalog.recordTorrent(made);
  const createRoom = () => {
    const room = createSeeding({
      catalog,
      layout,
      clock: options.clock ?? createSystemClock(),
      log: options.log ?? silentLog,
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
    cleanups.push(() => room.stop());
    return room;
  };
  const seeding = createRoom();
  const start = () => seeding.handlers[0]!.run({ torrentId: TorrentId.parse(1) }, context());
  const record = (output: unknown) =>
    seeding.handlers[0]!.record?.({ torrentId: TorrentId.parse(1) }, output);
  const root = join(layout.torrents, made.name);
  return { dataDir, layout, rows, torrents, made, seeding, createRoom, start, record, root };
}

function tree(folder: string, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory()
        ? tree(join(folder, entry.name), `${prefix}${entry.name}/`)
        : [`${prefix}${entry.name}`],
    )
    .sort();
}

/** Runs aria2c until it has everything, or until `timeoutS`. */
function aria2(
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
    cleanups.push(() => child.kill('SIGKILL'));
  });
}

const hasAria2 = has('aria2c');

describe('errors of start_seeding', () => {
  it('fails for good when there is no such torrent', async () => {
    const { seeding, torrents, start } = await setup();
    await seeding.start();
    torrents.length = 0;
    await expect(start()).rejects.toMatchObject({ name: 'PermanentError', code: 'torrent_unknown' });
  });

  it('refuses a torrent with a file of another size, and names it', async () => {
    const { seeding, root, start } = await setup();
    await seeding.start();
    appendFileSync(join(root, 'compressed/en/wikinews/enwikinews-20261120-page.sql.gz'), 'x');
    await expect(start()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'seed_file_changed',
      message: expect.stringContaining('enwikinews-20261120-page.sql.gz'),
    });
  });

  it('refuses a torrent with a missing file, and creates nothing in its place', async () => {
    const { seeding, root, start } = await setup();
    await seeding.start();
    const before = tree(root);
    const victim = join(root, 'compressed/aa/wikipedia/aawiki-20261120-redirect.sql.gz');
    rmSync(victim);
    await expect(start()).rejects.toMatchObject({ name: 'RetryableError', code: 'seed_file_missing' });
    expect(tree(root)).toEqual(before.filter((path) => !victim.endsWith(path)));
  });

  it('asks for another attempt while the thread does not run', async () => {
    const { start } = await setup();
    await expect(start()).rejects.toMatchObject({ name: 'RetryableError', code: 'seeder_down' });
  });

  it('is not disturbed by a tracker that cannot be reached', async () => {
    const recorded = recordingLog();
    const warned = recorded.next('a tracker or peer source does not answer');
    const { seeding, start } = await setup({ trackers: ['http://127.0.0.1:9/announce'], log: recorded.log });
    await seeding.start();
    await expect(start()).resolves.toMatchObject({ isSeeding: true });
    await warned;
    expect((await seeding.snapshot()).torrents).toMatchObject([{ isReady: true }]);
  });
});

describe('seeding', () => {
  it('completes as a no-op that says so when it is switched off', async () => {
    const { seeding, start, record, torrents } = await setup({ config: { enabled: false } });
    await seeding.start();
    const output = await start();
    expect(output).toMatchObject({
      isSeeding: false,
      peersPort: null,
      note: expect.stringContaining('switched off'),
    });
    record(output);
    expect(torrents[0]!.seedingSince).toBeNull();
    expect(await seeding.snapshot()).toEqual({ isEnabled: false, port: null, restarts: 0, torrents: [] });
  });

  it.skipIf(!hasAria2)('gives aria2c every byte, also after a restart, and never writes', async () => {
    const tracker = await startTracker();
    const { seeding, createRoom, start, record, made, layout, root } = await setup({
      trackers: [tracker.url],
    });
    await seeding.start();
    record(await start());
    const torrentFile = join(layout.torrents, `${made.name}.torrent`);
    const source = Object.fromEntries(tree(root).map((path) => [path, readFileSync(join(root, path))]));

    const first = temporaryFolder();
    const result = await aria2(torrentFile, first);
    expect(result.code, result.output).toBe(0);
    const received = join(first, made.name);
    expect(tree(received)).toEqual(tree(root));
    for (const [path, bytes] of Object.entries(source)) {
      expect(readFileSync(join(received, path)).equals(bytes), path).toBe(true);
      expect(readFileSync(join(root, path)).equals(bytes), path).toBe(true);
    }
    const facts = await seeding.snapshot();
    expect(facts.port).toBe(seeding.port());
    expect(facts.torrents).toMatchObject([{ infoHash: made.infoHash, isReady: true }]);
    expect(facts.torrents[0]!.uploadedBytes).toBeGreaterThanOrEqual(made.totalSizeBytes);

    await seeding.stop();
    expect(seeding.port()).toBeNull();
    const again = createRoom();
    await again.start();
    const second = temporaryFolder();
    expect((await aria2(torrentFile, second)).code).toBe(0);
    expect(readFileSync(join(second, made.name, 'HASH.txt')).equals(source['HASH.txt']!)).toBe(true);
    // A seeder that starts has finished nothing; aria2c, which leaves at once, sends only `stopped`.
    expect(tracker.completed()).toBe(0);
  });

  it('listens where it was told to', async () => {
    const { seeding } = await setup();
    await seeding.start();
    const port = seeding.port()!;
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' }, () => {
        socket.destroy();
        resolve();
      });
      socket.on('error', reject);
    });
    await expect(
      new Promise((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.2' }, () => resolve(socket.destroy()));
        socket.on('error', reject);
      }),
    ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('starts another thread when the port is taken, and serves once it is free', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    const recorded = recordingLog();
    const { seeding, torrents, start } = await setup({ config: { port }, log: recorded.log });
    torrents[0]!.seedingSince = 1;
    await seeding.start();
    expect(seeding.port()).toBeNull();
    await expect(start()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'seeding_port_taken',
      message: expect.stringContaining('seeding.port'),
    });
    // Told once in a sentence that names the setting, however often it is tried.
    await expect.poll(async () => (await seeding.snapshot()).restarts, { timeout: 5000 }).toBe(2);
    expect(recorded.entries.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      `Nothing is seeded: port ${port} on 127.0.0.1 is taken by another program; stop that program, or set seeding.port to a free port (WikiSeed goes on trying).`,
    ]);
    const listening = recorded.next('listening for peers');
    await new Promise<void>((resolve) => blocker.close(() => resolve()));
    await listening;
    await expect.poll(async () => (await seeding.snapshot()).torrents).toMatchObject([{ isReady: true }]);
    expect(await seeding.snapshot()).toMatchObject({ port, restarts: 2 });
  });

  it('starts without a torrent whose files are gone, and says so', async () => {
    const recorded = recordingLog();
    const { seeding, torrents, root } = await setup({ log: recorded.log });
    torrents[0]!.seedingSince = 1;
    renameSync(root, `${root}-moved`);
    await seeding.start();
    expect(seeding.port()).not.toBeNull();
    expect((await seeding.snapshot()).torrents).toEqual([]);
    expect(recorded.entries).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'a torrent cannot be seeded' }),
    );
  });

  it('does not hold up the start of the program when a torrent hangs', async () => {
    const clock = createSystemClock();
    const recorded = recordingLog();
    const { seeding, torrents, layout, made } = await setup({
      log: recorded.log,
      // A hundred times faster.
      clock: { ...clock, sleep: (ms, signal) => clock.sleep(ms / 100, signal) },
    });
    torrents[0]!.seedingSince = 1;
    // Nobody writes into the pipe, so reading it never ends, as with a network disk that is gone.
    const pipe = join(layout.torrents, `${made.name}.torrent`);
    rmSync(pipe);
    execFileSync('mkfifo', [pipe]);
    cleanups.push(() => closeSync(openSync(pipe, 'r+')));
    await seeding.start();
    expect(recorded.entries.map(({ message }) => message)).toContain(
      'the seeding thread is slow to start; going on without waiting for it',
    );
  });

  it('may be stopped before it started, and twice', async () => {
    const { seeding } = await setup();
    await seeding.stop();
    await seeding.start();
    await seeding.stop();
    await seeding.stop();
    expect(seeding.port()).toBeNull();
  });
});

describe('the read-only store', () => {
  async function openStore(sizes: number[], options: { pieceLength?: number; handlesMax?: number } = {}) {
    const folder = temporaryFolder();
    const files = sizes.map((sizeBytes, index) => ({ absolutePath: join(folder, `f${index}`), sizeBytes }));
    const all = Buffer.concat(
      files.map(({ absolutePath, sizeBytes }) => {
        const bytes = randomBytes(sizeBytes);
        writeFileSync(absolutePath, bytes);
        return bytes;
      }),
    );
    const refused: string[] = [];
    const store = new ReadOnlyStore(options.pieceLength ?? 16, {
      knownFiles: await inspectFiles(files),
      handlesMax: options.handlesMax ?? 128,
      onRefused: (error) => refused.push(error.code),
    });
    cleanups.push(() => new Promise((resolve) => store.close(resolve)));
    const get = (index: number, range: { offset?: number; length?: number } = {}): Promise<Uint8Array> =>
      new Promise((resolve, reject) =>
        store.get(index, range, (error, bytes) => (error === null ? resolve(bytes!) : reject(error))),
      );
    return { store, get, files, all, refused };
  }

  it('refuses writes', async () => {
    const { store, all, get } = await openStore([40]);
    const error = await new Promise((resolve) => store.put(0, new Uint8Array(16), resolve));
    expect(error).toMatchObject({ message: 'this store is read-only' });
    expect(Buffer.from(await get(0)).equals(all.subarray(0, 16))).toBe(true);
  });

  it('reads every range over the borders of files, empty ones included', async () => {
    const { get, all } = await openStore([3, 0, 0, 20, 1, 9, 0, 31, 0], { pieceLength: 16 });
    for (let index = 0; index * 16 < all.length; index += 1) {
      const piece = all.subarray(index * 16, index * 16 + 16);
      expect(Buffer.from(await get(index)).equals(piece)).toBe(true);
      for (let offset = 0; offset < piece.length; offset += 1) {
        const length = Math.min(5, piece.length - offset);
        expect(
          Buffer.from(await get(index, { offset, length })).equals(piece.subarray(offset, offset + length)),
        ).toBe(true);
      }
    }
  });

  it.each([
    [0, { offset: 0, length: 17 }],
    [0, { offset: -1, length: 4 }],
    [2, { offset: 0, length: 9 }],
    [3, { offset: 0, length: 1 }],
    [-1, {}],
    [0.5, {}],
  ])('refuses a range outside the piece: %j %j', async (index, range) => {
    const { get } = await openStore([40]);
    await expect(get(index, range)).rejects.toBeInstanceOf(RangeError);
  });

  it('keeps few files open', async () => {
    const { store, get, all } = await openStore(new Array(50).fill(16), { handlesMax: 4 });
    for (let index = 0; index < 50; index += 1) {
      expect(Buffer.from(await get(index)).equals(all.subarray(index * 16, index * 16 + 16))).toBe(true);
      expect(store.openCount).toBeLessThanOrEqual(4);
    }
  });

  it.each([
    ['grows', (path: string) => appendFileSync(path, 'x')],
    ['shrinks', (path: string) => truncateSync(path, 8)],
    ['is written to', (path: string) => writeFileSync(path, randomBytes(32))],
  ])('never serves a file that %s, open or not', async (_how, change) => {
    const { get, files, refused } = await openStore([32, 32]);
    await get(0);
    change(files[0]!.absolutePath);
    change(files[1]!.absolutePath);
    await expect(get(0, { offset: 0, length: 4 })).rejects.toMatchObject({ code: 'seed_file_changed' });
    await expect(get(2)).rejects.toMatchObject({ code: 'seed_file_changed' });
    expect(refused).toEqual(['seed_file_changed', 'seed_file_changed']);
  });

  it('says which file is missing, and does not create it', async () => {
    const { get, files } = await openStore([32]);
    rmSync(files[0]!.absolutePath);
    await expect(get(0)).rejects.toMatchObject({ code: 'seed_file_missing', path: files[0]!.absolutePath });
    expect(readdirSync(dirname(files[0]!.absolutePath))).toEqual([]);
  });
});
