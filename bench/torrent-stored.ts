import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { DumpFile, Torrent } from '../src/catalog/index.ts';
import { DumpFileId, JobId } from '../src/lib/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../src/ports/index.ts';
import { createLayout } from '../src/storage/index.ts';
import { type CreateTorrentOutput, createTorrenting } from '../src/torrenting/index.ts';
import { figureOf, type MeasuredFigure } from './figure.ts';

const execute = promisify(execFile);

const MIB = 2 ** 20;
const PIECE_LENGTH = 16 * MIB;
const SMALL_FILES = 50;
const SMALL_BYTES = MIB;
const ROUNDS = 3;
const CYCLE = '2026-11-20';

/**
 * A torrent of downloaded files of 1 GiB and 50 of 1 MiB: all that `create_torrent` does, with the catalog in memory,
 * next to mktorrent reading the same folder.
 * @param options.file the large file
 * @param options.digests its piece hashes
 * @param options.largeFiles names of the large file: the page cache holds it once, so both sides read from memory
 * @param options.target of the ratio, where there is one
 */
export async function measureStored(options: {
  folder: string;
  file: string;
  digests: Buffer;
  note: (text: string) => void;
  hasPeer: boolean;
  largeFiles: number;
  target?: string;
}): Promise<MeasuredFigure[]> {
  const { folder, note, hasPeer, largeFiles, target } = options;
  note(`a torrent of downloaded files: ${largeFiles} of 1 GiB, fifty of 1 MiB`);
  const operator = setup(options);
  const first = await operator.make();
  if (first.alignFilesFromBytes === null) throw new Error('no file was aligned');
  const payloadBytes = operator.payloadBytes;
  const ours: number[] = [];
  const theirs: number[] = [];
  const reads: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rmSync(join(operator.torrents, first.name), { recursive: true });
    rmSync(join(operator.torrents, `${first.name}.torrent`));
    const before = bytesRead();
    const startedMs = performance.now();
    const made = await operator.make();
    ours.push(performance.now() - startedMs);
    const after = bytesRead();
    if (made.infoHash !== first.infoHash) throw new Error('the torrent is another one');
    if (before !== null && after !== null) reads.push((100 * (after - before)) / payloadBytes);
    if (!hasPeer) continue;
    const output = join(folder, 'stored.torrent');
    const peerStartedMs = performance.now();
    await execute('mktorrent', [
      ...['-t', String(Math.min(availableParallelism(), 8)), '-l', '24', '-a', 'http://127.0.0.1:1/announce'],
      ...['-o', output, join(operator.torrents, first.name)],
    ]);
    theirs.push(performance.now() - peerStartedMs);
    rmSync(output);
  }
  const speeds = (rounds: readonly number[]): number[] =>
    rounds.map((ms) => payloadBytes / MIB / (ms / 1000));
  return [
    figureOf({
      name: `torrent of ${largeFiles} GiB of downloaded files, all in the page cache`,
      unit: 'MiB/s',
      better: 'high',
      ours: speeds(ours),
      theirs: hasPeer ? speeds(theirs) : null,
      ...(target === undefined ? {} : { target: { of: 'ratio', bound: target } as const }),
    }),
    ...(reads.length === 0
      ? []
      : [
          figureOf({
            name: 'of these, bytes read again, with all that threads load',
            unit: '%',
            better: 'low',
            ours: reads,
            target: { of: 'ours', bound: '<= 5' },
          }),
        ]),
  ];
}

/** Bytes this process was given by reading, page cache included; null where the system does not tell. */
function bytesRead(): number | null {
  if (!existsSync('/proc/self/io')) return null;
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

/** A data directory in which everything was downloaded. */
function setup(options: { folder: string; file: string; digests: Buffer; largeFiles: number }) {
  const { folder, file, digests: sha1s, largeFiles } = options;
  const layout = createLayout(join(folder, `data-${largeFiles}`));
  const rows: DumpFile[] = [];
  const add = (filename: string, put: (path: string) => void, sha1: string): void => {
    const place = { source: 'classic', wikiDbName: 'aawiki', runDate: '20261120', filename } as const;
    const path = layout.dumpFile(place);
    mkdirSync(dirname(path), { recursive: true });
    put(path);
    const { size, mtimeMs } = statSync(path);
    rows.push({
      ...{ ...place, id: DumpFileId.parse(rows.length + 1), language: 'aa', project: 'wikipedia', sha1 },
      ...{ cycleDate: CYCLE, dumpType: 'page', isHistory: false, md5: null, sha256: null },
      ...{ verification: 'sha1', ourStatus: 'downloaded', localPath: layout.relative(path) },
      ...{ sizeBytes: size, storedMtimeMs: mtimeMs, damagedAt: null },
    } as unknown as DumpFile);
  };
  for (let index = 0; index < largeFiles; index += 1)
    add(`aawiki-20261120-large${index}.bz2`, (path) => linkSync(file, path), 'not looked at');
  for (let index = 0; index < SMALL_FILES; index += 1) {
    const bytes = Buffer.alloc(SMALL_BYTES, index + 1);
    const sha1 = createHash('sha1').update(bytes).digest('hex');
    add(`aawiki-20261120-small${index}.gz`, (path) => writeFileSync(path, bytes), sha1);
  }
  const room = createTorrenting({
    catalog: {
      dumpFile: () => null,
      reopenDumpFile: () => {},
      recordDamaged: () => false,
      recordSound: () => true,
      dumpFiles: () => rows,
      runFiles: () => rows,
      pieceHashes: (id) => (id <= largeFiles ? { pieceLength: PIECE_LENGTH, sha1s } : null),
      runs: () => [],
      wikis: () => [],
      cycle: () => null,
      replacements: () => new Map(),
      carriedFiles: () => new Map(),
      torrentFiles: () => [],
      torrentGaps: () => [],
      torrents: (): Torrent[] => [],
      torrentsOfCycle: () => [],
      *prepareTorrent() {},
      recordTorrent: () => {
        throw new Error('nothing is recorded here');
      },
    },
    disk: createNodeDisk(),
    layout,
    clock: createSystemClock(),
    log: silentLog,
    askForRepair: () => {},
    config: {
      pieceLengthBytes: PIECE_LENGTH,
      alignFilesFromBytes: 64 * MIB,
      ...{ regularTypes: [], historyTypes: [], trackers: [], version: 'bench' },
    },
  });
  const make = async (): Promise<CreateTorrentOutput> =>
    (await room.handlers[0]!.run(
      { cycleDate: CYCLE, variant: 'regular', supplement: 0 },
      {
        ...{ jobId: JobId.parse(1), attempt: 1, signal: new AbortController().signal, cursor: null },
        ...{ clock: createSystemClock(), log: silentLog, progress: () => {} },
      },
    )) as CreateTorrentOutput;
  return {
    make,
    torrents: layout.torrents,
    payloadBytes: rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

/** Half a piece more, as a real file would end. @returns the piece hashes with that of the short last piece */
export function appendTail(file: string, digests: Buffer): Buffer {
  const tail = Buffer.alloc(PIECE_LENGTH / 2, 'tail');
  const fd = openSync(file, 'a');
  for (let written = 0; written < tail.length; ) written += writeSync(fd, tail, written);
  closeSync(fd);
  return Buffer.concat([digests, createHash('sha1').update(tail).digest()]);
}
