import type { Lifetime } from './lifetime.ts';

interface TrackerPeer {
  complete: boolean;
  port: number;
}
interface TrackerServer {
  http: { address(): { port: number } };
  torrents: Record<string, { peers: { keys: string[]; peek(id: string): TrackerPeer | undefined } }>;
  on(event: string, listener: () => void): void;
  listen(port: number, host: string, done: () => void): void;
  close(done: () => void): void;
}

/** A real tracker that one client alone is told of: it can only bring that client and our seeder together. */
export interface Tracker {
  url: string;
  /** Ports of those who announced themselves last as having everything, and of those who did not. */
  peers(infoHash: string): { seeders: number[]; leechers: number[] };
}

export async function startTracker(lifetime: Lifetime, host: string): Promise<Tracker> {
  const { Server } = (await import('bittorrent-tracker' as string)) as {
    Server: new (options: object) => TrackerServer;
  };
  const server = new Server({ udp: false, ws: false, stats: false, http: true, interval: 2000 });
  server.on('warning', () => {});
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  lifetime.add(() => new Promise<void>((resolve) => server.close(resolve)));
  return {
    url: `http://${host}:${server.http.address().port}/announce`,
    peers(infoHash) {
      const swarm = server.torrents[infoHash];
      const all = (swarm?.peers.keys ?? []).flatMap((id) => swarm?.peers.peek(id) ?? []);
      const ports = (isSeeder: boolean) =>
        all.filter(({ complete }) => complete === isSeeder).map(({ port }) => port);
      return { seeders: ports(true), leechers: ports(false) };
    },
  };
}
