import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { silentLog } from '../../ports/index.ts';
import { createHashLanes, type HashLane, type HashState } from './index.ts';

/** Goal: both libraries say what OpenSSL says in one piece, and nothing that was hashed before is read again. Real threads and files. */

const folder = mkdtempSync(join(tmpdir(), 'wikiseed-hashing-'));
const path = join(folder, 'file');
const lanes = createHashLanes({ log: silentLog });
afterAll(async () => {
  await lanes.stop();
  rmSync(folder, { recursive: true, force: true });
});
const PIECE = 100_000;
const CONTENT = randomBytes(1_050_000);
const signal = new AbortController().signal;
const hex = (algorithm: string, bytes: Uint8Array): string =>
  createHash(algorithm).update(bytes).digest('hex');

function expected(content: Buffer) {
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; at += PIECE)
    pieces.push(
      createHash('sha1')
        .update(content.subarray(at, at + PIECE))
        .digest(),
    );
  return {
    md5: hex('md5', content),
    sha1: hex('sha1', content),
    sha256: hex('sha256', content),
    pieceSha1s: Buffer.concat(pieces),
  };
}

describe.each(['openssl', 'wasm'] as const)('%s', (library) => {
  test.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, CONTENT.length])('%i bytes', async (size) => {
    const content = CONTENT.subarray(0, size);
    writeFileSync(path, content);
    const digests = await lanes.use((lane) => {
      lane.begin({ path, pieceLengthBytes: PIECE, library, from: null });
      // Learns bit by bit how far it may read.
      for (const upTo of [1, PIECE / 2, 2 * PIECE + 7, size]) lane.upTo(Math.min(upTo, size));
      return lane.finish(signal);
    });
    expect(digests).toEqual(expected(content));
  });
});

/** State behind the last whole piece of the first `bytes`. */
async function stateAt(lane: HashLane, bytes: number): Promise<HashState | null> {
  lane.begin({ path, pieceLengthBytes: PIECE, library: 'wasm', from: null });
  lane.upTo(bytes);
  await lane.within(0);
  return lane.state();
}

test('goes on from a saved state without reading what lies before it', async () => {
  for (const bytes of [PIECE, 5 * PIECE + 3, 10 * PIECE]) {
    writeFileSync(path, CONTENT);
    const saved = JSON.parse(JSON.stringify(await lanes.use((lane) => stateAt(lane, bytes))));
    const from = Math.floor(bytes / PIECE) * PIECE;
    expect(saved).toMatchObject({ md5: { bytes: from }, sha: { bytes: from } });
    // Whoever reads the old part gets other bytes.
    writeFileSync(path, Buffer.concat([Buffer.alloc(from, 7), CONTENT.subarray(from)]));
    const digests = await lanes.use((lane) => {
      lane.begin({ path, pieceLengthBytes: PIECE, library: 'wasm', from: saved });
      lane.upTo(CONTENT.length);
      return lane.finish(signal);
    });
    expect(digests).toEqual(expected(CONTENT));
  }
});

test('a state that the library does not know begins at 0', async () => {
  writeFileSync(path, CONTENT);
  const strange = { bytes: 5 * PIECE, states: ['AAAA', 'AAAA'], pieceSha1s: '' };
  const digests = await lanes.use((lane) => {
    lane.begin({ path, pieceLengthBytes: PIECE, library: 'wasm', from: { md5: strange, sha: strange } });
    lane.upTo(CONTENT.length);
    return lane.finish(signal);
  });
  expect(digests).toEqual(expected(CONTENT));
});

test('a lane that was given back in the middle of a file serves the next one', async () => {
  writeFileSync(path, CONTENT);
  for (let round = 0; round < 5; round += 1) {
    await lanes.use(async (lane) => {
      lane.begin({ path, pieceLengthBytes: PIECE, library: 'openssl', from: null });
      lane.upTo(CONTENT.length);
    });
    const controller = new AbortController();
    await lanes.use(async (lane) => {
      lane.begin({ path, pieceLengthBytes: PIECE, library: 'openssl', from: null });
      const over = lane.finish(controller.signal);
      controller.abort();
      lane.upTo(CONTENT.length);
      await expect(over).rejects.toMatchObject({ code: 'interrupted' });
    });
    const digests = await lanes.use((lane) => {
      lane.begin({ path, pieceLengthBytes: PIECE, library: 'openssl', from: null });
      lane.upTo(1000);
      return lane.finish(signal);
    });
    expect(digests.md5).toBe(hex('md5', CONTENT.subarray(0, 1000)));
  }
});

test('a file that ends too soon, or is not there, says so', async () => {
  writeFileSync(path, CONTENT);
  const ask = (name: string, upTo: number) =>
    lanes.use((lane) => {
      lane.begin({ path: name, pieceLengthBytes: PIECE, library: 'openssl', from: null });
      lane.upTo(upTo);
      return lane.finish(signal);
    });
  await expect(ask(path, CONTENT.length + 1)).rejects.toMatchObject({ code: 'short_file' });
  await expect(ask(join(folder, 'none'), 1)).rejects.toMatchObject({ code: 'ENOENT' });
  expect((await ask(path, CONTENT.length)).md5).toBe(hex('md5', CONTENT));
});
