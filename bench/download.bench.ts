// How long do download, all hashes, piece hashes and durable storage of 2 GiB take, next to aria2c and what would have to follow it?
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BLOCK_BYTES, contentSha1, noise } from './download-content.ts';
import type { OursResult } from './download-ours.ts';
import { download, type Server, serve, withFolder } from './download-processes.ts';
import { repairCost } from './download-repair.ts';
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
/** `WIKISEED_BENCH_LARGE_GIB`: 20 GB are 19 GiB; less for a quick look. */
const LARGE_GIB = Number(process.env.WIKISEED_BENCH_LARGE_GIB ?? 19);
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
        target: { of: 'worst', bound: '< 350' },
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
