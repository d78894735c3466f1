import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from './client.ts';
import { type Lifetime, until } from './lifetime.ts';
import { freePort } from './ports.ts';

interface Info {
  state: string;
  amount_left: number;
  completed: number;
}

/** States in which everything is there. */
const COMPLETE = /^(uploading|stalledUP|forcedUP|queuedUP|pausedUP|stoppedUP)$/;

/** qbittorrent-nox with a profile of its own, spoken to by its web interface. */
export async function startQbittorrent(lifetime: Lifetime): Promise<Client> {
  const profile = lifetime.folder();
  const [web, peers] = [await freePort(), await freePort()];
  mkdirSync(join(profile, 'qBittorrent', 'config'), { recursive: true });
  writeFileSync(
    join(profile, 'qBittorrent', 'config', 'qBittorrent.conf'),
    `[LegalNotice]
Accepted=true

[BitTorrent]
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
Session\\QueueingSystemEnabled=false
Session\\Port=${peers}
Session\\BTProtocol=TCP
Session\\MultiConnectionsPerIp=true

[Network]
PortForwardingEnabled=false

[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\LocalHostAuth=false
WebUI\\Port=${web}
WebUI\\UseUPnP=false
`,
  );
  const program = lifetime.program('qbittorrent-nox', [`--profile=${profile}`], { HOME: profile });
  const base = `http://127.0.0.1:${web}/api/v2`;
  const call = async (path: string, body?: FormData | URLSearchParams): Promise<Response> => {
    const response = await fetch(`${base}/${path}`, {
      ...(body === undefined ? {} : { method: 'POST', body }),
      headers: { Referer: `http://127.0.0.1:${web}` },
    });
    if (!response.ok) throw new Error(`qBittorrent ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  await until('qbittorrent-nox answers', () => call('app/version'), { told: program.output });
  return {
    name: 'qbittorrent-nox',
    knowsWebseeds: true,
    knowsPadding: true,
    makesEmptyFiles: true,
    async get({ torrentFile, infoHash, target }) {
      const form = new FormData();
      form.append(
        'torrents',
        new Blob([readFileSync(torrentFile)], { type: 'application/x-bittorrent' }),
        'a.torrent',
      );
      const wishes = {
        savepath: target,
        autoTMM: 'false',
        paused: 'false',
        stopped: 'false',
        contentLayout: 'Original',
      };
      for (const [name, value] of Object.entries(wishes)) form.append(name, value);
      await call('torrents/add', form);
      const info = async (): Promise<Info | null> => {
        const found = (await (await call(`torrents/info?hashes=${infoHash}`)).json()) as Info[];
        return found[0] ?? null;
      };
      return {
        async finished(timeoutMs) {
          let last = '';
          await until(
            'qBittorrent is complete',
            async () => {
              const found = await info();
              last = JSON.stringify(found);
              return found !== null && found.amount_left === 0 && COMPLETE.test(found.state);
            },
            { timeoutMs, told: () => last },
          );
        },
        doneBytes: async () => (await info())?.completed ?? 0,
        async remove() {
          await call('torrents/delete', new URLSearchParams({ hashes: infoHash, deleteFiles: 'false' }));
          await until('qBittorrent lets it go', async () => (await info()) === null);
        },
      };
    },
  };
}
