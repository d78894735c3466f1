import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startAria2 } from '../helpers/clients/aria2.ts';
import type { Client } from '../helpers/clients/client.ts';
import { startLibtorrent } from '../helpers/clients/libtorrent.ts';
import { createLifetime, type Lifetime, until } from '../helpers/clients/lifetime.ts';
import { startMirrors } from '../helpers/clients/mirror.ts';
import { PIECE } from '../helpers/clients/stored-files.ts';
import { startTracker } from '../helpers/clients/tracker.ts';
import { startWebtorrent } from '../helpers/clients/webtorrent.ts';
import { createWorld, differences, type Kind, pieceAt, withEnvelope } from '../helpers/clients/world.ts';
import { libtorrentPython } from '../helpers/libtorrent.ts';
import { has } from '../helpers/needs.ts';
import { rot } from '../helpers/rot.ts';

/*
 * Goal: what real programs make of our torrents in cases of which the matrix knows nothing: a magnet link alone, a webseed that is
 * the address of one file, a file on our disk with a bit that flipped.
 * Method: as in the matrix, on loopback; a tracker for each program, so that it meets our seeder and nobody else.
 */

const python = libtorrentPython();
const hasAria2 = has('aria2c');
const HOST = '127.0.0.1';
/** Two whole pieces and a little from the start of the file. */
const ROTTEN_AT = 2 * PIECE + 5000;
const ROTTEN = 'aawiki-20261120-pages-articles.xml.bz2';

function lifetimeOfTest(): Lifetime {
  const lifetime = createLifetime();
  onTestFinished(() => lifetime.end());
  return lifetime;
}

/** Our seeder at work, with one tracker for each of so many clients. */
async function seeded(lifetime: Lifetime, clients: number) {
  const trackers = await Promise.all(Array.from({ length: clients }, () => startTracker(lifetime, HOST)));
  const world = await createWorld(lifetime, { trackers: trackers.map(({ url }) => url) });
  await world.seed();
  for (const tracker of trackers)
    await until('the seeder announces itself', () =>
      (['cycle', 'wiki_run'] as const).every(
        (kind) => tracker.peers(world.made(kind).infoHash).seeders.length === 1,
      ),
    );
  /** What a client is given: a .torrent with that tracker alone. */
  const wish = (kind: Kind, at: number, webseeds: readonly string[] = []) => {
    const { torrentFile: published, infoHash } = world.made(kind);
    const torrentFile = join(lifetime.folder(), `${kind}.torrent`);
    const tracker = trackers[at]?.url;
    writeFileSync(
      torrentFile,
      withEnvelope(published, { trackers: tracker === undefined ? [] : [tracker], webseeds }),
    );
    return { torrentFile, infoHash, target: lifetime.folder() };
  };
  return { world, trackers, wish };
}

describe('a magnet link alone', () => {
  const expectWhole = async (start: (lifetime: Lifetime) => Promise<Client> | Client) => {
    const lifetime = lifetimeOfTest();
    const { world } = await seeded(lifetime, 1);
    const client = await start(lifetime);
    for (const kind of ['cycle', 'wiki_run'] as const) {
      const made = world.made(kind);
      const target = lifetime.folder();
      // There is no such file: all it knows comes from the link.
      const wish = {
        torrentFile: '/nowhere.torrent',
        magnet: made.magnetLink,
        infoHash: made.infoHash,
        target,
      };
      const transfer = await client.get(wish);
      await transfer.finished(40_000);
      expect(differences(made, target)).toEqual([]);
    }
  };

  it.skipIf(!hasAria2)('is enough for aria2c', () => expectWhole(startAria2));
  it.skipIf(python === null)('is enough for libtorrent', () =>
    expectWhole((lifetime) => startLibtorrent(lifetime, python!)),
  );
});

describe('control: a webseed that is the address of one file', () => {
  const starts: [string, boolean, (lifetime: Lifetime) => Promise<Client> | Client][] = [
    ['aria2c', hasAria2, startAria2],
    ['libtorrent', python !== null, (lifetime) => startLibtorrent(lifetime, python!)],
    ['webtorrent', true, startWebtorrent],
  ];
  const hasMirror = has('nginx');
  for (const [name, isHere, start] of starts)
    it.skipIf(!isHere || !hasMirror)(`gives ${name} nothing`, async () => {
      const lifetime = lifetimeOfTest();
      const { world, wish } = await seeded(lifetime, 0);
      await world.room.stop();
      const [mirror] = await startMirrors(lifetime, { host: HOST, folder: world.layout.dumps, count: 1 });
      const client = await start(lifetime);
      const address = `${mirror!.root}aawiki/20261120/${ROTTEN}`;
      expect((await fetch(address, { method: 'HEAD' })).status).toBe(200);
      const asked = mirror!.requests().length;
      const transfer = await client.get(wish('wiki_run', 0, [address]));
      await until(`${name} asks`, () => mirror!.requests().length > asked);
      const answers = mirror!.requests().slice(asked);
      expect(
        answers.map(({ path, status }) => [path.includes(`${ROTTEN}/aawiki/20261120/`), status]),
      ).toEqual(answers.map(() => [true, 404]));
      expect(await transfer.doneBytes()).toBe(0);
    });
});

describe('a bit that flipped in a stored file', () => {
  it.skipIf(python === null).each(['cycle', 'wiki_run'] as const)(
    'is never given to libtorrent, which gets all the rest of %s',
    async (kind) => {
      const lifetime = lifetimeOfTest();
      const { world, wish } = await seeded(lifetime, 1);
      const stored = join(world.layout.dumps, 'aawiki', '20261120', ROTTEN);
      rot(stored, ROTTEN_AT);
      const client = startLibtorrent(lifetime, python!);
      const { target, ...torrent } = wish(kind, 0);
      const transfer = await client.get({ ...torrent, target });
      const rottenPiece = pieceAt(torrent.torrentFile, ROTTEN, ROTTEN_AT);
      let last = '';
      await until(
        'all other pieces arrive',
        async () => {
          const status = await transfer.status();
          last = JSON.stringify(status);
          return status.missingPieces?.length === 1 && status.missingPieces[0] === rottenPiece;
        },
        { told: () => last },
      );
      await until('the seeder asks for a repair', () => world.askedToRepair.length > 0);
      expect(world.askedToRepair.map((id) => world.filename(id))).toEqual([ROTTEN]);
      // Not one wrong block came: it was not sent, rather than refused by the one who got it.
      expect(await transfer.status()).toMatchObject({ isComplete: false, failedBytes: 0 });
      expect(differences(world.made(kind), target)).toHaveLength(1);
    },
  );

  it.skipIf(!hasAria2)('is never given to aria2c, which gets all the rest', async () => {
    const lifetime = lifetimeOfTest();
    const { world, wish } = await seeded(lifetime, 1);
    const made = world.made('cycle');
    rot(join(world.layout.dumps, 'aawiki', '20261120', ROTTEN), ROTTEN_AT);
    const client = await startAria2(lifetime);
    const { target, ...torrent } = wish('cycle', 0);
    const transfer = await client.get({ ...torrent, target });
    await until(
      'all other pieces arrive',
      async () => (await transfer.doneBytes()) === world.totalBytes('cycle') - PIECE,
    );
    await until('the seeder asks for a repair', () => world.askedToRepair.length > 0);
    const path = `compressed/aa/wikipedia/${ROTTEN}`;
    expect(differences(made, target)).toEqual([`${path} differs`]);
    // Where the piece would be there is nothing, neither the wrong bytes nor those around them.
    const received = readFileSync(join(target, made.infoName, path));
    expect(received.subarray(2 * PIECE, 3 * PIECE).equals(Buffer.alloc(PIECE))).toBe(true);
  });
});
