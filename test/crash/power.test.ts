import { existsSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  crashSeed,
  expectNoProblems,
  isExhaustive,
  runAll,
  runUndisturbed,
  type TrialOptions,
} from '../helpers/kill-trial.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/**
 * Goal: when the power fails, commits since the last fsync may be gone, but the database opens and says nothing false.
 * Method: SIGKILL after a random write, then the end of the write-ahead log is cut off: in the middle of its last frame, at
 * half, or all of it. Every claim left in the database is compared with disk and outside, and the next life must end like
 * an undisturbed run. Fault budget: with `synchronous=NORMAL` SQLite syncs the log only at a checkpoint, so any tail of it
 * can be lost, but never its middle alone.
 */

/** Bytes of the log's header, and of a frame: 24 and a page of 4 KiB. */
const HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 4096;

const CUTS = {
  'in the last frame': (sizeBytes: number) => sizeBytes - FRAME_BYTES / 2,
  'at half': (sizeBytes: number) =>
    HEADER_BYTES + Math.floor((sizeBytes - HEADER_BYTES) / FRAME_BYTES / 2) * FRAME_BYTES,
  completely: () => 0,
};

test(
  'after a power cut nothing in the database is false, and the work goes on',
  async () => {
    const reference = await runUndisturbed();
    const random = seededRandom(crashSeed);
    let cutCount = 0;
    const trials = Object.values(CUTS)
      .flatMap((cut) => Array.from({ length: isExhaustive ? 12 : 1 }, () => cut))
      .map((cut): TrialOptions => {
        // From the migration on, and before the end: earlier there is no log, later the run may be over.
        const write = Math.ceil(reference.points.writes * (0.2 + 0.6 * random.next()));
        return {
          next: (index) => (index === 0 ? { write } : null),
          onDeath({ dataDir }) {
            const path = join(dataDir, 'db', 'jobs.db-wal');
            const sizeBytes = existsSync(path) ? statSync(path).size : 0;
            if (sizeBytes <= HEADER_BYTES) return;
            truncateSync(path, cut(sizeBytes));
            cutCount += 1;
          },
        };
      });
    const results = await runAll(reference, trials);
    expectNoProblems(results);
    expect(cutCount, 'logs that were really cut').toBeGreaterThanOrEqual(trials.length * 0.6);
  },
  isExhaustive ? 1_800_000 : 600_000,
);
