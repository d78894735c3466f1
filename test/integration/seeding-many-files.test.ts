import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { has } from '../helpers/needs.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { aria2, startTracker } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: a torrent of 30,000 files is loaded and served to the last byte with few open files.
 * Method: small real files, the real thread, aria2c; open descriptors of this process are counted all the while.
 */

const FILES = 30_000;
const FOLDERS = 100;
const HANDLES_MAX = 256;

function contentOf(index: number): Buffer {
  // From empty to a little more than two hash blocks, so that most files share their piece with others.
  return Buffer.from(`${'0123456789abcdef'.repeat(index % 9)}${index}`.slice(0, index % 150));
}

it.skipIf(!has('aria2c') || process.platform !== 'linux')(
  'a torrent of 30,000 files is served whole with at most 256 open files',
  async () => {
    const contentRoot = temporaryFolder();
    const tracker = await startTracker();
    for (let folder = 0; folder < FOLDERS; folder += 1)
      mkdirSync(join(contentRoot, 'many', String(folder)), { recursive: true });
    const whole = createHash('sha1');
    const files = Array.from({ length: FILES }, (_, index) => {
      const path = `${index % FOLDERS}/${index}.sql`;
      const bytes = contentOf(index);
      writeFileSync(join(contentRoot, 'many', path), bytes);
      whole.update(bytes);
      return { path, sizeBytes: bytes.length };
    });
    const torrent = makePlainTorrent({
      ...{ contentRoot, name: 'many', pieceLength: 2 ** 15, trackers: [tracker.url], files },
    });

    const { seeder } = embeddedSeeder();
    const began = performance.now();
    await seeder.start([specOf(torrent)]);
    const loadedMs = performance.now() - began;
    expect(await seeder.snapshot()).toMatchObject([{ state: 'seeding', problem: null }]);
    // Far from what it takes, but far from a load that does one thing after the other, too.
    expect(loadedMs).toBeLessThan(15_000);

    const before = openOf(contentRoot).all;
    const counts = { looks: 0, mostOfTorrent: 0, most: 0 };
    const target = temporaryFolder();
    let isOver = false;
    const client = aria2(torrent.torrentFile, target, 60).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const { all, ofTorrent } = openOf(contentRoot);
      counts.looks += 1;
      counts.most = Math.max(counts.most, all - before);
      counts.mostOfTorrent = Math.max(counts.mostOfTorrent, ofTorrent);
      // Looking is what this loop is for; the wait only leaves the machine to those who are looked at.
      await pause(2);
    }
    const { code, output } = await client;
    expect(code, output).toBe(0);
    const received = createHash('sha1');
    for (const { path } of files) received.update(readFileSync(join(target, 'many', path)));
    expect(received.digest('hex')).toBe(whole.digest('hex'));
    expect(counts.looks).toBeGreaterThan(100);
    expect(counts.mostOfTorrent).toBeGreaterThan(0);
    expect(counts.most).toBeLessThanOrEqual(HANDLES_MAX);
  },
  120_000,
);

/** Open descriptors of this process, its threads included. */
function openOf(contentRoot: string): { all: number; ofTorrent: number } {
  const descriptors = readdirSync('/proc/self/fd');
  let ofTorrent = 0;
  for (const descriptor of descriptors) {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(contentRoot)) ofTorrent += 1;
    } catch {
      // Closed meanwhile.
    }
  }
  return { all: descriptors.length, ofTorrent };
}
