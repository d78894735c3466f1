import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { libtorrentGet, libtorrentPython } from '../helpers/libtorrent.ts';
import { has } from '../helpers/needs.ts';
import { makePlainTorrent } from '../helpers/plain-torrent.ts';
import { aria2, startTracker } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: a bit that flipped on disk reaches nobody, is told of, and costs peers only the piece it is in.
 * Method: real files, the real seeding thread, real clients; size and time of the damaged file stay what they were.
 */

const PIECE = 2 ** 18;
const FILE_BYTES = 12 * PIECE;
/** Within piece 5. */
const FLIPPED_AT = 5 * PIECE + 1234;
const python = libtorrentPython();

async function damagedTorrent() {
  const contentRoot = temporaryFolder();
  const tracker = await startTracker();
  mkdirSync(join(contentRoot, 'rotten'));
  const path = join(contentRoot, 'rotten', 'dump.bz2');
  const bytes = randomBytes(FILE_BYTES);
  writeFileSync(path, bytes);
  const torrent = makePlainTorrent({
    ...{ contentRoot, name: 'rotten', pieceLength: PIECE, trackers: [tracker.url] },
    files: [{ path: 'dump.bz2', sizeBytes: FILE_BYTES }],
  });
  const { mtimeMs } = statSync(path);
  const writeByte = (value: number): void => {
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.of(value), 0, 1, FLIPPED_AT);
    closeSync(file);
    utimesSync(path, mtimeMs / 1000, mtimeMs / 1000);
  };
  writeByte(bytes[FLIPPED_AT]! ^ 1);
  const room = embeddedSeeder();
  await room.seeder.start([specOf(torrent)]);
  const renew = () =>
    room.seeder.renew({ infoHash: torrent.infoHash, path, mtimeMs: statSync(path).mtimeMs });
  return { ...room, torrent, path, bytes, renew, repair: () => writeByte(bytes[FLIPPED_AT]!) };
}

/** Pieces that a client has right; what it has wrong is a failure. */
function piecesOf(received: string, bytes: Buffer): number[] {
  const got = readFileSync(received);
  const right: number[] = [];
  for (let index = 0; index * PIECE < bytes.length; index += 1) {
    const [mine, theirs] = [bytes, got].map((all) => all.subarray(index * PIECE, (index + 1) * PIECE));
    if (mine!.equals(theirs!)) right.push(index);
    else
      expect(
        theirs!.every((byte) => byte === 0),
        `piece ${index} is neither right nor absent`,
      ).toBe(true);
  }
  return right;
}

const SOUND = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11];

describe('a flipped bit in a stored file', () => {
  it.skipIf(!has('aria2c'))(
    'never reaches aria2c, which gets all other pieces, and the rest after the repair',
    async () => {
      const { torrent, path, bytes, damaged, problems, seeder, renew, repair } = await damagedTorrent();
      const target = temporaryFolder();
      await aria2(torrent.torrentFile, target, 4);
      const received = join(target, 'rotten', 'dump.bz2');
      expect(piecesOf(received, bytes)).toEqual(SOUND);
      expect(damaged).toEqual([{ infoHash: torrent.infoHash, path }]);
      expect([...problems]).toEqual([[torrent.infoHash, 'seed_file_damaged']]);
      expect(await seeder.snapshot()).toMatchObject([
        { state: 'seeding', problem: expect.stringContaining('1 damaged piece') },
      ]);

      repair();
      await renew();
      expect(problems.size).toBe(0);
      const { code, output } = await aria2(torrent.torrentFile, target);
      expect(code, output).toBe(0);
      expect(readFileSync(received).equals(bytes)).toBe(true);
      expect(damaged).toHaveLength(1);
    },
  );

  it.skipIf(python === null)(
    'never reaches libtorrent, which hears that it was repaired while it waits',
    async () => {
      const { torrent, bytes, until, problems, seeder, renew, repair } = await damagedTorrent();
      const target = temporaryFolder();
      const client = libtorrentGet(python!, {
        torrentFile: torrent.torrentFile,
        target,
        port: seeder.port()!,
      });
      await until(() => problems.size > 0);
      repair();
      await renew();
      expect(await client).toBe('complete');
      expect(readFileSync(join(target, 'rotten', 'dump.bz2')).equals(bytes)).toBe(true);
    },
  );
});
