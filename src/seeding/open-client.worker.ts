import { lookup } from 'node:dns/promises';
import type { EventEmitter } from 'node:events';
import { isIP } from 'node:net';
import type WebTorrentClient from 'webtorrent';
import { loadWebTorrent, problemOf } from './load-webtorrent.worker.ts';
import { incomingMax } from './peer-places.worker.ts';
import { type Lack, NOT_LOADABLE, type SeederSettings } from './protocol.ts';
import { tryUdpPort } from './udp-port.worker.ts';
import { prepareUtp } from './utp-sockets.worker.ts';

/** The embedded client with all ways to peers that can be had here. */
export interface OpenClient {
  client: WebTorrentClient;
  /** What was wanted and cannot be had. */
  lacks: Lack[];
  isWebrtc: boolean;
}

/**
 * Creates the client; it listens later.
 * @throws Error when webtorrent itself cannot be loaded
 */
export async function openClient(settings: SeederSettings): Promise<OpenClient> {
  const { port, utp: wantsUtp = false, webrtc: wantsWebrtc = false } = settings;
  const lacks: Lack[] = [];
  const { WebTorrent, webrtcProblem } = await loadWebTorrent({ webrtc: wantsWebrtc });
  if (webrtcProblem !== null) lacks.push({ what: 'webrtc', code: NOT_LOADABLE, message: webrtcProblem });
  const isWebrtc = wantsWebrtc && webrtcProblem === null;

  // The table's network is that of IPv4, and so is uTP's.
  const udpHost = settings.host === '::' ? null : settings.host;
  // Tried before: the client ends altogether when its table of peers has no port, and other peers do without it.
  const udpProblem = settings.dht || wantsUtp ? await tryUdpPort(port, udpHost) : null;
  if (udpProblem !== null && settings.dht) lacks.push({ what: 'dht', ...udpProblem });
  if (udpProblem !== null && wantsUtp) lacks.push({ what: 'utp', ...udpProblem });
  const hasDht = settings.dht && udpProblem === null;
  const most = incomingMax(settings.maxConnections);
  let tableSocket: EventEmitter | null = null;
  if (wantsUtp && udpProblem === null) {
    const address = await ipv4Of(udpHost);
    const message = await problemOf(() => {
      tableSocket = prepareUtp({ host: address, max: most.utp });
    });
    if (message !== null) lacks.push({ what: 'utp', code: NOT_LOADABLE, message });
  }
  const client = new WebTorrent({
    // webtorrent hands these to `server.listen` and `socket.bind`, which take an address too; there is no other way to name one.
    torrentPort: settings.host === null ? port : { port, host: settings.host },
    dhtPort: udpHost === null ? port : { port, address: udpHost },
    maxConns: settings.maxConnections,
    // With uTP both have the one port.
    dht: hasDht && tableSocket !== null ? { socket: tableSocket } : hasDht,
    lsd: settings.lsd,
    utPex: settings.utPex,
    uploadLimit: settings.uploadLimitBytesPerSecond ?? -1,
    userAgent: settings.userAgent,
    // Opening the operator's router is the operator's decision.
    natUpnp: false,
    natPmp: false,
    utp: tableSocket !== null,
    // Without it nothing is announced to WebSocket trackers.
    tracker: isWebrtc ? { rtcConfig: rtcConfigOf(settings) } : { wrtc: false },
    // We have every byte: nothing is to be fetched from anywhere.
    webSeeds: false,
  });
  client._connPool.tcpServer.maxConnections = most.tcp;
  return { client, lacks, isWebrtc };
}

/** A name may have other addresses, which uTP does not know. */
async function ipv4Of(host: string | null): Promise<string | null> {
  return host === null || isIP(host) !== 0 ? host : (await lookup(host, { family: 4 })).address;
}

function rtcConfigOf({ host, stunServers }: SeederSettings) {
  const isOneAddress = host !== null && isIP(host) !== 0 && host !== '::' && host !== '0.0.0.0';
  return {
    ...(stunServers === undefined ? {} : { iceServers: stunServers.map((urls) => ({ urls })) }),
    ...(isOneAddress ? { bindAddress: host } : {}),
  };
}
