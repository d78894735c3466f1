import WebTorrent, { type Torrent, type Wire } from 'webtorrent';

/*
 * webtorrent as a stranger's program that has no way to peers but WebRTC: the package as it comes, in a process of its own.
 * Use: `node webrtc-program.ts <torrent file> <target>`; prints `wire <type>` for each connection, then `done`, and exits.
 */

/** More of the package than the product uses. */
interface Client {
  add(torrent: string, options: { path: string }): Torrent;
  on(event: 'error', listener: (error: Error) => void): void;
}

const [torrentFile, target] = process.argv.slice(2) as [string, string];
const client = new (WebTorrent as unknown as new (options: object) => Client)({
  ...{ dht: false, lsd: false, utPex: false, utp: false, natUpnp: false, natPmp: false },
  tracker: { rtcConfig: { iceServers: [], bindAddress: '127.0.0.1' } },
});
client.on('error', (error) => console.error(error));
const torrent = client.add(torrentFile, { path: target });
torrent.on('wire', (wire: Wire) => console.log(`wire ${wire.type}`));
torrent.on('warning', (error: Error) => console.error(error.message));
torrent.on('done', () => {
  console.log('done');
  // Not `exit`, which may wait for native threads.
  process.stdout.write('', () => process.kill(process.pid, 'SIGKILL'));
});
