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

/** A profile that speaks on loopback and shouts nowhere. @param preferences of its web interface, `session` of its client */
export function writeQbittorrentProfile(
  profile: string,
  facts: { web: number; peers: number; preferences: readonly string[]; session?: readonly string[] },
): void {
  const folder = join(profile, 'qBittorrent', 'config');
  mkdirSync(folder, { recursive: true });
  const session = [
    ...['DHTEnabled=false', 'LSDEnabled=false', 'PeXEnabled=false', 'QueueingSystemEnabled=false'],
    ...[`Port=${facts.peers}`, 'BTProtocol=TCP', 'MultiConnectionsPerIp=true', ...(facts.session ?? [])],
  ];
  const preferences = ['Address=127.0.0.1', `Port=${facts.web}`, 'UseUPnP=false', ...facts.preferences];
  writeFileSync(
    join(folder, 'qBittorrent.conf'),
    [
      ...['[LegalNotice]', 'Accepted=true', ''],
      ...['[BitTorrent]', ...session.map((line) => `Session\\${line}`), ''],
      ...['[Network]', 'PortForwardingEnabled=false', ''],
      ...['[Preferences]', ...preferences.map((line) => `WebUI\\${line}`), ''],
    ].join('\n'),
  );
}

/** qbittorrent-nox with a profile of its own, spoken to by its web interface. */
export async function startQbittorrent(lifetime: Lifetime): Promise<Client> {
  const profile = lifetime.folder();
  const [web, peers] = [await freePort(), await freePort()];
  writeQbittorrentProfile(profile, { web, peers, preferences: ['LocalHostAuth=false'] });
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
