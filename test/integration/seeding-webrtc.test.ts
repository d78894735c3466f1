import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { startTracker } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: a peer that speaks nothing but WebRTC, as a browser does, gets every byte from us; without the switch we are not there for it.
 * Method: a real WebSocket tracker, the real client in its process, webtorrent as it comes in another; all on loopback, without STUN.
 */

const PROGRAM = join(import.meta.dirname, '..', 'helpers', 'clients', 'webrtc-program.ts');
const PIECE = 2 ** 17;

interface SocketTracker {
  ws: { address(): { port: number } };
  /** Who announced what, by infohash. */
  torrents: Record<string, unknown>;
  on(event: string, listener: (...values: unknown[]) => void): void;
  listen(port: number, host: string, done: () => void): void;
  close(done: () => void): void;
}

/** A tracker as WebRTC peers have it, which brings them together. */
async function startSocketTracker() {
  const { Server } = (await import('bittorrent-tracker' as string)) as {
    Server: new (options: object) => SocketTracker;
  };
  // Announced often, both sides would offer and answer each other at the same time.
  const server = new Server({ udp: false, http: false, stats: false, ws: true, interval: 120_000 });
  server.on('warning', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(resolve)));
  const announced = () => Object.keys(server.torrents);
  return { url: `ws://127.0.0.1:${server.ws.address().port}`, announced };
}

function torrentOnDisk(trackers: string[]) {
  const contentRoot = temporaryFolder();
  mkdirSync(join(contentRoot, 'browsed'));
  const bytes = randomBytes(20 * PIECE + 11);
  writeFileSync(join(contentRoot, 'browsed', 'dump.bz2'), bytes);
  const files = [{ path: 'dump.bz2', sizeBytes: bytes.length }];
  const torrent = makePlainTorrent({ contentRoot, name: 'browsed', pieceLength: PIECE, files, trackers });
  return { torrent, bytes };
}

it('a peer without TCP and uTP fetches everything over WebRTC', { timeout: 150_000 }, async () => {
  const tracker = await startSocketTracker();
  const { torrent, bytes } = torrentOnDisk([tracker.url]);
  const { seeder, problems } = embeddedSeeder({ settings: { webrtc: true, stunServers: [] } });
  await seeder.start([specOf(torrent)]);
  await expect.poll(tracker.announced).toEqual([torrent.infoHash]);
  const target = temporaryFolder();
  const peer = spawn(process.execPath, [PROGRAM, torrent.torrentFile, target]);
  onTestFinished(() => void peer.kill('SIGKILL'));
  const [said, complained] = [text(peer.stdout), text(peer.stderr)];
  await once(peer, 'close');
  // A connection may fail and be made once more: the complaint is only for whoever looks for the reason.
  expect([...new Set((await said).trim().split('\n'))], await complained).toEqual(['wire webrtc', 'done']);
  expect(readFileSync(join(target, 'browsed', 'dump.bz2')).equals(bytes)).toBe(true);
  expect((await seeder.snapshot())[0]!.uploadedBytes).toBeGreaterThan(bytes.length);
  expect([...problems]).toEqual([]);
  expect(seeder.restarts()).toBe(0);
});

it('without WebRTC a WebSocket tracker is neither asked nor complained of', async () => {
  const [socket, plain] = [await startSocketTracker(), await startTracker()];
  const { torrent } = torrentOnDisk([socket.url, plain.url]);
  const lines: string[] = [];
  const write = (_fields: object, text: string): void => void lines.push(text);
  const log = { debug: write, info: write, warn: write, error: write, child: () => log };
  const { seeder } = embeddedSeeder({ log });
  await seeder.start([specOf(torrent)]);
  // It says goodbye to those whom it told of itself.
  await seeder.stop();
  expect(socket.announced()).toEqual([]);
  expect(lines).toEqual(['listening for peers']);
});
