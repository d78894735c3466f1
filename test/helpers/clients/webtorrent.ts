import { join } from 'node:path';
import type { Lifetime } from './lifetime.ts';
import { createLines, type LineClient, lineTransfer } from './lines.ts';

/** The package webtorrent as a stranger runs it. */
export function startWebtorrent(lifetime: Lifetime): LineClient {
  const ask = createLines(
    lifetime.program(process.execPath, [join(import.meta.dirname, 'webtorrent-program.ts')]),
  );
  let lastKey = 0;
  return {
    name: 'webtorrent',
    knowsWebseeds: true,
    knowsPadding: false,
    makesEmptyFiles: true,
    async get({ torrentFile, magnet, target }) {
      lastKey += 1;
      const key = lastKey;
      await ask({ verb: 'add', key, torrent: torrentFile, magnet, target });
      return lineTransfer('webtorrent', ask, key);
    },
  };
}
