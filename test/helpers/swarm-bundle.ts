import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createSystemClock, type Log, silentLog } from '../../src/ports/index.ts';
import { createSeeding, type SeedingConfig } from '../../src/seeding/index.ts';
import { type HeldSpec, heldBundle, PIECE, sha1 } from './held-bundle.ts';
import { startTracker } from './seeding-bundle.ts';
import { readBencode } from './torrenting-bundle.ts';
import { temporaryFolder } from './with-db.ts';

/*
 * Held files in a real torrent, that upstream does not have any more, and other seeders of it. They are webtorrent's, too, because
 * one can be asked which blocks were asked of it, and can be made to lie.
 */

interface StrangerWire {
  on(event: 'request', listener: (index: number, offset: number, length: number) => void): void;
  on(event: 'unchoke', listener: () => void): void;
  on(event: 'extended', listener: (kind: string, said: { metadata_size?: number }) => void): void;
}
interface StrangerTorrent {
  downloaded: number;
  on(event: 'wire', listener: (wire: StrangerWire) => void): void;
  once(event: 'ready' | 'trackerAnnounce', listener: () => void): void;
}
interface StrangerClient {
  add(torrent: Uint8Array | { infoHash: string; announce: string[] }, options: object): StrangerTorrent;
  destroy(done: () => void): void;
}

/** So many bytes lie before the file in its torrent: it begins in the midst of a piece. */
export const BEFORE = 1000;

async function newClient(): Promise<StrangerClient> {
  const { default: WebTorrent } = (await import('webtorrent')) as unknown as {
    default: new (options: object) => StrangerClient;
  };
  const client = new WebTorrent({
    ...{ torrentPort: { port: 0, host: '127.0.0.1' }, dht: false, lsd: false, utPex: false, utp: false },
    ...{ natUpnp: false, natPmp: false, webSeeds: false, tracker: { wrtc: false } },
  });
  onTestFinished(() => new Promise((resolve) => client.destroy(resolve)));
  return client;
}

/** Another client with a torrent's files. @returns the pieces that were asked of it, in order and each once */
export async function startStranger(options: {
  torrentFile: string;
  /** Folder with the folder of the torrent's name. */
  path: string;
  /** It says to have every piece, whatever the bytes are. */
  isLiar?: boolean;
  /** It has what it says, and never gives any of it. */
  isMean?: boolean;
}): Promise<{ asked: number[] }> {
  const client = await newClient();
  const torrent = client.add(readFileSync(options.torrentFile), {
    path: options.path,
    skipVerify: options.isLiar ?? false,
  });
  const asked: number[] = [];
  torrent.on('wire', (wire) => {
    if (options.isMean) Object.assign(wire, { piece: () => {} });
    wire.on('request', (index) => {
      if (asked.at(-1) !== index) asked.push(index);
    });
  });
  const announced = new Promise<void>((resolve) => torrent.once('trackerAnnounce', resolve));
  await new Promise<void>((resolve) => torrent.once('ready', resolve));
  await announced;
  return { asked };
}

/** Another client with a magnet link only. @returns what the first peer it meets says of itself (BEP 10) */
export async function startNewcomer(options: { infoHash: string; tracker: string }): Promise<{
  met: Promise<{ metadata_size?: number }>;
  isUnchoked: () => boolean;
  downloaded: () => number;
}> {
  const client = await newClient();
  let isUnchoked = false;
  const torrent = client.add(
    { infoHash: options.infoHash, announce: [options.tracker] },
    { path: temporaryFolder() },
  );
  const met = new Promise<{ metadata_size?: number }>((resolve) =>
    torrent.on('wire', (wire) => {
      wire.on('unchoke', () => {
        isUnchoked = true;
      });
      wire.on('extended', (kind, said) => {
        if (kind === 'handshake') resolve(said);
      });
    }),
  );
  await new Promise<void>((resolve) => torrent.once('trackerAnnounce', resolve));
  return { met, isUnchoked: () => isUnchoked, downloaded: () => torrent.downloaded };
}

/** See above; `begin` makes the rooms that repair, and `copy` a folder for another seeder as the files are now. */
export async function swarmBundle(spec: HeldSpec = {}) {
  const bundle = await heldBundle(spec);
  const tracker = await startTracker();
  const root = dirname(dirname(bundle.place().tree));
  writeFileSync(join(root, 'a.txt'), Buffer.alloc(BEFORE, 'a'));
  const { default: make } = (await import('create-torrent' as string)) as {
    default: (input: string, options: object, done: (error: Error | null, bytes: Uint8Array) => void) => void;
  };
  const torrentBytes = await new Promise<Uint8Array>((resolve, reject) =>
    make(root, { pieceLength: PIECE, announceList: [[tracker.url]] }, (error, made) =>
      error ? reject(error) : resolve(made),
    ),
  );
  const torrentFile = join(bundle.dataDir, 'torrents', 'x.torrent');
  writeFileSync(torrentFile, torrentBytes);
  const infoHash = sha1(readBencode(Buffer.from(torrentBytes)).info);
  bundle.db.sqlite.prepare('UPDATE torrents SET info_hash = ?').run(infoHash);
  bundle.origin.files.clear();

  function room(config: Partial<SeedingConfig> = {}, log: Log = silentLog) {
    const seeding = createSeeding({
      ...{ catalog: bundle.catalog, layout: bundle.layout, clock: createSystemClock(), log },
      askForRepair: () => {},
      config: {
        ...{ enabled: true, port: 0, host: '127.0.0.1', maxConnections: 20, dht: false, lsd: false },
        ...{ utPex: false, uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
        swarm: { findPeersMs: 5000, afterTrackersMs: 5000, stallMs: 3000, pieceMs: 30_000, idleMs: 60_000 },
        ...config,
      },
    });
    onTestFinished(() => seeding.stop());
    return seeding;
  }
  return {
    ...{ bundle, infoHash, torrentFile, room, tracker: tracker.url },
    /** Another seeder's folder, with the bytes as they are now. */
    copy(): string {
      const folder = temporaryFolder();
      cpSync(join(bundle.dataDir, 'torrents'), folder, { recursive: true });
      return folder;
    },
  };
}
