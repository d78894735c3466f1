// How fast does the embedded seeder give 2 GiB to one client, at what cost, and how soon are 3 TB in 30,000 files served?
import { randomFillSync } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createLifetime } from '../test/helpers/clients/lifetime.ts';
import { canMakeNamespaces, createNamespace } from '../test/helpers/clients/namespace.ts';
import { startQbittorrent } from '../test/helpers/clients/qbittorrent.ts';
import { startTracker } from '../test/helpers/clients/tracker.ts';
import { startTransmission } from '../test/helpers/clients/transmission.ts';
import { has } from '../test/helpers/needs.ts';
import { makePlainTorrent, type PlainTorrent } from '../test/helpers/plain-torrent.ts';
import { figureOf, median } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';
import { load, makeHugeTorrent } from './seeding-load.ts';
import { ourSide, programSide, type Side, type Transferred, transfer } from './seeding-sides.ts';

/*
 * Expected: of 2 GiB each byte is read, hashed with SHA-1 (1 s for a core), checked with CRC-32 (0.5 s), copied twice and written to a
 * socket in 131,072 blocks, whose messages cost JavaScript some 30 us each: 4 s. aria2c takes and hashes them beside that: 4 to 6 s, so
 * some 400 MB/s on two idle cores. Loading: 30,000 looks at files 0.5 s, 180,000 pieces and their hashes as strings 1 s.
 */

const GIB = 2 ** 30;
const SIZE_BYTES = 2 * GIB;
const FILES = 8;
const PIECE_LENGTH = 2 ** 22;
const ROUNDS = 3;

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  const shared = createLifetime();
  // Undone at once where that is possible: the programs are killed, the network goes.
  process.once('exit', () => void shared.end());
  try {
    const namespace = has('transmission-daemon') && canMakeNamespaces() ? createNamespace(shared) : null;
    const host = namespace?.hostAddress ?? '127.0.0.1';
    const tracker = await startTracker(shared, host);
    note('writing 2 GiB and hashing it');
    const torrent = makeSeeded(folder, tracker.url);
    const others: Side[] = [
      ...(has('qbittorrent-nox') ? [programSide('qbittorrent-nox', startQbittorrent)] : []),
      ...(namespace === null
        ? []
        : [programSide('transmission-daemon', (lifetime) => startTransmission(lifetime, namespace))]),
    ];
    const sides = has('aria2c') ? [ourSide(host), ...others] : [];
    const rounds = new Map<string, Transferred[]>(sides.map(({ name }) => [name, []]));
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const side of sides.filter(({ name }) => rounds.has(name))) {
        const seen = new Set(tracker.peers(torrent.infoHash).seeders);
        const target = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : folder, 'wikiseed-bench-'));
        // Also after Ctrl-C: it may lie outside the folder that is removed then.
        const removeTarget = (): void => rmSync(target, { recursive: true, force: true });
        process.once('exit', removeTarget);
        try {
          const isOffered = (): boolean =>
            tracker.peers(torrent.infoHash).seeders.some((port) => !seen.has(port));
          const result = await transfer(side, torrent, { target, isOffered });
          rounds.get(side.name)!.push(result);
          note(
            `round ${round}, ${side.name}: ${result.mbPerSecond.toFixed(0)} MB/s, ${result.cpuSeconds.toFixed(1)} s of CPU`,
          );
        } catch (error) {
          if (side === sides[0]) throw error;
          // One that gives nothing here is no measure; the others are.
          note(`${side.name} is left out: ${error instanceof Error ? error.message : String(error)}`);
          rounds.delete(side.name);
        } finally {
          removeTarget();
          process.off('exit', removeTarget);
        }
      }
    }
    note('30,000 files of 3 TB together, all holes');
    const huge = makeHugeTorrent(join(folder, 'sparse'));
    const loads = [];
    for (let round = 0; round < ROUNDS; round += 1) loads.push(await load(huge));
    return { figures: [...transferFigures(rounds), ...loadFigures(loads)] };
  } finally {
    await shared.end();
  }
}

function transferFigures(rounds: ReadonlyMap<string, readonly Transferred[]>) {
  const ours = rounds.get('WikiSeed') ?? [];
  if (ours.length === 0) return [];
  const others = [...rounds].filter(([name]) => name !== 'WikiSeed');
  const speeds = (of: readonly Transferred[]): number[] => of.map(({ mbPerSecond }) => mbPerSecond);
  const costs = (of: readonly Transferred[]): number[] => of.map(({ cpuSeconds }) => cpuSeconds);
  const [fastest] = [...others].sort(([, a], [, b]) => median(speeds(b)) - median(speeds(a)));
  return [
    figureOf({
      name: `2 GiB to one aria2c, against the faster (${fastest?.[0] ?? 'none is installed'})`,
      ...{
        unit: 'MB/s',
        better: 'high',
        ours: speeds(ours),
        theirs: fastest === undefined ? null : speeds(fastest[1]),
      },
      target: { of: 'ratio', bound: '>= 0.7' },
    }),
    ...others.flatMap(([name, theirs]) => [
      ...(name === fastest?.[0]
        ? []
        : [
            figureOf({
              ...{ name: `2 GiB to one aria2c, against ${name}`, unit: 'MB/s', better: 'high' as const },
              ...{ ours: speeds(ours), theirs: speeds(theirs) },
            }),
          ]),
      figureOf({
        ...{ name: `processor time for that, against ${name}`, unit: 's', better: 'low' as const },
        ...{ ours: costs(ours), theirs: costs(theirs) },
      }),
    ]),
  ];
}

function loadFigures(loads: readonly { seconds: number; longestBlockMs: number; moreMemoryMb: number }[]) {
  const of = (name: string, unit: string, ours: number[], bound: string, what: 'ours' | 'worst' = 'worst') =>
    figureOf({
      name: `3 TB in 30,000 files, ${name}`,
      unit,
      better: 'low',
      ours,
      target: { of: what, bound },
    });
  return [
    of(
      'until it is served',
      's',
      loads.map(({ seconds }) => seconds),
      '< 3',
      'ours',
    ),
    of(
      'longest block of the main thread',
      'ms',
      loads.map(({ longestBlockMs }) => longestBlockMs),
      '<= 50',
    ),
    // Later rounds find memory that the first one left to the process.
    of('more memory at most', 'MB', [Math.max(...loads.map(({ moreMemoryMb }) => moreMemoryMb))], '< 400'),
  ];
}

function makeSeeded(folder: string, trackerUrl: string): PlainTorrent {
  mkdirSync(join(folder, 'seeded'));
  const part = Buffer.alloc(2 ** 26);
  const files = Array.from({ length: FILES }, (_, index) => {
    const path = `aawiki-20261120-pages-${index}.xml.bz2`;
    const file = openSync(join(folder, 'seeded', path), 'w');
    for (let done = 0; done < SIZE_BYTES / FILES; done += part.length) writeSync(file, randomFillSync(part));
    closeSync(file);
    return { path, sizeBytes: SIZE_BYTES / FILES };
  });
  return makePlainTorrent({
    ...{ contentRoot: folder, name: 'seeded', files, pieceLength: PIECE_LENGTH, trackers: [trackerUrl] },
  });
}
