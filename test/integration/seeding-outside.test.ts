import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { minutes } from '../../src/lib/index.ts';
import { tryUdpPort } from '../../src/seeding/udp-port.worker.ts';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { recordingLog } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: what is taken, away or greedy outside of us costs no more than it has to, and is told once.
 * Method: the real thread with real sockets, and peers of a few lines.
 */

async function udpOn(port: number): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  onTestFinished(() => void socket.close());
  return socket;
}

/** A port that is free for TCP and UDP. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

describe('the distributed hash table', () => {
  it('answers at the port of peers, and at the address that was chosen', async () => {
    const port = await freePort();
    const { seeder, told } = embeddedSeeder({ settings: { port, dht: true } });
    await seeder.start([]);
    expect(seeder.port()).toBe(port);
    const stranger = await udpOn(0);
    const answer = once(stranger, 'message') as Promise<[Buffer, AddressInfo]>;
    stranger.send(`d1:ad2:id20:${'x'.repeat(20)}e1:q4:ping1:t2:aa1:y1:qe`, port, '127.0.0.1');
    const [bytes, from] = await answer;
    expect(bytes.toString('latin1')).toMatch(/1:y1:re$/);
    expect(from).toMatchObject({ port, address: '127.0.0.1' });
    expect(told).toEqual([]);
    // Another program may have that port at another address.
    const other = createSocket('udp4');
    other.bind(port, '127.0.0.2');
    await once(other, 'listening');
    other.close();
  });

  it('goes without a port that is taken: it is told once, and torrents are served', async () => {
    const port = await freePort();
    await udpOn(port);
    const { log, entries } = recordingLog();
    const clock = new FakeClock();
    const { seeder, problems, told } = embeddedSeeder({ clock, log, settings: { port, dht: true } });
    const contentRoot = temporaryFolder();
    mkdirSync(join(contentRoot, 'a'));
    writeFileSync(join(contentRoot, 'a', 'dump.gz'), randomBytes(1000));
    const torrent = makePlainTorrent({
      ...{ contentRoot, name: 'a', pieceLength: 2 ** 14, files: [{ path: 'dump.gz', sizeBytes: 1000 }] },
    });
    await seeder.start([specOf(torrent)]);
    expect(await seeder.snapshot()).toMatchObject([{ state: 'seeding' }]);
    expect([...problems]).toEqual([[null, 'dht_port_taken']]);
    await clock.advance(minutes(30));
    expect([seeder.restarts(), seeder.port(), told.length]).toEqual([0, port, 1]);
    expect(entries.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
      `Peers without a tracker do not find us: UDP port ${port} on 127.0.0.1 is taken by another program; stop that program or set seeding.port to a free port, and start WikiSeed again (everything else goes on).`,
    ]);
  });
});

it('a UDP port of a program that is just ending is tried once more', async () => {
  const port = await freePort();
  const ending = createSocket('udp4').bind(port, '127.0.0.1');
  await once(ending, 'listening');
  const end = () => new Promise<void>((resolve) => ending.close(() => resolve()));
  expect(await tryUdpPort(port, '127.0.0.1', end)).toBeNull();
  await udpOn(port);
  let waits = 0;
  const wait = async () => {
    waits += 1;
  };
  expect(await tryUdpPort(port, '127.0.0.1', wait)).toMatchObject({ code: 'EADDRINUSE' });
  expect(waits).toBe(1);
});

/** Says hello, is interested, and asks for a block of each of these pieces once it may. */
function peer(options: { port: number; infoHash: string; from: string; pieces: readonly number[] }) {
  const answered: number[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const socket: Socket = connect({ port: options.port, host: '127.0.0.1', localAddress: options.from });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  socket.write(
    Buffer.concat([
      Buffer.from('\x13BitTorrent protocol\0\0\0\0\0\0\0\0', 'latin1'),
      Buffer.from(options.infoHash, 'hex'),
      Buffer.from('-XX0001-'),
      randomBytes(12),
    ]),
  );
  let bytes = Buffer.alloc(0);
  let isGreeted = false;
  socket.on('data', (more) => {
    bytes = Buffer.concat([bytes, more]);
    if (!isGreeted && bytes.length >= 68) {
      isGreeted = true;
      bytes = bytes.subarray(68);
    }
    while (isGreeted && bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
      const length = bytes.readUInt32BE(0);
      const message = bytes.subarray(4, 4 + length);
      bytes = bytes.subarray(4 + length);
      // What it has comes first; now it listens.
      if (message[0] === 5) socket.write(Buffer.from('0000000102', 'hex'));
      else if (message[0] === 1) {
        for (const index of options.pieces) {
          const request = Buffer.alloc(17);
          request.writeUInt32BE(13, 0);
          request[4] = 6;
          request.writeUInt32BE(index, 5);
          request.writeUInt32BE(17, 13);
          socket.write(request);
        }
      } else if (message[0] === 7) answered.push(message.readUInt32BE(1));
    }
    for (const each of waiting) if (answered.length >= each.count) each.resolve();
  });
  const until = (count: number): Promise<void> =>
    answered.length >= count ? Promise.resolve() : new Promise((resolve) => waiting.push({ count, resolve }));
  return { answered, until };
}

it('a peer that asks for a little of every piece keeps no other peer waiting', async () => {
  const contentRoot = temporaryFolder();
  const pieceLength = 2 ** 24;
  const count = 400;
  mkdirSync(join(contentRoot, 'zeros'));
  writeFileSync(join(contentRoot, 'zeros', 'dump'), '');
  // Takes no space on disk.
  truncateSync(join(contentRoot, 'zeros', 'dump'), count * pieceLength);
  const sha1 = createHash('sha1').update(Buffer.alloc(pieceLength)).digest();
  const torrent = makePlainTorrent({
    ...{ contentRoot, name: 'zeros', pieceLength, pieces: Buffer.concat(new Array(count).fill(sha1)) },
    files: [{ path: 'dump', sizeBytes: count * pieceLength }],
  });
  const { seeder } = embeddedSeeder();
  await seeder.start([specOf(torrent)]);
  const { infoHash } = torrent;
  const place = { port: seeder.port()!, infoHash };
  const pieces = Array.from({ length: 390 }, (_, index) => index);
  const greedy = peer({ ...place, from: '127.0.0.1', pieces });
  // Whoever is answered has asked for everything: its requests came at once.
  await greedy.until(4);
  const modest = peer({ ...place, from: '127.0.0.2', pieces: [395, 396, 397] });
  await modest.until(3);
  expect(modest.answered.sort()).toEqual([395, 396, 397]);
  expect(greedy.answered.length).toBeLessThan(100);
});

describe('a disk that is away', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];

  function onADisk(options: { maxActiveTorrents?: number } = {}) {
    const home = temporaryFolder();
    const contentRoot = join(home, 'torrents');
    for (const name of names) {
      mkdirSync(join(contentRoot, name), { recursive: true });
      writeFileSync(join(contentRoot, name, 'dump.gz'), randomBytes(1000));
    }
    const specs = names.map((name) =>
      specOf(
        makePlainTorrent({
          ...{ contentRoot, name, pieceLength: 2 ** 14, files: [{ path: 'dump.gz', sizeBytes: 1000 }] },
        }),
      ),
    );
    const clock = new FakeClock();
    const { log, entries } = recordingLog();
    const room = embeddedSeeder({ clock, log, ...options });
    const states = async () => [...new Set((await room.seeder.snapshot()).map(({ state }) => state))];
    const lookAgain = async () => {
      await clock.advance(minutes(5));
      return states();
    };
    const errors = () => entries.filter(({ level }) => level === 'error').map(({ message }) => message);
    return { ...room, clock, contentRoot, away: `${contentRoot}-away`, specs, states, lookAgain, errors };
  }

  it.each([
    'is missing',
    'is empty, as one without its disk',
  ])('is told once for all torrents when its folder %s, and is over when it is back', async (how) => {
    const { seeder, specs, clock, contentRoot, away, told, states, lookAgain, errors } = onADisk();
    renameSync(contentRoot, away);
    if (how !== 'is missing') mkdirSync(contentRoot);
    await seeder.start(specs);
    expect(await states()).toEqual(['broken']);
    const message = `Nothing below ${contentRoot} is seeded: it is not there, or it is empty. Is the disk mounted?`;
    expect(told).toEqual([{ infoHash: null, code: 'seed_folder_missing', message }]);
    expect(errors()).toEqual([message]);
    // It is tried again, and nothing more is said.
    for (let look = 0; look < 3; look += 1) {
      await clock.advance(minutes(5));
      await seeder.snapshot();
    }
    rmSync(contentRoot, { recursive: true, force: true });
    renameSync(away, contentRoot);
    await expect.poll(lookAgain).toEqual(['seeding']);
    expect(told.slice(1)).toEqual([{ infoHash: null, code: null, message: null }]);
    expect(errors()).toHaveLength(1);
  });

  it('is noticed by the first who asks, and what lies there is served again when it is back', async () => {
    const { seeder, specs, contentRoot, away, told, until, lookAgain } = onADisk();
    await seeder.start(specs);
    renameSync(contentRoot, away);
    for (const { infoHash } of specs.slice(0, 2))
      peer({ port: seeder.port()!, infoHash, from: '127.0.0.1', pieces: [0] });
    await until(() => told.length > 0);
    await expect
      .poll(async () => (await seeder.snapshot()).filter(({ state }) => state === 'broken').length)
      .toBe(2);
    expect(told.map(({ code }) => code)).toEqual(['seed_folder_missing']);
    renameSync(away, contentRoot);
    await expect.poll(lookAgain).toEqual(['seeding']);
    expect(told.slice(1)).toEqual([{ infoHash: null, code: null, message: null }]);
  });

  it('is over when it is back, also for those that wait for a place', async () => {
    const { seeder, specs, contentRoot, away, told, lookAgain } = onADisk({ maxActiveTorrents: 1 });
    renameSync(contentRoot, away);
    await seeder.start(specs);
    await expect.poll(lookAgain).toEqual(['broken']);
    expect(told.map(({ code }) => code)).toEqual(['seed_folder_missing']);
    renameSync(away, contentRoot);
    await expect.poll(lookAgain).toContain('seeding');
    expect(told.slice(1)).toEqual([{ infoHash: null, code: null, message: null }]);
  });

  it.each([
    ['a disk', 'seed_folder_missing', null],
    ['a single file', 'seed_file_missing', 0],
  ] as const)('is over when it is back, also when others have the places for hours: %s', async (what, code, whose) => {
    const { seeder, specs, clock, contentRoot, away, told, problems } = onADisk({ maxActiveTorrents: 1 });
    const other = onADisk().specs[4]!;
    const [gone, aside] =
      what === 'a disk' ? [contentRoot, away] : [join(contentRoot, 'a', 'dump.gz'), `${contentRoot}.gz`];
    renameSync(gone, aside);
    const wanted = what === 'a disk' ? specs : specs.slice(0, 1);
    await seeder.start([...wanted.map((spec) => ({ ...spec, seeders: 0 })), { ...other, seeders: 9 }]);
    const served = async () =>
      (await seeder.snapshot()).filter(({ state }) => state === 'seeding').map(({ infoHash }) => infoHash);
    expect(await served()).toEqual([other.infoHash]);
    const key = whose === null ? null : specs[whose]!.infoHash;
    for (let look = 0; look < 4; look += 1) {
      await clock.advance(minutes(5));
      await expect
        .poll(async () => (await seeder.snapshot()).filter(({ state }) => state === 'broken').length)
        .toBe(wanted.length);
    }
    expect(told).toEqual([{ infoHash: key, code, message: expect.any(String) }, ...told.slice(1)]);
    expect([...problems]).toEqual([[key, code]]);
    renameSync(aside, gone);
    const troubles = async () => {
      await clock.advance(minutes(5));
      return problems.size;
    };
    await expect.poll(troubles).toBe(0);
    // It was looked at, no more.
    expect(await served()).toEqual([other.infoHash]);
    expect((await seeder.snapshot()).map(({ state }) => state)).not.toContain('broken');
    // And nobody looks any more.
    const toldThen = told.length;
    await clock.advance(minutes(30));
    expect(told).toHaveLength(toldThen);
  });

  it('one torrent that is missing alone is told by itself', async () => {
    const { seeder, specs, contentRoot, problems } = onADisk();
    rmSync(join(contentRoot, 'b'), { recursive: true });
    await seeder.start(specs);
    expect([...problems]).toEqual([[specs[1]!.infoHash, 'seed_file_missing']]);
  });
});
