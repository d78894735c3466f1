import { readFileSync } from 'node:fs';
import type { Client } from './client.ts';
import { type Lifetime, until } from './lifetime.ts';
import { freePort } from './ports.ts';

interface Status {
  status: string;
  completedLength: string;
  errorMessage?: string;
}

/** aria2c, spoken to by JSON-RPC. */
export async function startAria2(lifetime: Lifetime): Promise<Client> {
  const port = await freePort();
  const program = lifetime.program('aria2c', [
    '--enable-rpc',
    `--rpc-listen-port=${port}`,
    `--listen-port=${await freePort()}`,
    '--max-concurrent-downloads=50',
    '--seed-time=0',
    '--enable-dht=false',
    '--enable-dht6=false',
    '--bt-enable-lpd=false',
    '--enable-peer-exchange=false',
    '--no-conf=true',
    '--file-allocation=none',
    '--disable-ipv6=true',
    '--bt-tracker-interval=2',
    '--allow-overwrite=true',
    '--retry-wait=1',
    '--console-log-level=warn',
    '--summary-interval=0',
  ]);
  const call = async <T>(method: string, ...params: unknown[]): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/jsonrpc`, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: `aria2.${method}`, params }),
    });
    const answer = (await response.json()) as { result: T; error?: { message: string } };
    if (answer.error) throw new Error(`aria2 ${method}: ${answer.error.message}`);
    return answer.result;
  };
  await until('aria2c answers', () => call('getVersion'), { told: program.output });
  return {
    name: 'aria2c',
    knowsWebseeds: true,
    knowsPadding: false,
    makesEmptyFiles: true,
    async get({ torrentFile, magnet, target }) {
      const options = { dir: target };
      let gid =
        magnet === undefined
          ? await call<string>('addTorrent', readFileSync(torrentFile).toString('base64'), [], options)
          : await call<string>('addUri', [magnet], options);
      const status = async () => {
        const found = await call<Status & { followedBy?: string[] }>('tellStatus', gid);
        // With a magnet link the torrent file is one download, and what it names another.
        if (found.followedBy?.[0] === undefined) return found;
        gid = found.followedBy[0];
        return call<Status>('tellStatus', gid);
      };
      return {
        async finished(timeoutMs) {
          let last = '';
          await until(
            'aria2c is complete',
            async () => {
              const found = await status();
              last = JSON.stringify(found);
              return found.status === 'complete' && (magnet === undefined || found.completedLength !== '0');
            },
            { timeoutMs, told: () => last.slice(0, 1500) + program.output() },
          );
        },
        doneBytes: async () => Number((await status()).completedLength),
        async remove() {
          await call('forceRemove', gid).catch(() => {});
          await until('aria2c lets it go', () =>
            call('removeDownloadResult', gid).then(
              () => true,
              () => false,
            ),
          );
        },
      };
    },
  };
}
