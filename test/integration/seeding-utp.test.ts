import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { seedersOf } from '../helpers/child-processes.ts';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { libtorrentGet, libtorrentPython } from '../helpers/libtorrent.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { PIECE_ID, REJECT, rawPeer, request, UNCHOKE, u32 } from '../helpers/raw-peer.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: over uTP strangers get the same bytes, the same refusals and nothing that is rotten; without the switch nobody answers there.
 * Method: the real client in its process; libtorrent without TCP, and raw uTP connections and datagrams.
 */

const PIECE = 2 ** 18;
const BLOCK = 2 ** 14;
const PIECES = 32;
/** What one flooding peer may cost at most at any time. */
const MEMORY_BYTES = 150e6;
const DHT_PING = `d1:ad2:id20:${'a'.repeat(20)}e1:q4:ping1:t2:aa1:y1:qe`;
const python = libtorrentPython();

/** The most memory a process ever had, in bytes. */
const memoryOf = (pid: number): number =>
  1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

function torrentOnDisk(name: string) {
  const contentRoot = temporaryFolder();
  mkdirSync(join(contentRoot, name));
  const path = join(contentRoot, name, 'dump.bz2');
  const bytes = randomBytes(PIECES * PIECE);
  writeFileSync(path, bytes);
  const files = [{ path: 'dump.bz2', sizeBytes: bytes.length }];
  return {
    torrent: makePlainTorrent({ contentRoot, name, pieceLength: PIECE, files }),
    ...{ path, bytes },
  };
}

/** Asks for a connection by uTP (BEP 29). @returns what is answered, or the code of the error */
function knock(port: number): Promise<number | string> {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  return new Promise((resolve) => {
    socket.on('message', (answer) => resolve(answer[0]!));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.connect(port, '127.0.0.1', () => {
      const [time, window, sequence] = [u32(1), u32(2 ** 20), Buffer.of(0, 1)];
      const connection = Buffer.of(0x41, 0, 0x12, 0x34);
      socket.send(Buffer.concat([connection, time, u32(0), window, sequence, Buffer.of(0, 0)]));
    });
  });
}
/** ST_STATE of version 1: the connection is there. */
const STATE = 0x21;

/** Asks for connections that nobody will ever use, one socket for all. */
async function silentPeers(port: number) {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  let asked = 0;
  return {
    socket,
    /** Sends another; its answer is a message of the socket. */
    ask(): void {
      const id = (asked++ * 4 + 7) & 0xffff;
      const head = Buffer.of(0x41, 0, id >> 8, id & 0xff);
      socket.send(Buffer.concat([head, u32(1), u32(0), u32(2 ** 20), Buffer.of(0, 1, 0, 0)]));
    },
  };
}

/** Asks for blocks without end and reads them. @returns how many bytes came */
function endlessLeecher(port: number, infoHash: string) {
  const peer = rawPeer(connect(port, '127.0.0.1'), { infoHash, pieces: PIECES, fast: true });
  const total = PIECES * (PIECE / BLOCK);
  let at = 0;
  const ask = (count: number): void => {
    const more = Array.from({ length: count }, () => {
      at += 1;
      return request(Math.floor((at % total) / 16), (at % 16) * BLOCK, BLOCK);
    });
    peer.socket.write(Buffer.concat(more));
  };
  let blocks = 0;
  return {
    /** `onBlock` is called for each, until it says that it is enough. */
    async run(onBlock: (blocks: number) => boolean): Promise<void> {
      await peer.until(() => peer.count(UNCHOKE) > 0);
      ask(100);
      await peer.until(() => {
        const came = peer.messages.splice(0).filter(({ id }) => id === PIECE_ID).length;
        for (let each = 0; each < came; each += 1) {
          blocks += 1;
          if (onBlock(blocks)) return true;
        }
        if (came > 0) ask(came);
        return false;
      });
    },
  };
}

function utpPeer(port: number, infoHash: string) {
  const library = createRequire(import.meta.url)('utp-native') as {
    connect(port: number, host: string): Duplex;
  };
  return rawPeer(library.connect(port, '127.0.0.1'), { infoHash, pieces: PIECES, fast: true });
}

describe('with uTP', () => {
  it.skipIf(python === null)(
    'libtorrent without TCP fetches everything, and DHT has the same port',
    async () => {
      const { torrent, bytes } = torrentOnDisk('utp');
      const { seeder, problems } = embeddedSeeder({ settings: { utp: true, dht: true } });
      await seeder.start([specOf(torrent)]);
      const target = temporaryFolder();
      const port = seeder.port()!;
      const wire = 'utp';
      expect(await libtorrentGet(python!, { torrentFile: torrent.torrentFile, target, port, wire })).toBe(
        'complete over utp',
      );
      expect(readFileSync(join(target, 'utp', 'dump.bz2')).equals(bytes)).toBe(true);
      expect((await seeder.snapshot())[0]!.uploadedBytes).toBeGreaterThan(bytes.length);
      expect(await knock(port)).toBe(STATE);
      expect(await ping(port)).toMatch(/1:y1:r/);
      expect([...problems]).toEqual([]);
      expect(seeder.restarts()).toBe(0);
    },
  );

  it('a peer that asks for too much is refused, and sent away', async () => {
    const { torrent, bytes } = torrentOnDisk('greedy');
    const { seeder } = embeddedSeeder({ settings: { utp: true } });
    await seeder.start([specOf(torrent)]);
    const peer = utpPeer(seeder.port()!, torrent.infoHash);
    await peer.until(() => peer.count(UNCHOKE) > 0);
    peer.socket.write(Buffer.concat([request(2, 0, 4 * BLOCK), request(2, 0, 2 * BLOCK)]));
    await peer.until(() => peer.count(PIECE_ID) === 1);
    expect(peer.messages.filter(({ id }) => id === REJECT).map(({ bytes: each }) => each)).toEqual([
      Buffer.concat([u32(2), u32(0), u32(4 * BLOCK)]),
    ]);
    const block = peer.messages.find(({ id }) => id === PIECE_ID)!.bytes.subarray(8);
    expect(block.equals(bytes.subarray(2 * PIECE, 2 * PIECE + 2 * BLOCK))).toBe(true);
    // More refusals in a row than there may be.
    peer.socket.write(Buffer.concat(Array.from({ length: 1100 }, (_, at) => request(2, at, 4 * BLOCK))));
    await peer.closed;
    expect(peer.count(REJECT)).toBeLessThan(1100);
    const other = utpPeer(seeder.port()!, torrent.infoHash);
    await other.until(() => other.count(UNCHOKE) > 0);
    other.socket.write(request(2, 0, 2 ** 17 + 1));
    await other.closed;
    expect(other.count(PIECE_ID)).toBe(0);
    expect(seeder.restarts()).toBe(0);
  });

  it.skipIf(python === null)(
    'a peer that asks without end is sent away, and others get every byte',
    async () => {
      const { torrent, bytes } = torrentOnDisk('flooded');
      const { seeder } = embeddedSeeder({ settings: { utp: true } });
      await seeder.start([specOf(torrent)]);
      const port = seeder.port()!;
      const [pid] = seedersOf(process.pid);
      const before = memoryOf(pid!);
      const flooder = utpPeer(port, torrent.infoHash);
      await flooder.until(() => flooder.count(UNCHOKE) > 0);
      const perPiece = PIECE / BLOCK;
      const asked = Array.from({ length: 30_000 }, (_, at) =>
        // No two are the same: those would be answered once.
        request(Math.floor(at / perPiece) % PIECES, (at % perPiece) * BLOCK, BLOCK - Math.floor(at / 512)),
      );
      flooder.socket.write(Buffer.concat(asked));
      const target = temporaryFolder();
      const options = { torrentFile: torrent.torrentFile, target, port };
      expect(await libtorrentGet(python!, { ...options, wire: 'utp' })).toBe('complete over utp');
      expect(readFileSync(join(target, 'flooded', 'dump.bz2')).equals(bytes)).toBe(true);
      await flooder.closed;
      expect(flooder.count(PIECE_ID)).toBeLessThan(asked.length / 10);
      expect(memoryOf(pid!) - before).toBeLessThan(MEMORY_BYTES);
      expect(seeder.restarts()).toBe(0);
    },
  );

  it('connections that nobody uses keep no memory but their own', async () => {
    const { torrent } = torrentOnDisk('idle');
    const { seeder } = embeddedSeeder({ settings: { utp: true } });
    await seeder.start([specOf(torrent)]);
    const [pid] = seedersOf(process.pid);
    const leecher = endlessLeecher(seeder.port()!, torrent.infoHash);
    const silent = await silentPeers(seeder.port()!);
    let answers = 0;
    silent.socket.on('message', () => {
      answers += 1;
    });
    let before = 0;
    await leecher.run((blocks) => {
      if (blocks === 2000) before = memoryOf(pid!);
      // One among the blocks of each megabyte.
      if (blocks > 2000 && blocks % 64 === 0) silent.ask();
      return blocks === 2000 + 300 * 64;
    });
    expect(answers).toBeGreaterThan(250);
    // Their own is 128 KiB each; a megabyte of blocks with each were 300 MB.
    expect(memoryOf(pid!) - before).toBeLessThan(MEMORY_BYTES);
  }, 30_000);

  it('no more than 500 are there at once, and the table answers all the same', async () => {
    const { seeder } = embeddedSeeder({ settings: { utp: true, dht: true } });
    await seeder.start([]);
    const { socket, ask } = await silentPeers(seeder.port()!);
    for (let count = 0; count < 500; count += 1) {
      const answer = once(socket, 'message');
      ask();
      expect((await answer)[0][0]).toBe(STATE);
    }
    const answer = once(socket, 'message');
    ask();
    socket.send(DHT_PING);
    // Answered in the order that they came.
    expect(((await answer)[0] as Buffer).toString('latin1')).toMatch(/1:y1:r/);
  }, 30_000);

  it.skipIf(python === null)('a bit that flipped on disk reaches nobody', async () => {
    const { torrent, path, bytes } = torrentOnDisk('rotten');
    const { mtimeMs } = statSync(path);
    const at = 5 * PIECE + 1234;
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.of(bytes[at]! ^ 1), 0, 1, at);
    closeSync(file);
    utimesSync(path, mtimeMs / 1000, mtimeMs / 1000);
    const { seeder, damaged, problems } = embeddedSeeder({ settings: { utp: true } });
    await seeder.start([specOf(torrent)]);
    const target = temporaryFolder();
    const options = { torrentFile: torrent.torrentFile, target, port: seeder.port()!, timeoutS: 8 };
    expect(await libtorrentGet(python!, { ...options, wire: 'utp' })).toMatch(/^incomplete: 0\.9/);
    expect(damaged).toEqual([{ infoHash: torrent.infoHash, path }]);
    expect([...problems.values()]).toEqual(['seed_file_damaged']);
    const got = readFileSync(join(target, 'rotten', 'dump.bz2'));
    const around = (file: Buffer) => [file.subarray(0, 5 * PIECE), file.subarray(6 * PIECE)];
    // libtorrent writes blocks before it has proved the piece: not even those came.
    expect(got[at]).not.toBe(bytes[at]! ^ 1);
    expect(Buffer.concat(around(got)).equals(Buffer.concat(around(bytes)))).toBe(true);
  });

  it('UDP that is taken is told, and TCP goes on', async () => {
    const { torrent } = torrentOnDisk('taken');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    onTestFinished(() => void socket.close());
    const { port } = socket.address();
    const { seeder, told } = embeddedSeeder({ settings: { utp: true, dht: true, port } });
    await seeder.start([specOf(torrent)]);
    expect(seeder.port()).toBe(port);
    expect(told.at(-1)).toMatchObject({
      infoHash: null,
      code: 'dht_port_taken',
      message: expect.stringMatching(
        /There is no uTP: UDP port \d+ on 127\.0\.0\.1 is taken by another program/,
      ),
    });
  });
});

it('without uTP nothing answers there', async () => {
  const { torrent } = torrentOnDisk('tcp');
  const { seeder } = embeddedSeeder();
  await seeder.start([specOf(torrent)]);
  expect(await knock(seeder.port()!)).toBe('ECONNREFUSED');
});

/** A question of the distributed hash table (BEP 5). */
function ping(port: number): Promise<string> {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  return new Promise((resolve) => {
    socket.on('message', (answer) => resolve(answer.toString('latin1')));
    socket.send(DHT_PING, port, '127.0.0.1');
  });
}
