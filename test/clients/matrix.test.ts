import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, Transfer } from '../helpers/clients/client.ts';
import { createLifetime, until } from '../helpers/clients/lifetime.ts';
import { startMirrors, type WebServer } from '../helpers/clients/mirror.ts';
import { createNamespace } from '../helpers/clients/namespace.ts';
import { startOwnWebseed } from '../helpers/clients/own-webseed.ts';
import { programs } from '../helpers/clients/programs.ts';
import { PIECE } from '../helpers/clients/stored-files.ts';
import { startTracker, type Tracker } from '../helpers/clients/tracker.ts';
import {
  createWorld,
  differences,
  type Kind,
  tree,
  type World,
  withEnvelope,
} from '../helpers/clients/world.ts';
import { libtorrentPython } from '../helpers/libtorrent.ts';
import { has } from '../helpers/needs.ts';

/*
 * Goal: whoever has our .torrent gets every byte with an ordinary program: from our seeder, in years from a web server alone, or
 * from both at once.
 * Method: six real programs; our torrents and our seeder; for each program a tracker of its own, so that it meets nobody but the
 * seeder, and web addresses of its own, so that it is known who asked for what. Every file that arrived is compared with its source.
 * Three phases one after another, since all have the same infohash: peer only, both, and with the seeder stopped.
 */

const { all: known, hasNamespaces } = programs(libtorrentPython());
const hasMirror = has('nginx');
const KINDS: readonly Kind[] = ['cycle', 'wiki_run'];
const CELLS = known.flatMap((program) => KINDS.map((kind) => ({ ...program, kind })));

/** Long enough for Transmission and our seeder, who think of each other every ten seconds. */
const PEER_MS = 45_000;
/** libtorrent 2.0.8 loses a block before padding now and then, and asks for it again after twenty seconds. */
const WEBSEED_MS = 60_000;

/** What a program has beside the world that all share. */
interface Seat {
  client: Client;
  tracker: Tracker;
  webseeds: Record<Kind, WebServer>;
  slowWebseeds: Record<Kind, WebServer>;
}

const lifetime = createLifetime();
const seats = new Map<string, Seat>();
let world: World;
let host = '127.0.0.1';
/** What our seeder had given when the second phase began. */
const uploadedBefore: Record<Kind, number> = { cycle: 0, wiki_run: 0 };

beforeAll(async () => {
  const namespace = hasNamespaces ? createNamespace(lifetime) : null;
  host = namespace?.hostAddress ?? host;
  const present = known.filter(({ isHere }) => isHere);
  const trackers = await Promise.all(present.map(() => startTracker(lifetime, host)));
  world = await createWorld(lifetime, { trackers: trackers.map(({ url }) => url) });
  await world.seed();
  const clients = await Promise.all(present.map((program) => program.start(lifetime, { namespace })));
  const served = { host, count: present.length };
  const mirrorsOf = (folder: string, bytesPerSecond?: number) =>
    startMirrors(lifetime, { ...served, folder, bytesPerSecond });
  const mirrors = await mirrorsOf(world.layout.dumps);
  const slowMirrors = await mirrorsOf(world.layout.dumps, SLOW);
  for (const [at, client] of clients.entries()) {
    const own = () => startOwnWebseed(lifetime, { host, serving: world.serving });
    seats.set(client.name, {
      client,
      tracker: trackers[at]!,
      webseeds: { cycle: await own(), wiki_run: mirrors[at]! },
      slowWebseeds: { cycle: await own(), wiki_run: slowMirrors[at]! },
    });
  }
  for (const { tracker } of seats.values())
    await until('the seeder announces itself', () =>
      KINDS.every((kind) => tracker.peers(world.made(kind).infoHash).seeders.length === 1),
    );
}, 60_000);
afterAll(() => lifetime.end(), 30_000);

/** For each connection: the mirror alone would need seconds. */
const SLOW = 3_000_000;

/** Why nobody can connect to a port of ours; `none` = it is open. */
function refusal(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => resolve('none'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.on('connect', () => socket.destroy());
  });
}

/** Begins a transfer of one cell. */
async function begin(name: string, kind: Kind, webseeds: readonly WebServer[]) {
  const { client, tracker } = seats.get(name)!;
  const made = world.made(kind);
  const target = lifetime.folder();
  const torrentFile = join(lifetime.folder(), `${kind}.torrent`);
  writeFileSync(
    torrentFile,
    withEnvelope(made.torrentFile, { trackers: [tracker.url], webseeds: webseeds.map(({ root }) => root) }),
  );
  const transfer = await client.get({ torrentFile, infoHash: made.infoHash, target });
  return { client, tracker, made, target, transfer };
}

/** Everything is there, byte for byte. */
function expectWhole({ client, made, target }: Awaited<ReturnType<typeof begin>>): void {
  const empty = tree(made.root).filter((path) => path.endsWith('-redirect.sql.gz'));
  expect(empty).toHaveLength(1);
  // Transmission 3.00 creates no file without bytes.
  expect(differences(made, target)).toEqual(client.makesEmptyFiles ? [] : [`${empty[0]}: ENOENT`]);
}

async function end({ target, transfer }: { target: string; transfer: Transfer }): Promise<void> {
  await transfer.remove();
  rmSync(target, { recursive: true, force: true });
}

const uploadedBytes = async (kind: Kind): Promise<number> => {
  const { torrents } = await world.room.snapshot();
  return torrents.find(({ infoHash }) => infoHash === world.made(kind).infoHash)?.uploadedBytes ?? 0;
};
const givenBytes = (server: WebServer): number =>
  server.requests().reduce((sum, { bytes }) => sum + bytes, 0);

describe.skipIf(!hasMirror)('peer only', () => {
  for (const { name, kind, isHere } of CELLS)
    it.skipIf(!isHere).concurrent(`${name} gets ${kind}`, { timeout: PEER_MS + 5_000 }, async () => {
      const cell = await begin(name, kind, []);
      await cell.transfer.finished(PEER_MS);
      expectWhole(cell);
      await end(cell);
    });
});

describe.skipIf(!hasMirror)('peer and webseed', () => {
  beforeAll(async () => {
    for (const kind of KINDS) uploadedBefore[kind] = await uploadedBytes(kind);
  });

  for (const { name, kind, isHere } of CELLS)
    it.skipIf(!isHere).concurrent(`${name} gets ${kind}`, { timeout: PEER_MS + 5_000 }, async () => {
      const webseed = seats.get(name)!.slowWebseeds[kind];
      const cell = await begin(name, kind, [webseed]);
      await cell.transfer.finished(PEER_MS);
      expectWhole(cell);
      await end(cell);
      // rtorrent has no word for `url-list`: for it the address is not there.
      expect(givenBytes(webseed) > 0).toBe(cell.client.knowsWebseeds);
    });
});

describe.skipIf(!hasMirror)('webseed only, the seeder stopped', () => {
  beforeAll(async () => {
    for (const kind of KINDS) {
      // rtorrent takes everything from the peer; whoever took more took it beside a webseed.
      const takenAlone = seats.has('rtorrent') ? world.totalBytes(kind) : 0;
      const taken = (await uploadedBytes(kind)) - uploadedBefore[kind];
      expect(taken).toBeGreaterThan(takenAlone + 4 * PIECE);
    }
    const port = world.room.port()!;
    await expect(refusal(port)).resolves.toBe('none');
    await world.room.stop();
    // Whatever a tracker still says of it: nobody can reach it.
    await expect(refusal(port)).resolves.toBe('ECONNREFUSED');
  });

  for (const { name, kind, isHere } of CELLS.filter((cell) => cell.name !== 'rtorrent'))
    it.skipIf(!isHere).concurrent(`${name} gets ${kind}`, { timeout: WEBSEED_MS + 5_000 }, async () => {
      const webseed = seats.get(name)!.webseeds[kind];
      const cell = await begin(name, kind, [webseed]);
      await cell.transfer.finished(WEBSEED_MS);
      expectWhole(cell);
      // Who does not know padding fetches its zeros and writes them; the others do neither.
      const takesPadding = kind === 'cycle' && !cell.client.knowsPadding;
      expect(webseed.requests().some(({ path }) => path.includes('/.pad/'))).toBe(takesPadding);
      expect(existsSync(join(cell.target, cell.made.infoName, '.pad'))).toBe(takesPadding);
      await end(cell);
      expect(givenBytes(webseed)).toBeGreaterThanOrEqual(cell.made.sizeBytes);
    });

  // It cannot: libtorrent-rakshasa, on which it is built, knows neither BEP 19 nor BEP 17.
  for (const { name, kind, isHere } of CELLS.filter((cell) => cell.name === 'rtorrent'))
    it.skipIf(!isHere).concurrent(`${name} cannot: it gets nothing of ${kind}`, async () => {
      const webseed = seats.get(name)!.webseeds[kind];
      const cell = await begin(name, kind, [webseed]);
      await until('it asks its tracker', () => cell.tracker.peers(cell.made.infoHash).leechers.length > 0);
      expect(webseed.requests()).toEqual([]);
      expect(await cell.transfer.doneBytes()).toBe(0);
      await end(cell);
    });
});
