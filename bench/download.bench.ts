// How long do download, all hashes, piece hashes and durable storage of 2 GiB take, next to aria2c and what would have to follow it?
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bzip2Stream, loadBzip2 } from '../src/sandbox/bzip2.ts';
import { BLOCK_BYTES, contentSha1, noise, repeatedSha1 } from './download-content.ts';
import type { OursResult, OursTask } from './download-ours.ts';
import { figureOf, type MeasuredFigure } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: one core hashes MD5 at 0.6 to 0.8 GB/s: 2 GiB in 3 s, beside it the other core SHA-1 twice and SHA-256 in as long. The
 * chain reads the file four times and hashes on one core, one after the other: 9 s behind the download. aria2c alone needs 2 to 6 s
 * and makes nothing durable; on a disk that takes 330 MB/s being durable alone costs 6.5 s, so the same is measured in memory
 * (/dev/shm), where the disk is out of the picture, and on the disk with an fsync behind the peers as well.
 */

const execute = promisify(execFile);

const GIB = 2 ** 30;
const MEMORY_FOLDER = '/dev/shm';
const ROUNDS = 3;
const SEGMENT_BYTES = 100_000_000;
const LIE_BYTES = 1e9;
/** Where the lie is: a look at the container reads what lies before it. */
const LIE_AT = 0.25;
/** `WIKISEED_BENCH_LARGE_GIB`: 20 GB are 19 GiB; less for a quick look. */
const LARGE_GIB = Number(process.env.WIKISEED_BENCH_LARGE_GIB ?? 19);
/** No container that could be checked: what is measured is the way of the bytes. */
const FILENAME = 'aawiki-20261120-pages-articles.xml.gz';
const BZIP2_FILENAME = 'aawiki-20261120-pages-articles.xml.bz2';

interface Server {
  port: number;
  /** Sent since it was asked last. */
  sentBytes(): number;
  stop(): void;
}

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  const aria2c = await versionOf('aria2c', /aria2 version (\S+)/);
  const mktorrent = await versionOf('mktorrent', /mktorrent (\S+)/);
  const figures: MeasuredFigure[] = [];
  const size = 2 * GIB;
  const sha1 = contentSha1(size);
  const server = await serve(size);
  try {
    const places = existsSync(MEMORY_FOLDER)
      ? ([
          ['memory', MEMORY_FOLDER],
          ['disk', folder],
        ] as const)
      : ([['disk', folder]] as const);
    for (const [place, root] of places) {
      note(`2 GiB on ${place}, ${ROUNDS} rounds`);
      figures.push(...(await compare(place, root, server, sha1, { aria2c, mktorrent }, note)));
    }
  } finally {
    server.stop();
  }
  figures.push(...(await repairCost(folder, note)));
  if (LARGE_GIB > 0) figures.push(...(await large(folder, note)));
  return {
    figures,
    versions: { ...(aria2c === null ? {} : { aria2c }), ...(mktorrent === null ? {} : { mktorrent }) },
  };
}

async function compare(
  place: string,
  root: string,
  server: Server,
  sha1: string,
  peers: { aria2c: string | null; mktorrent: string | null },
  note: (text: string) => void,
): Promise<MeasuredFigure[]> {
  const sizeBytes = 2 * GIB;
  const ours: OursResult[] = [];
  const alone: number[] = [];
  const aloneDurable: number[] = [];
  const chain: number[] = [];
  const floor: number[] = [];
  // The first round warms our side up and does not count.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const found = await withFolder(root, (dataDir) =>
      download({ dataDir, sizeBytes, sha1, originPort: server.port, mirrorPorts: [], withTorrent: true }),
    );
    const theirs =
      peers.aria2c === null || round === 0
        ? null
        : await withFolder(root, (dir) => chainOf(dir, server.port, peers.mktorrent !== null));
    const md5Ms = timeOfMd5(sizeBytes);
    note(
      `${round === 0 ? 'warm-up' : `round ${round}`}: ours ${seconds(found.ms)}, aria2c ${seconds(theirs?.aloneMs)}, with fsync ${seconds(theirs?.durableMs)}, chain ${seconds(theirs?.chainMs)}`,
    );
    if (round === 0) continue;
    ours.push(found);
    floor.push(md5Ms / 1000);
    if (theirs === null) continue;
    alone.push(theirs.aloneMs / 1000);
    aloneDurable.push(theirs.durableMs / 1000);
    chain.push(theirs.chainMs / 1000);
  }
  const base = { unit: 's', better: 'low', ours: ours.map(({ ms }) => ms / 1000) } as const;
  const of = (list: number[]): number[] | null => (list.length === 0 ? null : list);
  return [
    figureOf({
      ...{ name: `2 GiB (${place}) against aria2c + sha256sum + md5sum + sha1sum + mktorrent`, ...base },
      ...{ theirs: peers.mktorrent === null ? null : of(chain), target: { of: 'ratio', bound: '<= 0.5' } },
    }),
    figureOf({
      ...{ name: `2 GiB (${place}) against aria2c alone`, ...base },
      ...{ theirs: of(alone), target: { of: 'ratio', bound: '<= 1.3' } },
    }),
    ...(place === 'disk'
      ? [
          figureOf({
            ...{ name: `2 GiB (${place}) against aria2c and an fsync, durable like ours`, ...base },
            ...{ theirs: of(aloneDurable), target: { of: 'ratio', bound: '<= 1.3' } },
          }),
        ]
      : []),
    figureOf({ name: `2 GiB (${place}) against one MD5 stream from memory`, ...base, theirs: floor }),
    // In memory there is no disk to read from.
    ...(place === 'disk' ? readFigures(ours, sizeBytes) : []),
    figureOf({
      ...{ name: `processor time for 2 GiB (${place})`, unit: 's', better: 'low' },
      ours: ours.map(({ cpuMs }) => cpuMs / 1000),
    }),
  ];
}

function readFigures(ours: readonly OursResult[], sizeBytes: number): MeasuredFigure[] {
  return [
    figureOf({
      ...{ name: 'bytes read from disk per byte of the file: download, proof and torrent, nothing cached' },
      ...{ unit: 'times', better: 'low' },
      ours: ours.map(({ readBytes, torrent }) => (readBytes + (torrent?.readBytes ?? 0)) / sizeBytes),
      target: { of: 'ours', bound: '<= 1.05' },
    }),
    figureOf({
      ...{ name: 'bytes read for the torrent per byte of the file, page cache included' },
      ...{
        unit: 'times',
        better: 'low',
        ours: ours.map(({ torrent }) => (torrent?.givenBytes ?? 0) / sizeBytes),
      },
    }),
  ];
}

/** aria2c with its own best settings for one file; made durable like ours. The others follow one after the other. */
async function chainOf(
  dir: string,
  port: number,
  hasMktorrent: boolean,
): Promise<{ aloneMs: number; durableMs: number; chainMs: number }> {
  const startedMs = performance.now();
  const options = [
    '--quiet',
    '--max-connection-per-server=1',
    '--file-allocation=none',
    '--dir',
    dir,
    '--out',
    'f',
  ];
  await execute('aria2c', [...options, `http://127.0.0.1:${port}/f`]);
  const aloneMs = performance.now() - startedMs;
  const file = join(dir, 'f');
  const fd = openSync(file, 'r');
  fsyncSync(fd);
  closeSync(fd);
  const durableMs = performance.now() - startedMs;
  for (const command of ['sha256sum', 'md5sum', 'sha1sum']) await execute(command, [file]);
  if (hasMktorrent)
    await execute('mktorrent', [
      '-l',
      '24',
      '-a',
      'http://127.0.0.1:1/announce',
      '-o',
      join(dir, 'f.torrent'),
      file,
    ]);
  return { aloneMs, durableMs, chainMs: performance.now() - startedMs };
}

/** One byte of a mirror's copy is wrong. */
async function repairCost(root: string, note: (text: string) => void): Promise<MeasuredFigure[]> {
  const bzip2 = await loadBzip2();
  const stream = Buffer.concat([...bzip2Stream([bzip2.block(noise.subarray(0, 800_000))])]);
  const path = join(root, 'stream.bz2');
  writeFileSync(path, stream);
  const copies = Math.round(LIE_BYTES / stream.length);
  const blocks = Math.round(LIE_BYTES / BLOCK_BYTES);
  const kinds = [
    {
      ...{ what: 'a bzip2 file', filename: BZIP2_FILENAME, sizeBytes: copies * stream.length, from: [path] },
      ...{ sha1: repeatedSha1(stream, copies), target: { of: 'ours', bound: '<= 1' } as const },
    },
    {
      ...{ what: 'a file that says nothing of itself', filename: FILENAME, sizeBytes: blocks * BLOCK_BYTES },
      ...{ from: [], sha1: contentSha1(blocks * BLOCK_BYTES), target: undefined },
    },
  ];
  const figures: MeasuredFigure[] = [];
  for (const { what, filename, sizeBytes, from, sha1, target } of kinds) {
    note(`1 GB from a mirror that lies at one byte of ${what}`);
    const lieAt = Math.round(LIE_AT * sizeBytes);
    const [origin, mirror] = [await serve(sizeBytes, -1, from), await serve(sizeBytes, lieAt, from)];
    try {
      const ports = { originPort: origin.port, mirrorPorts: [mirror.port] };
      await withFolder(root, (dataDir) =>
        download({ dataDir, sizeBytes, sha1, ...ports, filename, withTorrent: false }),
      );
      const againBytes = origin.sentBytes();
      if (againBytes === 0) throw new Error('the mirror was not asked, or nobody noticed that it lied');
      figures.push(
        figureOf({
          name: `segments of 1 GB that travel again for one wrong byte, ${what}`,
          ...{ unit: 'segments', better: 'low', ours: [againBytes / SEGMENT_BYTES] },
          ...(target === undefined ? {} : { target }),
        }),
      );
    } finally {
      origin.stop();
      mirror.stop();
    }
  }
  return figures;
}

async function large(root: string, note: (text: string) => void): Promise<MeasuredFigure[]> {
  note(`${LARGE_GIB} GiB`);
  const sizeBytes = LARGE_GIB * GIB;
  const server = await serve(sizeBytes);
  try {
    const sha1 = contentSha1(sizeBytes);
    const found = await withFolder(root, (dataDir) =>
      download({ dataDir, sizeBytes, sha1, originPort: server.port, mirrorPorts: [], withTorrent: false }),
    );
    const name = (what: string): string => `${LARGE_GIB} GiB: ${what}`;
    return [
      figureOf({
        ...{ name: name('peak resident memory'), unit: 'MB', better: 'low', ours: [found.maxRssBytes / 1e6] },
        target: { of: 'ours', bound: '< 350' },
      }),
      figureOf({
        ...{ name: name('event loop delay p99'), unit: 'ms', better: 'low', ours: [found.loopDelayP99Ms] },
        target: { of: 'ours', bound: '< 20' },
      }),
      figureOf({
        name: name('longest block of the event loop'),
        unit: 'ms',
        better: 'low',
        ours: [found.loopDelayMaxMs],
      }),
      figureOf({ name: name('speed'), unit: 'MB/s', better: 'high', ours: [sizeBytes / 1000 / found.ms] }),
    ];
  } finally {
    server.stop();
  }
}

async function serve(sizeBytes: number, lieAt = -1, from: readonly string[] = []): Promise<Server> {
  const server = new URL('./download-server.ts', import.meta.url);
  const child = fork(server, [String(sizeBytes), String(lieAt), ...from]);
  let sent = 0;
  child.on('message', (message: { sentBytes?: number }) => {
    sent += message.sentBytes ?? 0;
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the server did not start')));
    child.on('message', (message: { port?: number }) => message.port !== undefined && resolve(message.port));
  });
  return { port, sentBytes: () => sent, stop: () => void child.kill() };
}

/** In a process of its own, started as `npm start` starts the daemon. */
async function download(
  task: Omit<OursTask, 'filename' | 'segmentSizeBytes'> & { filename?: string },
): Promise<OursResult> {
  const whole: OursTask = { filename: FILENAME, ...task, segmentSizeBytes: SEGMENT_BYTES };
  const child: ChildProcess = fork(new URL('./download-ours.ts', import.meta.url), [JSON.stringify(whole)], {
    execArgv: ['--max-semi-space-size=8', '--heap-growing-percent=20'],
  });
  return await new Promise<OursResult>((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', () => reject(new Error('our download did not end well')));
  });
}

async function withFolder<T>(root: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(root, 'wikiseed-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The floor of the work: MD5 cannot be divided. */
function timeOfMd5(sizeBytes: number): number {
  const startedMs = performance.now();
  const hash = createHash('md5');
  for (let done = 0; done < sizeBytes; done += BLOCK_BYTES) hash.update(noise);
  hash.digest();
  return performance.now() - startedMs;
}

async function versionOf(program: string, pattern: RegExp): Promise<string | null> {
  const output = await execute(program, [program === 'mktorrent' ? '-h' : '--version']).then(
    ({ stdout }) => stdout,
    (error: { code?: unknown; stdout?: string }) => (error.code === 'ENOENT' ? null : (error.stdout ?? '')),
  );
  return output === null ? null : (pattern.exec(output)?.[1] ?? 'unknown');
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${(ms / 1000).toFixed(1)} s`;
}
