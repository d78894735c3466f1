import { readFileSync } from 'node:fs';
import type { Client } from './client.ts';
import { type Lifetime, until } from './lifetime.ts';
import type { Namespace } from './namespace.ts';

interface Found {
  percentDone: number;
  leftUntilDone: number;
  haveValid: number;
  status: number;
  errorString: string;
  webseedsSendingToUs: number;
}

const FIELDS = [
  'percentDone',
  'leftUntilDone',
  'haveValid',
  'status',
  'errorString',
  'webseedsSendingToUs',
  'totalSize',
];

/** transmission-daemon in a network of its own, where the rest of the world has no loopback addresses. */
export async function startTransmission(lifetime: Lifetime, namespace: Namespace): Promise<Client> {
  const configuration = lifetime.folder();
  const [command, ...inside] = namespace.prefix;
  // The network is its own, so the usual ports are free.
  const program = lifetime.program(command!, [
    ...inside,
    'transmission-daemon',
    '--foreground',
    `--config-dir=${configuration}`,
    '--no-portmap',
    '--no-dht',
    '--no-lpd',
    '--no-utp',
    '--no-auth',
    '--no-blocklist',
    '--allowed=*.*.*.*',
    '--encryption-tolerated',
  ]);
  let session = '';
  const call = async <T>(method: string, args: object = {}): Promise<T> => {
    const response = await fetch(`http://${namespace.innerAddress}:9091/transmission/rpc`, {
      method: 'POST',
      headers: { 'X-Transmission-Session-Id': session },
      body: JSON.stringify({ method, arguments: args }),
    });
    if (response.status === 409) {
      session = response.headers.get('x-transmission-session-id') ?? '';
      return call(method, args);
    }
    const answer = (await response.json()) as { result: string; arguments: T };
    if (answer.result !== 'success') throw new Error(`Transmission ${method}: ${answer.result}`);
    return answer.arguments;
  };
  const { version } = await until(
    'transmission-daemon answers',
    () => call<{ version: string }>('session-get'),
    { told: program.output },
  );
  await call('session-set', { 'pex-enabled': false, 'download-queue-enabled': false });
  return {
    name: 'transmission-daemon',
    knowsWebseeds: true,
    knowsPadding: false,
    makesEmptyFiles: !version.startsWith('3.'),
    async get({ torrentFile, infoHash, target }) {
      const metainfo = readFileSync(torrentFile).toString('base64');
      await call('torrent-add', { metainfo, 'download-dir': target, paused: false });
      const found = async () =>
        (await call<{ torrents: Found[] }>('torrent-get', { ids: [infoHash], fields: FIELDS })).torrents[0] ??
        null;
      return {
        async finished(timeoutMs) {
          let last = '';
          await until(
            'Transmission is complete',
            async () => {
              const now = await found();
              last = JSON.stringify(now);
              return now?.percentDone === 1 && now.leftUntilDone === 0 && now.status >= 5;
            },
            { timeoutMs, told: () => last },
          );
        },
        doneBytes: async () => (await found())?.haveValid ?? 0,
        async remove() {
          await call('torrent-remove', { ids: [infoHash], 'delete-local-data': false });
          await until('Transmission lets it go', async () => (await found()) === null);
        },
      };
    },
  };
}
