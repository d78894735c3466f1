import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createSystemClock } from '../../src/ports/index.ts';
import { libtorrentGet, libtorrentPython } from '../helpers/libtorrent.ts';
import { has } from '../helpers/needs.ts';
import { aria2, recordingLog, setup, startTracker, tree } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: what we made is what a stranger with an ordinary client receives, and nothing else is ever served.
 * Method: a torrent from the real torrenting room, the real seeding thread, a real tracker on loopback, and aria2c.
 */

const hasAria2 = has('aria2c');
const python = libtorrentPython();

describe('errors of start_seeding', () => {
  it('fails for good when there is no such torrent', async () => {
    const { seeding, torrents, start } = await setup();
    await seeding.start();
    torrents.length = 0;
    await expect(start()).rejects.toMatchObject({ name: 'PermanentError', code: 'torrent_unknown' });
  });

  it('refuses a torrent with a file of another size, and names it', async () => {
    const { seeding, root, start } = await setup();
    await seeding.start();
    appendFileSync(join(root, 'compressed/en/wikinews/enwikinews-20261120-page.sql.gz'), 'x');
    await expect(start()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'seed_file_changed',
      message: expect.stringContaining('enwikinews-20261120-page.sql.gz'),
    });
  });

  it('refuses a torrent with a missing file, and creates nothing in its place', async () => {
    const { seeding, root, start } = await setup();
    await seeding.start();
    const before = tree(root);
    const victim = join(root, 'compressed/aa/wikipedia/aawiki-20261120-redirect.sql.gz');
    rmSync(victim);
    await expect(start()).rejects.toMatchObject({ name: 'RetryableError', code: 'seed_file_missing' });
    expect(tree(root)).toEqual(before.filter((path) => !victim.endsWith(path)));
  });

  it('asks for a changed file to be read again, once, and not for one that is missing or known to be damaged', async () => {
    const { seeding, root, rows, start, toRepair } = await setup();
    await seeding.start();
    const page = join(root, 'compressed/en/wikinews/enwikinews-20261120-page.sql.gz');
    const bytes = readFileSync(page);
    appendFileSync(page, 'x');
    await expect(start()).rejects.toMatchObject({ code: 'seed_file_changed' });
    await expect(start()).rejects.toMatchObject({ code: 'seed_file_changed' });
    expect(toRepair).toEqual([rows[2]!.id]);
    rmSync(page);
    await expect(start()).rejects.toMatchObject({ code: 'seed_file_missing' });
    expect(toRepair).toHaveLength(1);
    writeFileSync(page, bytes);
    const articles = join(root, 'compressed/aa/wikipedia/aawiki-20261120-pages-articles.xml.bz2');
    appendFileSync(articles, 'x');
    rows[0]!.damagedAt = 1;
    await expect(start()).rejects.toMatchObject({ code: 'seed_file_changed' });
    expect(toRepair).toHaveLength(1);
  });

  it('asks for another attempt while the thread does not run', async () => {
    const { start } = await setup();
    await expect(start()).rejects.toMatchObject({ name: 'RetryableError', code: 'seeder_down' });
  });

  it('is not disturbed by a tracker that cannot be reached', async () => {
    const recorded = recordingLog();
    const warned = recorded.next('a tracker or peer source does not answer');
    const { seeding, start } = await setup({ trackers: ['http://127.0.0.1:9/announce'], log: recorded.log });
    await seeding.start();
    await expect(start()).resolves.toMatchObject({ isSeeding: true });
    await warned;
    expect((await seeding.snapshot()).torrents).toMatchObject([{ isReady: true }]);
  });
});

describe('seeding', () => {
  it('completes as a no-op that says so when it is switched off', async () => {
    const { seeding, start, record, torrents } = await setup({ config: { enabled: false } });
    await seeding.start();
    const output = await start();
    expect(output).toMatchObject({
      isSeeding: false,
      peersPort: null,
      note: expect.stringContaining('switched off'),
    });
    record(output);
    expect(torrents[0]!.seedingSince).toBeNull();
    expect(await seeding.snapshot()).toEqual({ isEnabled: false, port: null, restarts: 0, torrents: [] });
  });

  it.skipIf(!hasAria2)('gives aria2c every byte, also after a restart, and never writes', async () => {
    const tracker = await startTracker();
    const { seeding, createRoom, start, record, made, layout, root } = await setup({
      trackers: [tracker.url],
    });
    await seeding.start();
    record(await start());
    const torrentFile = join(layout.torrents, `${made.name}.torrent`);
    const source = Object.fromEntries(tree(root).map((path) => [path, readFileSync(join(root, path))]));

    const first = temporaryFolder();
    const result = await aria2(torrentFile, first);
    expect(result.code, result.output).toBe(0);
    const received = join(first, made.name);
    expect(tree(received)).toEqual(tree(root));
    for (const [path, bytes] of Object.entries(source)) {
      expect(readFileSync(join(received, path)).equals(bytes), path).toBe(true);
      expect(readFileSync(join(root, path)).equals(bytes), path).toBe(true);
    }
    const facts = await seeding.snapshot();
    expect(facts.port).toBe(seeding.port());
    expect(facts.torrents).toMatchObject([{ infoHash: made.infoHash, isReady: true }]);
    expect(facts.torrents[0]!.uploadedBytes).toBeGreaterThanOrEqual(made.totalSizeBytes);

    await seeding.stop();
    expect(seeding.port()).toBeNull();
    const again = createRoom();
    await again.start();
    const second = temporaryFolder();
    expect((await aria2(torrentFile, second)).code).toBe(0);
    expect(readFileSync(join(second, made.name, 'HASH.txt')).equals(source['HASH.txt']!)).toBe(true);
    // A seeder that starts has finished nothing; aria2c, which leaves at once, sends only `stopped`.
    expect(tracker.completed()).toBe(0);
  });

  it.skipIf(!hasAria2)('serves a file again that was touched, once it was read and found right', async () => {
    const recorded = recordingLog();
    const refused = recorded.next('a file changed and is no longer served');
    const tracker = await startTracker();
    const { seeding, start, made, layout, root, rows, toRepair } = await setup({
      trackers: [tracker.url],
      log: recorded.log,
    });
    await seeding.start();
    await start();
    const path = join(root, 'compressed/aa/wikipedia/aawiki-20261120-pages-articles.xml.bz2');
    const [articles] = rows;
    utimesSync(path, 1_760_000_000, 1_760_000_000);
    const torrentFile = join(layout.torrents, `${made.name}.torrent`);
    const target = temporaryFolder();
    const client = aria2(torrentFile, target);
    await refused;
    expect(toRepair).toEqual([articles!.id]);
    // Nobody has read it: nothing is taken on trust, and nothing on another time than the one it has.
    await seeding.lookAgain(articles!.id);
    articles!.storedMtimeMs = 1_750_000_000_000;
    await seeding.lookAgain(articles!.id);
    articles!.storedMtimeMs = 1_760_000_000_000;
    articles!.damagedAt = 1;
    await seeding.lookAgain(articles!.id);
    articles!.damagedAt = null;
    await seeding.lookAgain(articles!.id);
    const { code, output } = await client;
    expect(code, output).toBe(0);
    expect(readFileSync(join(target, made.name, path.slice(root.length))).equals(readFileSync(path))).toBe(
      true,
    );
  });

  describe('a torrent with padding', () => {
    // The first file is longer than three pieces and ends within one.
    const aligned = { pieceLengthBytes: 2 ** 18, alignFilesFromBytes: 2 ** 20 };
    const seeded = async (trackers: string[] = []) => {
      const room = await setup({ ...aligned, trackers });
      await room.seeding.start();
      expect(await room.start()).toMatchObject({ isSeeding: true });
      expect(room.made).toMatchObject({ alignFilesFromBytes: 3_000_001 });
      expect(tree(room.root).filter((path) => path.includes('.pad'))).toEqual([]);
      const expectAll = (received: string): void => {
        for (const path of tree(room.root))
          expect(readFileSync(join(received, path)).equals(readFileSync(join(room.root, path))), path).toBe(
            true,
          );
      };
      return { ...room, expectAll, torrentFile: join(room.layout.torrents, `${room.made.name}.torrent`) };
    };

    it.skipIf(!hasAria2)('reaches aria2c whole, which writes the padding as zeros', async () => {
      const tracker = await startTracker();
      const { made, root, torrentFile, expectAll } = await seeded([tracker.url]);
      const target = temporaryFolder();
      const result = await aria2(torrentFile, target);
      expect(result.code, result.output).toBe(0);
      const received = join(target, made.name);
      expectAll(received);
      const added = tree(received).filter((path) => !tree(root).includes(path));
      const padBytes = 2 ** 18 - (3_000_001 % 2 ** 18);
      expect(added).toEqual([`.pad/${padBytes}`]);
      expect(readFileSync(join(received, added[0]!)).equals(Buffer.alloc(padBytes))).toBe(true);
    });

    it.skipIf(python === null)(
      'reaches libtorrent whole, which neither asks for the padding nor writes it',
      async () => {
        const { made, root, torrentFile, seeding, expectAll } = await seeded();
        const target = temporaryFolder();
        expect(await libtorrentGet(python!, { torrentFile, target, port: seeding.port()! })).toBe('complete');
        expectAll(join(target, made.name));
        expect(tree(join(target, made.name))).toEqual(tree(root));
      },
    );
  });

  it('listens where it was told to', async () => {
    const { seeding } = await setup();
    await seeding.start();
    const port = seeding.port()!;
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' }, () => {
        socket.destroy();
        resolve();
      });
      socket.on('error', reject);
    });
    await expect(
      new Promise((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.2' }, () => resolve(socket.destroy()));
        socket.on('error', reject);
      }),
    ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('starts another thread when the port is taken, and serves once it is free', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    const recorded = recordingLog();
    const { seeding, torrents, start } = await setup({ config: { port }, log: recorded.log });
    torrents[0]!.seedingSince = 1;
    await seeding.start();
    expect(seeding.port()).toBeNull();
    await expect(start()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'seeding_port_taken',
      message: expect.stringContaining('seeding.port'),
    });
    // Told once in a sentence that names the setting, however often it is tried.
    await expect.poll(async () => (await seeding.snapshot()).restarts).toBe(2);
    expect(recorded.entries.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      `Nothing is seeded: port ${port} on 127.0.0.1 is taken by another program; stop that program, or set seeding.port to a free port (WikiSeed goes on trying).`,
    ]);
    const listening = recorded.next('listening for peers');
    await new Promise<void>((resolve) => blocker.close(() => resolve()));
    await listening;
    await expect.poll(async () => (await seeding.snapshot()).torrents).toMatchObject([{ isReady: true }]);
    expect(await seeding.snapshot()).toMatchObject({ port, restarts: 2 });
  });

  it('starts without a torrent whose files are gone, and says so', async () => {
    const recorded = recordingLog();
    const { seeding, torrents, root } = await setup({ log: recorded.log });
    torrents[0]!.seedingSince = 1;
    renameSync(root, `${root}-moved`);
    await seeding.start();
    expect(seeding.port()).not.toBeNull();
    expect((await seeding.snapshot()).torrents).toMatchObject([
      { isReady: false, state: 'broken', problem: expect.stringContaining('is not there') },
    ]);
    expect(recorded.entries).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'a torrent cannot be seeded' }),
    );
  });

  it.skipIf(!has('mkfifo'))('does not hold up the start of the program when a torrent hangs', async () => {
    const clock = createSystemClock();
    const recorded = recordingLog();
    const { seeding, torrents, layout, made } = await setup({
      log: recorded.log,
      // A hundred times faster.
      clock: { ...clock, sleep: (ms, signal) => clock.sleep(ms / 100, signal) },
    });
    torrents[0]!.seedingSince = 1;
    // Nobody writes into the pipe, so reading it never ends, as with a network disk that is gone.
    const pipe = join(layout.torrents, `${made.name}.torrent`);
    rmSync(pipe);
    execFileSync('mkfifo', [pipe]);
    onTestFinished(() => closeSync(openSync(pipe, 'r+')));
    await seeding.start();
    expect(recorded.entries.map(({ message }) => message)).toContain(
      'the seeding thread is slow to start; going on without waiting for it',
    );
  });

  it('may be stopped before it started, and twice', async () => {
    const { seeding } = await setup();
    await seeding.stop();
    await seeding.start();
    await seeding.stop();
    await seeding.stop();
    expect(seeding.port()).toBeNull();
  });
});
