import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Wire } from 'webtorrent';
import type { SeederSettings } from '../../src/seeding/protocol.ts';
import { createWireLimits, type WireBounds } from '../../src/seeding/wire-limits.worker.ts';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { has } from '../helpers/needs.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { message, PIECE_ID, REJECT, rawPeer, request, UNCHOKE, u32 } from '../helpers/raw-peer.ts';
import { aria2, startTracker } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: a peer that asks without end and reads nothing costs a few megabytes, and others are served meanwhile.
 * Method: raw sockets against the real seeding thread, counted at the socket; and the bounds alone on a wire of which all is counted.
 */

const BLOCK = 2 ** 14;
const PIECE = 2 ** 18;
const FILE_BYTES = 64 * PIECE;
/** What the flooding test may use more; without bounds it is some 500 MB. */
const MEMORY_BYTES = 150e6;

async function seeded(settings: Partial<SeederSettings> = {}) {
  const contentRoot = temporaryFolder();
  const tracker = await startTracker();
  mkdirSync(join(contentRoot, 'flooded'));
  const bytes = randomBytes(FILE_BYTES);
  writeFileSync(join(contentRoot, 'flooded', 'dump.bz2'), bytes);
  const torrent = makePlainTorrent({
    ...{ contentRoot, name: 'flooded', pieceLength: PIECE, trackers: [tracker.url] },
    files: [{ path: 'dump.bz2', sizeBytes: FILE_BYTES }],
  });
  const { seeder } = embeddedSeeder({ settings });
  await seeder.start([specOf(torrent)]);
  return { seeder, torrent, bytes };
}

const tcpPeer = (port: number, infoHash: string, { fast }: { fast: boolean }) =>
  rawPeer(connect(port, '127.0.0.1'), { infoHash, pieces: FILE_BYTES / PIECE, fast });

describe('a peer that asks and does not read', () => {
  for (const [name, length, fast] of [
    ['ordinary blocks', BLOCK, false],
    ['ordinary blocks, and knows refusals', BLOCK, true],
    ['the largest blocks', 2 ** 17, false],
  ] as const) {
    it.skipIf(!has('aria2c'))(
      `is sent away while aria2c gets every byte: ${name}`,
      async () => {
        const { seeder, torrent, bytes } = await seeded();
        const flooder = tcpPeer(seeder.port()!, torrent.infoHash, { fast });
        await flooder.until(() => flooder.count(UNCHOKE) > 0);
        flooder.socket.pause();
        const before = process.memoryUsage().rss;
        const perPiece = PIECE / length;
        const asked = Array.from({ length: 4000 }, (_, at) =>
          // No two are the same: those would be answered once.
          request(Math.floor(at / perPiece) % 64, (at % perPiece) * length, length - Math.floor(at / 1000)),
        );
        flooder.socket.write(Buffer.concat(asked));
        const target = temporaryFolder();
        expect((await aria2(torrent.torrentFile, target)).code).toBe(0);
        expect(readFileSync(join(target, 'flooded', 'dump.bz2')).equals(bytes)).toBe(true);
        // Its end is behind what it did not read.
        flooder.socket.resume();
        await flooder.closed;
        expect(process.memoryUsage().rss - before).toBeLessThan(MEMORY_BYTES);
        expect(flooder.count(PIECE_ID)).toBeLessThan(asked.length);
        expect(seeder.restarts()).toBe(0);
      },
      60_000,
    );
  }

  it('asks for the torrent file without saying that it understands it, and ends nobody but itself', async () => {
    const { seeder, torrent } = await seeded();
    const strange = tcpPeer(seeder.port()!, torrent.infoHash, { fast: true });
    await strange.greeted;
    strange.socket.write(message(20, Buffer.of(1), Buffer.from('d8:msg_typei0e5:piecei0ee')));
    await strange.closed;
    const honest = tcpPeer(seeder.port()!, torrent.infoHash, { fast: true });
    await honest.until(() => honest.count(UNCHOKE) > 0);
    honest.socket.write(request(3, BLOCK, BLOCK));
    await honest.until(() => honest.count(PIECE_ID) === 1);
    expect(seeder.restarts()).toBe(0);
  }, 30_000);

  it('that asks for 64 KiB is refused, and goes on with less', async () => {
    const { seeder, torrent, bytes } = await seeded();
    const peer = tcpPeer(seeder.port()!, torrent.infoHash, { fast: true });
    await peer.until(() => peer.count(UNCHOKE) > 0);
    peer.socket.write(Buffer.concat([request(2, 0, 2 ** 16), request(2, 0, 2 ** 15)]));
    await peer.until(() => peer.count(PIECE_ID) === 1);
    expect(peer.messages.filter(({ id }) => id === REJECT).map(({ bytes: each }) => each)).toEqual([
      Buffer.concat([u32(2), u32(0), u32(2 ** 16)]),
    ]);
    const block = peer.messages.find(({ id }) => id === PIECE_ID)!.bytes.subarray(8);
    expect(block.equals(bytes.subarray(2 * PIECE, 2 * PIECE + 2 ** 15))).toBe(true);
  }, 30_000);
});

describe('more peers than there may be', () => {
  it('are sent away after their handshake, and the others are served', async () => {
    const { seeder, torrent } = await seeded({ maxConnections: 5 });
    const peers = Array.from({ length: 12 }, () => tcpPeer(seeder.port()!, torrent.infoHash, { fast: true }));
    const hears = (peer: (typeof peers)[number]) =>
      Promise.race([
        peer.until(() => peer.count(UNCHOKE) > 0).then(() => 'served'),
        peer.closed.then(() => 'sent away'),
      ]);
    const heard = await Promise.all(peers.map(hears));
    expect(heard.filter((each) => each === 'served')).toHaveLength(5);
    expect((await seeder.snapshot())[0]!.peers).toBe(5);
    // A place that is free again is another's.
    peers[heard.indexOf('served')]!.socket.destroy();
    await expect.poll(async () => (await seeder.snapshot())[0]!.peers).toBe(4);
    expect(await hears(tcpPeer(seeder.port()!, torrent.infoHash, { fast: true }))).toBe('served');
  }, 30_000);

  it('are not let in at all when a thousand hold their tongue, and are when those are gone', async () => {
    const { seeder, torrent } = await seeded();
    const silent = Array.from({ length: 1000 }, () => connect(seeder.port()!, '127.0.0.1'));
    onTestFinished(() => silent.forEach((socket) => void socket.destroy()));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    const refused = tcpPeer(seeder.port()!, torrent.infoHash, { fast: true });
    await refused.closed;
    expect(refused.messages).toEqual([]);
    silent[0]!.destroy();
    const served = async () => {
      const peer = tcpPeer(seeder.port()!, torrent.infoHash, { fast: true });
      return Promise.race([peer.greeted.then(() => true), peer.closed.then(() => false)]);
    };
    await expect.poll(served).toBe(true);
  }, 30_000);
});

/** As much of a wire as the bounds touch; what goes out is taken when the test says so. */
class CountedWire extends EventEmitter {
  amChoking = false;
  hasFast = true;
  extendedHandshake: { reqq?: number } = {};
  ut_metadata = {
    _onRequest: (part: number) => {
      this.given.push(part);
      this.push(Buffer.alloc(BLOCK));
    },
  };
  readonly given: number[] = [];
  readonly out: Uint8Array[] = [];
  readonly pieces: number[] = [];
  readonly rejected: number[] = [];
  /** Reads that go on. */
  readonly reading: {
    offset: number;
    length: number;
    done: (error: Error | null, bytes?: Buffer) => void;
  }[] = [];
  isDestroyed = false;
  _onRequest = (_index: number, _offset: number, _length: number): void => {};
  _onMessageLength = (_bytes: Uint8Array): void => {};

  constructor() {
    super();
    this.on('request', (_index, offset, length, done) => void this.reading.push({ offset, length, done }));
  }
  push(data: Uint8Array | null): boolean {
    if (data !== null) this.out.push(data);
    return true;
  }
  piece(_index: number, offset: number, bytes: Uint8Array): void {
    this.pieces.push(offset);
    this.push(bytes);
  }
  reject(_index: number, offset: number, _length: number): void {
    this.rejected.push(offset);
    this.push(Buffer.alloc(17));
  }
  choke(): void {
    this.amChoking = true;
  }
  destroy(): void {
    this.isDestroyed = true;
  }
  /** The store gives what is being read. */
  readAll(error: Error | null = null): void {
    for (const { length, done } of this.reading.splice(0)) {
      if (error === null) done(null, Buffer.alloc(length));
      else done(error);
    }
  }
  /** The peer takes what was pushed. */
  takeAll(): void {
    for (const data of this.out.splice(0)) this.emit('data', data);
  }
  ask(count: number, from = 0): void {
    for (let at = from; at < from + count; at += 1) this._onRequest(0, at, BLOCK);
  }
}

const SMALL: WireBounds = {
  ...{ requestsWelcome: 20, requestsMax: 40, refusalsMax: 10, blockBytesMax: 2 * BLOCK },
  ...{ bytesPerPeer: 4.5 * BLOCK, bytesOfAll: 10 * BLOCK, bytesAlways: 1.5 * BLOCK },
};

function watched(count: number) {
  const limits = createWireLimits(SMALL);
  const wires = Array.from({ length: count }, () => new CountedWire());
  for (const wire of wires) limits.watch(wire as unknown as Wire);
  return { limits, wires, wire: wires[0]! };
}

describe('the bounds of a wire', () => {
  it('has as much read as the peer takes, in the order it was asked for', () => {
    const { limits, wire } = watched(1);
    expect(wire.extendedHandshake.reqq).toBe(20);
    wire.ask(20);
    expect(wire.reading).toHaveLength(4);
    for (let round = 0; round < 3; round += 1) wire.readAll();
    // Not taken yet.
    expect(wire.pieces).toEqual([0, 1, 2, 3]);
    for (let round = 0; round < 4; round += 1) {
      wire.takeAll();
      wire.readAll();
    }
    wire.takeAll();
    expect(wire.pieces).toEqual([...Array(20).keys()]);
    expect(limits.heldBytes).toBe(0);
    expect(wire.isDestroyed).toBe(false);
  });

  it('refuses what is too much, and sends away who does not stop', () => {
    const { limits, wire } = watched(1);
    wire.ask(50);
    expect(wire.rejected).toEqual([40, 41, 42, 43, 44, 45, 46, 47, 48, 49]);
    expect(limits.sentAway).toBe(0);
    wire.ask(1, 50);
    expect(wire.isDestroyed).toBe(true);
    expect(limits.sentAway).toBe(1);
    wire.ask(5, 100);
    expect(wire.reading).toHaveLength(4);
    wire.readAll();
    expect(wire.pieces).toEqual([]);
    expect(limits.heldBytes).toBe(0);
  });

  it('forgets what it held when the wire closes, and what was asked for when it is choked or cancelled', () => {
    const { limits, wires } = watched(2);
    const [gone, choked] = [wires[0]!, wires[1]!];
    gone.ask(10);
    gone.readAll();
    expect(limits.heldBytes).toBeGreaterThan(4 * BLOCK);
    gone.emit('close');
    expect(limits.heldBytes).toBe(0);
    choked.ask(6);
    choked.emit('cancel', 0, 1, BLOCK);
    choked.emit('cancel', 0, 5, BLOCK);
    choked.choke();
    choked.readAll();
    choked.takeAll();
    expect(choked.pieces).toEqual([]);
    expect(choked.rejected).toEqual([1, 5, 0, 2, 3, 4]);
    expect(limits.heldBytes).toBe(0);
  });

  it('leaves something to everybody when others have filled the memory, and goes on when they are gone', () => {
    const { limits, wires } = watched(4);
    for (const wire of wires) wire.ask(8);
    for (const wire of wires) wire.readAll();
    expect(wires.map(({ pieces }) => pieces.length)).toEqual([4, 4, 1, 1]);
    expect(limits.heldBytes).toBeLessThan(10.1 * BLOCK);
    wires[0]!.emit('close');
    expect(wires.slice(2).map(({ reading }) => reading.length)).toEqual([3, 0]);
    wires[3]!.takeAll();
    expect(wires[3]!.reading).toHaveLength(1);
  });

  it('gives the torrent file as slowly as it is taken', () => {
    const { limits, wire } = watched(1);
    for (let part = 0; part < 10; part += 1) wire.ut_metadata._onRequest(part);
    expect(wire.given).toEqual([0, 1, 2, 3]);
    for (let round = 0; round < 3; round += 1) wire.takeAll();
    expect(wire.given).toEqual([...Array(10).keys()]);
    expect(limits.heldBytes).toBe(0);
    for (let part = 0; part < 50; part += 1) wire.ut_metadata._onRequest(part);
    expect(wire.isDestroyed).toBe(true);
  });

  it('keeps no other memory than that of the blocks themselves for a peer that does not take them', () => {
    const { wire } = watched(1);
    const slab = Buffer.alloc(2 ** 20, 'slab');
    const read = (): void => {
      for (const { offset, length, done } of wire.reading.splice(0))
        done(null, slab.subarray(offset, offset + length));
    };
    wire.ask(4);
    read();
    const kept = (): number[] => wire.out.map((bytes) => bytes.buffer.byteLength);
    // The first two are on their way in any case.
    expect(kept()).toEqual([slab.length, slab.length, BLOCK, BLOCK]);
    expect(wire.out.every((bytes) => slab.includes(Buffer.from(bytes)))).toBe(true);
    wire.takeAll();
    for (const at of [1, 2, 3]) wire._onRequest(0, at, 1);
    read();
    expect(kept()).toEqual([slab.length, 1, 1]);
  });

  it('refuses what cannot be read, and takes no message of a gigabyte', () => {
    const { limits, wire } = watched(1);
    wire.ask(1);
    wire.readAll(new Error('damaged'));
    wire.takeAll();
    expect([wire.rejected, limits.heldBytes]).toEqual([[0], 0]);
    wire._onMessageLength(u32(2 ** 14));
    expect(wire.isDestroyed).toBe(false);
    wire._onMessageLength(u32(2 ** 30));
    expect(wire.isDestroyed).toBe(true);
  });
});
