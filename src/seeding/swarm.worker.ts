import { readFile } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { loadWebTorrent } from './load-webtorrent.worker.ts';
import type { SwarmAnswer, SwarmMessage, SwarmRequest, SwarmSettings, SwarmWish } from './swarm-protocol.ts';
import { joinSwarm, type SwarmSession } from './swarm-session.worker.ts';
import { readTorrentFile, type TorrentFileFacts } from './torrent-file.ts';

/*
 * The swarm thread: takes single pieces of damaged files from other seeders. A client of its own beside the seeder's, since one
 * client knows an infohash once, and what the seeder serves must not depend on what is fetched. It writes nothing and gives
 * nothing, and it lives only while a file is repaired.
 */

/** A file is in its cycle's torrent, and perhaps in another one. */
const SESSIONS_MAX = 2;
/** Enough to find somebody who gives; more would only be unused connections. */
const CONNECTIONS_MAX = 30;

/** A swarm, and what was asked of it last. */
interface Joined {
  session: SwarmSession;
  /** Of the file; where it begins is not looked up for every piece. */
  path: string;
  fileStart: number;
  /** Where a file does not begin on a piece, its next bytes need this one, too. */
  last: { index: number; bytes: Uint8Array } | null;
}

const port = parentPort!;
const settings = workerData as SwarmSettings;
/** Least recently used first. */
const sessions = new Map<string, Joined>();
const waiting = new Map<number, AbortController>();
let ownPeerId: string | null = null;
/** One question at a time: memory for two pieces is enough then. */
let line: Promise<unknown> = Promise.resolve();

const say = (message: SwarmMessage, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer);

const { WebTorrent } = await loadWebTorrent({ webrtc: false });
const client = new WebTorrent({
  torrentPort: settings.host === null ? 0 : { port: 0, host: settings.host },
  maxConns: Math.min(settings.maxConnections, CONNECTIONS_MAX),
  dht: settings.dht,
  lsd: settings.lsd,
  utPex: settings.utPex,
  userAgent: settings.userAgent,
  natUpnp: false,
  natPmp: false,
  utp: false,
  tracker: { wrtc: false },
  // Servers were asked before, by those who know how.
  webSeeds: false,
});
client.on('error', (error: Error) => {
  say({ kind: 'fatal', message: error.message });
  port.close();
});

async function sessionFor(wish: SwarmWish): Promise<Joined> {
  const { infoHash, torrentFile } = wish;
  const known = sessions.get(infoHash);
  sessions.delete(infoHash);
  const isKnown = known?.session.isAlive === true;
  if (isKnown && known.path === wish.pathInTorrent) {
    sessions.set(infoHash, known);
    return known;
  }
  const facts = readTorrentFile(await readFile(torrentFile));
  if (facts.infoHash !== infoHash) throw new Error(`${torrentFile} holds ${facts.infoHash}, not ${infoHash}`);
  const place = { path: wish.pathInTorrent, fileStart: startOf(facts, wish) };
  if (isKnown) {
    const joined = { ...known, ...place };
    sessions.set(infoHash, joined);
    return joined;
  }
  for (const [oldest, { session }] of sessions) {
    if (sessions.size < SESSIONS_MAX) break;
    sessions.delete(oldest);
    await session.leave();
  }
  const session = joinSwarm(client, {
    ...{ facts, limits: settings.limits, isTrackersOnly: !settings.dht && !settings.lsd },
    isOurs: (peerId) => peerId === ownPeerId,
    onRefused: (address, reason) => say({ kind: 'peerRefused', infoHash, address, reason }),
  });
  const joined = { session, ...place, last: null };
  sessions.set(infoHash, joined);
  return joined;
}

/** Where a file begins in its torrent. */
function startOf(facts: TorrentFileFacts, { pathInTorrent, sizeBytes, torrentFile }: SwarmWish): number {
  let start = 0;
  for (const file of facts.files) {
    if (!file.isPadding && file.path.join('/') === pathInTorrent) {
      if (file.sizeBytes === sizeBytes) return start;
      throw new Error(
        `${torrentFile} has ${pathInTorrent} with ${file.sizeBytes} bytes instead of ${sizeBytes}`,
      );
    }
    start += file.sizeBytes;
  }
  throw new Error(`${torrentFile} has no ${pathInTorrent}`);
}

async function fetchRange(wish: SwarmWish, signal: AbortSignal): Promise<SwarmAnswer> {
  if (signal.aborted) return { bytes: null, peers: 0 };
  const joined = await sessionFor(wish);
  const { session, fileStart } = joined;
  const { pieceLength } = session;
  const from = fileStart + wish.startBytes;
  const to = fileStart + wish.endBytes;
  const bytes = new Uint8Array(to - from);
  for (let index = Math.floor(from / pieceLength); index * pieceLength < to; index += 1) {
    const { last } = joined;
    const piece = last?.index === index ? last.bytes : await session.piece(index, signal);
    if (piece === null) return { bytes: null, peers: session.peers() };
    joined.last = { index, bytes: piece };
    const start = index * pieceLength;
    const part = piece.subarray(Math.max(from - start, 0), Math.min(to - start, piece.length));
    bytes.set(part, Math.max(start - from, 0));
  }
  return { bytes, peers: session.peers() };
}

async function answer(id: number, wish: SwarmWish, signal: AbortSignal): Promise<void> {
  try {
    const found = await fetchRange(wish, signal);
    say({ kind: 'answer', id, answer: found }, found.bytes === null ? [] : [found.bytes.buffer]);
  } catch (error) {
    say({ kind: 'refusal', id, message: error instanceof Error ? error.message : String(error) });
  } finally {
    waiting.delete(id);
  }
}

port.on('message', (request: SwarmRequest) => {
  switch (request.kind) {
    case 'fetch': {
      const { id, wish } = request;
      ownPeerId = request.ownPeerId;
      const stop = new AbortController();
      waiting.set(id, stop);
      line = line.then(() => answer(id, wish, stop.signal));
      return;
    }
    case 'cancel':
      waiting.get(request.id)?.abort();
      return;
    case 'stop':
      for (const stop of waiting.values()) stop.abort();
      client.destroy(() => port.close());
  }
});
