// Goal: whoever asks `/webseed/` for bytes and hangs up leaves nothing behind: no open file, no proof that waits, and no place for more
// while the disk still reads for him. Method: the real server and room over a disk that gives no byte until it is told to.
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { expect, test } from 'vitest';
import { createNodeDisk, type Disk } from '../../src/ports/index.ts';
import { eventually } from '../helpers/eventually.ts';
import { webseedWorld } from '../helpers/webseed-bundle.ts';
import { ALONE, LARGE, SMALL, serve } from '../helpers/webseed-server.ts';

const PIECE = 2 ** 20;
const PIECES = 12;
const PATH = `enwiki/20261120/${LARGE}`;

/** A disk whose files are opened, and read when they are let; `begun` are the first bytes that were asked for. */
function heldDisk() {
  const facts = { open: 0, openMax: 0, begun: [] as number[] };
  const gate = Promise.withResolvers<void>();
  const node = createNodeDisk();
  const disk: Disk = {
    ...node,
    async open(path, mode) {
      const file = await node.open(path, mode);
      facts.open += 1;
      facts.openMax = Math.max(facts.openMax, facts.open);
      return {
        ...file,
        async read(target, position) {
          facts.begun.push(position);
          await gate.promise;
          return await file.read(target, position);
        },
        async close() {
          // A busy disk takes its time: clients must not be faster.
          for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          await file.close();
          facts.open -= 1;
        },
      };
    },
  };
  return { disk, facts, release: () => gate.resolve() };
}

/** A file whose pieces are known, on such a disk; two places for each client. */
async function heldServer() {
  const world = webseedWorld([
    [LARGE, PIECES * PIECE],
    [SMALL, 5],
  ]);
  world.runTorrent();
  const file = world.files.get(LARGE) as { id: never; bytes: Buffer; path: string };
  const sha1s = Array.from({ length: PIECES }, (_, at) =>
    createHash('sha1')
      .update(file.bytes.subarray(at * PIECE, (at + 1) * PIECE))
      .digest(),
  );
  const { sqlite } = world.db;
  sqlite
    .prepare('UPDATE dumps SET stored_mtime_ms = ? WHERE id = ?')
    .run(statSync(file.path).mtimeMs, file.id);
  sqlite
    .prepare('INSERT INTO dump_piece_hashes (dump_id, piece_length, sha1s) VALUES (?, ?, ?)')
    .run(file.id, PIECE, Buffer.concat(sha1s));
  const held = heldDisk();
  const { url, repairs } = await serve(world, {
    ...{ config: ALONE, disk: held.disk, trustedProxies: ['127.0.0.1'] },
    limits: { maxRequestsPerClient: 2, maxRequests: 10 },
  });
  /** Asks for the first byte of a piece and reads the header. */
  const ask = (client: string, piece: number) =>
    new Promise<{ status: number; leave: () => void; byte: Promise<number | null> }>((resolve, reject) => {
      const headers = { range: `bytes=${piece * PIECE}-${piece * PIECE}`, 'x-forwarded-for': client };
      const asked = httpRequest(`${url}webseed/${PATH}`, { headers, agent: false }, (response) => {
        const byte = new Promise<number | null>((got) => {
          response.once('data', (chunk: Buffer) => got(chunk[0] ?? null));
          response.once('error', () => got(null));
        });
        resolve({ status: response.statusCode ?? 0, leave: () => asked.destroy(), byte });
      });
      asked.on('error', reject);
      asked.end();
    });
  const first = (piece: number) => file.bytes[piece * PIECE];
  return { ...held, ask, first, repairs };
}

const [GREEDY, HONEST] = ['192.0.2.1', '192.0.2.2'];

test('one client keeps no more files open than it has places, however often it hangs up', async () => {
  const { ask, facts, release, first, repairs } = await heldServer();
  const statuses: number[] = [];
  for (let round = 0; round < 40; round += 1) {
    const { status, leave } = await ask(GREEDY, round % PIECES);
    statuses.push(status);
    if (round < 2) await eventually(() => expect(facts.begun).toContain(round * PIECE));
    leave();
  }
  expect(facts.openMax).toBe(2);
  // Both are being read: that ends before they are closed, and their places are given back then.
  expect(facts.begun).toEqual([0, PIECE]);
  expect(statuses).toEqual([206, 206, ...Array<number>(38).fill(429)]);
  const honest = await ask(HONEST, 7);
  expect(honest.status).toBe(206);
  release();
  expect(await honest.byte).toBe(first(7));
  await eventually(() => expect(facts.open).toBe(0));
  const again = await ask(GREEDY, 8);
  expect([again.status, await again.byte]).toEqual([206, first(8)]);
  expect(repairs).toEqual([]);
});

test('who waits for a proof and hangs up gives back file and place while others are still proved', async () => {
  const { ask, facts, release, first, repairs } = await heldServer();
  const running = [await ask(HONEST, 0), await ask(HONEST, 1)];
  await eventually(() => expect(facts.begun).toEqual([0, PIECE]));
  for (let round = 0; round < 4; round += 1) {
    const waiting = [await ask(GREEDY, 2), await ask(GREEDY, 3)];
    expect(waiting.map(({ status }) => status)).toEqual([206, 206]);
    expect(facts.open).toBe(4);
    for (const { leave } of waiting) leave();
    await eventually(() => expect(facts.open).toBe(2));
  }
  release();
  expect(await Promise.all(running.map(({ byte }) => byte))).toEqual([first(0), first(1)]);
  await eventually(() => expect(facts.open).toBe(0));
  // Nothing was read for those who had left.
  expect(facts.begun.filter((position) => position >= 2 * PIECE)).toEqual([]);
  expect(repairs).toEqual([]);
});

test('a piece that two wait for is proved for the second when the first hangs up', async () => {
  const { ask, facts, release, first } = await heldServer();
  await ask('192.0.2.3', 0);
  await ask('192.0.2.4', 1);
  await eventually(() => expect(facts.begun).toEqual([0, PIECE]));
  const [leaves, stays] = [await ask(GREEDY, 5), await ask(HONEST, 5)];
  expect(facts.open).toBe(4);
  leaves.leave();
  await eventually(() => expect(facts.open).toBe(3));
  release();
  expect(await stays.byte).toBe(first(5));
  await eventually(() => expect(facts.open).toBe(0));
});

test('whoever has the last byte of an answer has its place, too', async () => {
  const { ask, release, first } = await heldServer();
  release();
  for (let round = 0; round < 60; round += 1) {
    const both = [await ask(GREEDY, round % PIECES), await ask(GREEDY, (round + 1) % PIECES)];
    expect(both.map(({ status }) => status)).toEqual([206, 206]);
    expect(await Promise.all(both.map(({ byte }) => byte))).toEqual([
      first(round % PIECES),
      first((round + 1) % PIECES),
    ]);
  }
});
