import type { Torrent, Wire } from 'webtorrent';

/*
 * How many peers may be there at once. webtorrent's own limit is for those that it connects to; whoever connects to us has none.
 */

/**
 * One that was given nothing for so long makes room for a newcomer. Longer than the slowest honest peer waits for a block where 200
 * of them share an upload limit of 11 KB/s.
 */
const IDLE_MS = 5 * 60_000;

/**
 * Incoming TCP connections at once, of all torrents together: whose torrent it is for is known only after the handshake, so silent
 * ones are no torrent's. They live 25 s, and a connection takes some 50 KB and an open file.
 */
const TCP_MAX = 1000;
/** The same for uTP, of which one takes some 150 KB, and is there after one datagram that anybody can forge. */
const UTP_MAX = 500;

/** What a client may let in; an operator who wants more peers for one torrent gets room for their handshakes, too. */
export function incomingMax(maxConnections: number): { tcp: number; utp: number } {
  return { tcp: Math.max(TCP_MAX, 2 * maxConnections), utp: Math.max(UTP_MAX, 2 * maxConnections) };
}

/** The places of all torrents of a client. */
export interface PeerPlaces {
  /**
   * To be called in the torrent's event `wire`. When there are too many, the peer that was given nothing for longest goes, if that is
   * long; else the newcomer does. So those who only hold a place shut nobody out.
   */
  receive(torrent: Pick<Torrent, 'wires'>, wire: Wire): void;
}

/** See `PeerPlaces`. `max`: peers of each torrent; `now` in ms, for tests. */
export function createPeerPlaces({
  max,
  now = () => performance.now(),
}: {
  max: number;
  now?: () => number;
}): PeerPlaces {
  /** When it was given a block, or came. */
  const givenMs = new WeakMap<Wire, number>();
  /** The client takes them off its list a moment later. */
  const leaving = new WeakSet<Wire>();

  function sendAway(wire: Wire): void {
    leaving.add(wire);
    wire.destroy();
  }

  return {
    receive(torrent, wire) {
      givenMs.set(wire, now());
      wire.on('upload', () => givenMs.set(wire, now()));
      const others = torrent.wires.filter((each) => each !== wire && !leaving.has(each));
      if (others.length < max) return;
      const since = (each: Wire): number => givenMs.get(each) ?? now();
      const idlest = others.reduce((one, other) => (since(other) < since(one) ? other : one));
      sendAway(now() - since(idlest) >= IDLE_MS ? idlest : wire);
    },
  };
}
