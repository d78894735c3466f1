import { connect } from 'node:net';
import { join } from 'node:path';
import type { Client } from './client.ts';
import { type Lifetime, until } from './lifetime.ts';
import { freePort } from './ports.ts';

/** Asks by XML-RPC over SCGI; enough of both for single values. */
function callScgi(socketPath: string, method: string, args: readonly string[]): Promise<string> {
  const parameters = args.map((arg) => `<param><value><string>${arg}</string></value></param>`).join('');
  const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${parameters}</params></methodCall>`;
  const headers = `CONTENT_LENGTH\0${Buffer.byteLength(body)}\0SCGI\x001\0`;
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(`${headers.length}:${headers},${body}`));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (answer === '' || answer.includes('<fault>')) reject(new Error(`rtorrent ${method}: ${answer}`));
      else resolve(/<value><\w+>([^<]*)<\/\w+><\/value>/.exec(answer)?.[1] ?? '');
    });
  });
}

/** rtorrent without its screen, spoken to by SCGI. It knows no webseeds: its library has no word for `url-list`. */
export async function startRtorrent(lifetime: Lifetime): Promise<Client> {
  const folder = lifetime.folder();
  const socketPath = join(folder, 'rpc');
  const port = await freePort();
  const program = lifetime.program('rtorrent', [
    '-n',
    '-o',
    [
      'system.daemon.set=true',
      `network.scgi.open_local=${socketPath}`,
      `session.path.set=${folder}`,
      `network.port_range.set=${port}-${port}`,
      'dht.mode.set=disable',
      'protocol.pex.set=no',
      'trackers.use_udp.set=no',
    ].join(','),
  ]);
  const call = (method: string, ...args: string[]) => callScgi(socketPath, method, args);
  await until('rtorrent answers', () => call('system.pid', ''), { told: program.output });
  return {
    name: 'rtorrent',
    knowsWebseeds: false,
    knowsPadding: false,
    makesEmptyFiles: true,
    async get({ torrentFile, infoHash, target }) {
      const id = infoHash.toUpperCase();
      await call('load.start', '', torrentFile, `d.directory.set=${target}`);
      await until('rtorrent has loaded it', () => call('d.hash', id));
      return {
        async finished(timeoutMs) {
          let last = '';
          await until(
            'rtorrent is complete',
            async () => {
              last = `${await call('d.completed_bytes', id)} bytes, "${await call('d.message', id)}"`;
              return (await call('d.complete', id)) === '1' && (await call('d.hashing', id)) === '0';
            },
            { timeoutMs, told: () => last },
          );
        },
        doneBytes: async () => Number(await call('d.completed_bytes', id)),
        async remove() {
          await call('d.erase', id);
        },
      };
    },
  };
}
