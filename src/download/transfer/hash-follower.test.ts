import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/helpers/fake-clock.ts';
import type { HashLane, HashLibrary, HashState } from '../hashing/index.ts';
import { createHashFollower } from './hash-follower.ts';
import { createHeldRanges } from './held-ranges.ts';
import type { PartFile } from './part-file.ts';

/** Goal: which library hashes a file, what it begins with, and when receiving waits for it. Method: a lane that only takes notes. */

const MB = 1_000_000;
const SEGMENT = 100 * MB;
const SAVED: HashState = { md5: { bytes: 5000 * MB, states: [''], pieceSha1s: '' }, sha: null };

function followed(options: { sizeBytes?: number; heldBytes?: number; savedHashing?: HashState } = {}) {
  const { sizeBytes = 20_000 * MB, heldBytes = 0, savedHashing = null } = options;
  const clock = new FakeClock();
  const held = createHeldRanges();
  held.add({ startBytes: 0, endBytes: heldBytes, giver: 'origin' });
  const begun: { library: HashLibrary; from: HashState | null }[] = [];
  const waits: number[] = [];
  const at = { hashedBytes: 0 };
  const lane = {
    begin: (work: { library: HashLibrary; from: HashState | null }) => {
      begun.push({ library: work.library, from: work.from });
      at.hashedBytes = work.from?.md5?.bytes ?? 0;
    },
    upTo: () => {},
    hashedBytes: () => at.hashedBytes,
    within: async (lagBytes: number) => void waits.push(lagBytes),
    state: () => SAVED,
  } as unknown as HashLane;
  const part = { held, savedHashing, path: 'f', facts: { sizeBytes } } as unknown as PartFile;
  const follower = createHashFollower({
    ...{ lane, part, clock },
    pieceLengthBytes: 16 * MB,
    segmentBytes: SEGMENT,
  });
  return {
    ...{ follower, begun, waits, at, clock },
    libraries: () => begun.map(({ library }) => library),
    /** Receives at a speed; hashing keeps up unless told otherwise. */
    async receive(seconds: number, bytesPerSecond: number, keepsUp = true) {
      for (let second = 0; second < seconds; second += 1) {
        const startBytes = held.watermark();
        await clock.advance(1000);
        held.add({ startBytes, endBytes: startBytes + bytesPerSecond, giver: 'origin' });
        if (keepsUp) at.hashedBytes = held.watermark();
        follower.grew();
      }
    },
  };
}

test('a fast file is hashed by the fast library from end to end, and has no state', async () => {
  const { receive, libraries, follower } = followed();
  await receive(180, 100 * MB);
  expect(libraries()).toEqual(['openssl']);
  expect(follower.state()).toBeNull();
});

test('a slow one by the one whose state can be saved, nearly from the beginning', async () => {
  const { receive, libraries, follower } = followed();
  await receive(2, 5 * MB);
  expect(libraries()).toEqual(['openssl', 'wasm']);
  expect(follower.state()).toBe(SAVED);
});

test('one that becomes slow gets a state a minute later, and receiving does not wait for that', async () => {
  const { receive, libraries, follower, waits } = followed();
  await receive(60, 100 * MB);
  await receive(58, 5 * MB);
  expect(libraries()).toEqual(['openssl']);
  await receive(32, 5 * MB, false);
  expect(libraries()).toEqual(['openssl', 'wasm']);
  expect(follower.state()).toBe(SAVED);
  expect(waits).toEqual([]);
  await follower.catchUp();
  expect(waits, 'a stop does not wait for minutes either').toEqual([]);
  // The gap may not become larger than it was.
  await receive(60, 5 * MB, false);
  expect(waits.length).toBeGreaterThan(0);
});

test('a hiccup changes nothing: half a minute, or silence however long', async () => {
  const { receive, libraries, clock } = followed();
  await receive(60, 100 * MB);
  await receive(29, 1 * MB);
  await receive(31, 100 * MB);
  await clock.advance(600_000);
  await receive(40, 100 * MB);
  expect(libraries()).toEqual(['openssl']);
});

test('nothing is hashed again for a rest that is here sooner', async () => {
  // 10 s are left at the slow speed, and hashing again takes a minute.
  const { receive, libraries } = followed({ sizeBytes: 7500 * MB });
  await receive(60, 100 * MB);
  await receive(95, 15 * MB);
  expect(libraries()).toEqual(['openssl']);
});

test('once its state was saved it stays with that library, which goes on from there', async () => {
  const { receive, begun } = followed({ heldBytes: 5000 * MB, savedHashing: SAVED });
  await receive(60, 100 * MB);
  expect(begun).toEqual([{ library: 'wasm', from: SAVED }]);
});

test('of a file of which much is there nothing is hashed before its speed is known', async () => {
  const { receive, libraries, waits } = followed({ heldBytes: 5000 * MB });
  expect(libraries()).toEqual([]);
  await receive(10, 5 * MB, false);
  expect(libraries()).toEqual(['wasm']);
  expect(waits, 'what was there before is not waited for').toEqual([]);
});

test('receiving waits for hashing that falls behind', async () => {
  const { receive, waits } = followed();
  await receive(2, 100 * MB);
  expect(waits).toEqual([]);
  await receive(3, 100 * MB, false);
  expect(waits).toEqual([256 * 1024 * 1024]);
});
