// How fast is a torrent made of files whose hashes the download stored, and how fast are piece hashes of a file that must be
// read from disk? Both next to mktorrent with as many threads.
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hashPieces } from '../src/torrenting/piece-hasher.ts';
import { figureOf } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';
import { measureLarge } from './torrent-large.ts';
import { appendTail, measureStored } from './torrent-stored.ts';

/*
 * Expected: one core hashes SHA-1 at 1 to 2 GB/s with the processor's own instructions, so two threads reach 2 to 3 GB/s
 * from memory, the same as mktorrent: both call OpenSSL. From a cold file the disk decides, for both alike. Starting our
 * threads costs some 50 ms, a tenth of one GiB: that is where we can lose.
 *
 * A torrent of downloaded files costs us the start of one thread, the last piece of each large file, the small files and
 * the folder of links, whatever the large files weigh: 16 GiB of them should take 0.2 to 0.3 s, and mktorrent 6 to 8 s.
 */

const execute = promisify(execFile);

const MIB = 2 ** 20;
const SIZE_BYTES = 1024 * MIB;
const PIECE_LENGTH = 16 * MIB;
/** mktorrent takes the power of two: 2^24 = 16 MiB. */
const PIECE_LENGTH_EXPONENT = '24';
const ROUNDS = 5;
/** hashPieces uses no more than eight. */
const THREADS = Math.min(availableParallelism(), 8);

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  note('writing 1 GiB');
  const file = join(folder, 'content.bin');
  writeRandomFile(file);
  const version = await mktorrentVersion();
  if (version === null) note('mktorrent is not installed: there is nothing to compare with');
  const isCoolable = await cool(file);
  if (!isCoolable) note('the file cannot be dropped from the page cache here: only warm rounds');

  const digests = await hash(file);
  if (version !== null && !(await makeTorrent(folder, file)).includes(digests))
    throw new Error('mktorrent found other piece hashes');

  const measure = async (isCold: boolean): Promise<{ ours: number[]; theirs: number[] | null }> => {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const mine = (): Promise<number> => speedOf(() => hash(file));
      const peers = (): Promise<number> => speedOf(() => makeTorrent(folder, file));
      // The first one changes from round to round: below us may be another cache that remembers the last reader.
      const order = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
      for (const side of order) {
        if (side === 'theirs' && version === null) continue;
        if (isCold) await cool(file);
        if (side === 'ours') ours.push(await mine());
        else theirs.push(await peers());
      }
    }
    return { ours, theirs: version === null ? null : theirs };
  };

  note(`${ROUNDS} rounds each, ${THREADS} threads`);
  // Warm-up apart: the first reading after writing fills the caches below us.
  await hash(file);
  const cold = isCoolable ? await measure(true) : null;
  await hash(file);
  const warm = await measure(false);
  const facts = { unit: 'MiB/s', better: 'high' } as const;
  const target = { of: 'ratio', bound: '>= 0.9' } as const;
  const stored = { folder, file, note, hasPeer: version !== null, digests: appendTail(file, digests) };
  return {
    figures: [
      ...(cold === null
        ? []
        : [figureOf({ name: 'piece hashes of 1 GiB, cold file', ...facts, ...cold, target })]),
      figureOf({ name: 'piece hashes of 1 GiB, file in the page cache', ...facts, ...warm, target }),
      ...(await measureStored({ ...stored, largeFiles: 4, target: '>= 20' })),
      ...(await measureStored({ ...stored, largeFiles: 16 })),
      ...(await measureLarge({ folder, note })),
    ],
    versions: version === null ? {} : { mktorrent: version },
  };
}

function writeRandomFile(path: string): void {
  const fd = openSync(path, 'w');
  const block = Buffer.alloc(64 * MIB);
  for (let done = 0; done < SIZE_BYTES; done += block.length) {
    randomFillSync(block);
    for (let written = 0; written < block.length; ) written += writeSync(fd, block, written);
  }
  // Pages that are not written yet cannot be dropped from the cache.
  fsyncSync(fd);
  closeSync(fd);
}

/**
 * Drops the file from the page cache; false where that is not possible. `dd` of GNU coreutils is the one ordinary program
 * that gives this advice to the system without special rights.
 */
async function cool(path: string): Promise<boolean> {
  try {
    await execute('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
    return true;
  } catch {
    return false;
  }
}

async function hash(path: string): Promise<Buffer> {
  const digests = await hashPieces({
    files: [{ absolutePath: path, sizeBytes: SIZE_BYTES }],
    pieceLength: PIECE_LENGTH,
    signal: new AbortController().signal,
    threads: THREADS,
  });
  return Buffer.from(digests);
}

/** The `.torrent` file; mktorrent refuses to overwrite one, so it is removed at once. */
async function makeTorrent(folder: string, path: string): Promise<Buffer> {
  const output = join(folder, 'peer.torrent');
  const announce = 'http://127.0.0.1:1/announce';
  const options = ['-t', String(THREADS), '-l', PIECE_LENGTH_EXPONENT, '-a', announce, '-o', output];
  await execute('mktorrent', [...options, path]);
  const torrent = readFileSync(output);
  rmSync(output);
  return torrent;
}

async function mktorrentVersion(): Promise<string | null> {
  try {
    const { stdout } = await execute('mktorrent', ['-h']);
    return /mktorrent (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  } catch (error) {
    // Some versions print their help and then report failure; only a missing program means that there is no peer.
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? null : 'unknown';
  }
}

/** MiB per second of hashing the file once. */
async function speedOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return SIZE_BYTES / MIB / ((performance.now() - startedMs) / 1000);
}
