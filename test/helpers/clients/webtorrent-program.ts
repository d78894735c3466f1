import { createInterface } from 'node:readline';
import WebTorrent, { type Torrent } from 'webtorrent';

/*
 * webtorrent as a stranger's program: the package as it comes, with the store it brings, in a process of its own; asked by lines.
 */

interface Question {
  id: number;
  verb: 'add' | 'status' | 'remove';
  key: number;
  torrent: string;
  magnet?: string;
  target: string;
}

/** More of the package than the product uses. */
interface Client {
  add(torrent: string, options: { path: string }): Torrent & { downloaded: number; received: number };
  on(event: 'error', listener: (error: Error) => void): void;
}

const client = new (WebTorrent as unknown as new (options: object) => Client)({
  dht: false,
  lsd: false,
  utPex: false,
  utp: false,
  natUpnp: false,
  natPmp: false,
  tracker: { wrtc: false },
});
client.on('error', (error) => console.error(error));
const torrents = new Map<number, ReturnType<Client['add']>>();

async function answer({ verb, key, torrent, magnet, target }: Question): Promise<object> {
  if (verb === 'add') {
    torrents.set(key, client.add(magnet ?? torrent, { path: target }));
    return {};
  }
  const found = torrents.get(key);
  if (found === undefined) throw new Error(`there is no ${key}`);
  if (verb === 'remove') {
    torrents.delete(key);
    await new Promise<void>((resolve) => found.destroy({ destroyStore: false }, () => resolve()));
    return {};
  }
  return { isComplete: found.done, doneBytes: found.downloaded };
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const question = JSON.parse(line) as Question;
  answer(question).then(
    (found) => console.log(JSON.stringify({ id: question.id, answer: found })),
    (error) => console.log(JSON.stringify({ id: question.id, error: String(error) })),
  );
});
