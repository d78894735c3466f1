import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createSystemState } from '../../src/db/index.ts';
import {
  type Clock,
  createDatagrams,
  createHttp,
  createSystemClock,
  silentLog,
} from '../../src/ports/index.ts';
import { createLookedAt } from '../../src/seeding/statistics/index.ts';
import { createScraper } from '../../src/seeding/statistics/scraper.ts';
import { type CountingEngine, createStatistics } from '../../src/seeding/statistics/statistics.ts';
import { createStatsStore } from '../../src/seeding/statistics/store.ts';
import { createTrackerBook } from '../../src/seeding/statistics/tracker-book.ts';
import { createUploadTally } from '../../src/seeding/statistics/upload-tally.ts';
import { seededRandom } from './seeded-random.ts';
import { temporaryFolder, withDb } from './with-db.ts';

/** `hash(3)` is 40 hex digits that say 3, with bytes of every kind before. */
export const hash = (n: number): string => `00ff80e9${n.toString(16).padStart(32, '0')}`;

/** Announces a peer at an http tracker, as a client does. */
export async function announce(url: string, infoHash: string, port: number, left = 0): Promise<string> {
  const id = encodeURIComponent(`-XX0000-${String(port).padStart(12, '0')}`);
  const escaped = infoHash.replaceAll(/../g, '%$&');
  const answer = await fetch(
    `${url}?info_hash=${escaped}&peer_id=${id}&port=${port}&uploaded=0&downloaded=0&left=${left}&event=started&compact=1`,
  );
  return answer.text();
}

/** The tracker of bittorrent-tracker, over http and udp; both know the same swarms. */
export async function startServer(): Promise<{ http: string; udp: string }> {
  const { Server } = (await import('bittorrent-tracker' as string)) as {
    Server: new (
      options: object,
    ) => {
      http: Server;
      udp4: Socket;
      listen(port: number, host: string): void;
      close(done: () => void): void;
      on(event: string, listener: () => void): void;
    };
  };
  const server = new Server({ http: true, udp: true, ws: false, stats: false });
  server.on('warning', () => {});
  // Its third socket, for IPv6, cannot listen at this address.
  server.on('error', () => {});
  const listening = Promise.all([once(server.http, 'listening'), once(server.udp4, 'listening')]);
  server.listen(0, '127.0.0.1');
  await listening;
  onTestFinished(() => new Promise<void>((resolve) => server.close(resolve)));
  return {
    http: `http://127.0.0.1:${(server.http.address() as AddressInfo).port}/announce`,
    udp: `udp://127.0.0.1:${server.udp4.address().port}`,
  };
}

/** opentracker as Debian has it: it serves only what is in its list. */
export async function startOpentracker(allowed: readonly string[]): Promise<{ http: string; udp: string }> {
  const folder = temporaryFolder();
  // Run by root it shuts itself into this folder, as somebody else.
  chmodSync(folder, 0o755);
  const list = process.getuid?.() === 0 ? '/list' : join(folder, 'list');
  writeFileSync(join(folder, 'list'), `${allowed.join('\n')}\n`);
  const port = await freePort();
  const child: ChildProcess = spawn(
    'opentracker',
    ['-i', '127.0.0.1', '-p', String(port), '-P', String(port), '-d', folder, '-w', list],
    { stdio: 'ignore', cwd: folder },
  );
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  for (let left = 100; left > 0; left -= 1) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => setTimeout(() => resolve(false), 20));
    });
    if (isUp) break;
  }
  return { http: `http://127.0.0.1:${port}/announce`, udp: `udp://127.0.0.1:${port}/announce` };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A tracker that answers as it is told. `asked` are the addresses it was asked. */
export async function httpTracker(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`, asked };
}

/** The same over udp. `answer` gives the datagrams to send back. */
export async function udpTracker(
  answer: (message: Buffer) => Buffer[],
): Promise<{ url: string; asked: Buffer[]; next(): Promise<void> }> {
  const asked: Buffer[] = [];
  let wake: () => void = () => {};
  const socket: Socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    asked.push(message);
    for (const each of answer(message)) socket.send(each, from.port, from.address);
    wake();
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void socket.close());
  return {
    url: `udp://127.0.0.1:${socket.address().port}`,
    asked,
    next: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
}

/** The right answer to a connect; null for anything else. */
export function connectAnswer(message: Buffer): Buffer | null {
  if (message.length !== 16 || message.readUInt32BE(8) !== 0) return null;
  return Buffer.concat([Buffer.alloc(4), message.subarray(12, 16), Buffer.from('0102030405060708', 'hex')]);
}

/** Everything that counts swarms, over a real database and real sockets. */
export function withStatistics(options: { clock?: Clock; engine?: CountingEngine | null } = {}) {
  const db = withDb();
  const clock = options.clock ?? createSystemClock();
  const state = createSystemState(db);
  const book = createTrackerBook(state);
  const store = createStatsStore(db);
  const engine = options.engine ?? null;
  const make = () => {
    const scraper = createScraper({
      ...{ book, clock, log: silentLog, datagrams: createDatagrams(), random: seededRandom(1) },
      http: createHttp({ userAgent: 'test', clock }),
    });
    const tally = createUploadTally({
      ...{ state, engine: engine?.name ?? 'none' },
      isEphemeral: engine?.name === 'webtorrent',
    });
    const lookedAt = createLookedAt(state);
    return { scraper, statistics: createStatistics({ store, scraper, tally, lookedAt, engine, clock }) };
  };
  const addTorrent = (n: number, trackers: readonly string[], more: Record<string, unknown> = {}): number => {
    const row: Record<string, unknown> = {
      ...{ id: n, name: `torrent-${n}`, grouping: 'cycle', cycle_date: '2026-11-20', info_hash: hash(n) },
      ...{
        magnet_link: `magnet:?xt=urn:btih:${hash(n)}`,
        total_size_bytes: 1,
        file_count: 1,
        piece_length: 1,
      },
      ...{
        piece_count: 1,
        torrent_file_path: 'a',
        content_path: 'b',
        trackers: JSON.stringify(trackers),
        created_at: 0,
      },
      ...more,
    };
    const keys = Object.keys(row);
    const sql = `INSERT INTO torrents (${keys}) VALUES (${keys.map(() => '?')})`;
    db.sqlite.prepare(sql).run(...Object.values(row));
    return n;
  };
  const rows = (torrentId: number) =>
    db.sqlite
      .prepare<
        [number],
        { seeders: number | null; leechers: number | null; uploaded: number | null; source: string }
      >(
        `SELECT seeders, leechers, uploaded_bytes AS uploaded, source FROM torrent_stats WHERE torrent_id = ? ORDER BY id`,
      )
      .all(torrentId);
  return { db, clock, book, store, make, ...make(), addTorrent, rows };
}
