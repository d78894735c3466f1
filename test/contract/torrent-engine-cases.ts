import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { createNodeDisk, createSystemClock, silentLog } from '../../src/ports/index.ts';
import type { EngineEvents, TorrentEngine } from '../../src/seeding/engine.ts';
import type { EngineDriver } from '../../src/seeding/engines/driver.ts';
import { createExternalEngine } from '../../src/seeding/engines/external.ts';
import type { SeederSettings } from '../../src/seeding/protocol.ts';
import { createSeeder } from '../../src/seeding/seeder.ts';
import { createLifetime, until } from '../helpers/clients/lifetime.ts';
import { canMakeNamespaces, createNamespace, type Namespace } from '../helpers/clients/namespace.ts';
import { startTracker, type Tracker } from '../helpers/clients/tracker.ts';
import { type EngineProgram, qbittorrentProgram, transmissionProgram } from '../helpers/engine-programs.ts';
import { handClock } from '../helpers/hand-clock.ts';
import { has } from '../helpers/needs.ts';
import { makePlainTorrent, type PlainTorrent } from '../helpers/plain-torrent.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * The cases that every seeding engine passes; one file for each engine runs them, so that they run beside each other.
 *
 * Goal: whoever seeds, the promises of `TorrentEngine` hold: what lies on our disk is given to strangers byte for byte, and is never
 * written to, fetched or deleted, whatever is wrong with it.
 * Method: the embedded client and the real programs over the same cases, a real tracker, aria2c as the stranger, and another complete
 * seeder that would gladly give what is missing.
 */

const hasAria2 = has('aria2c');
const isRootHere = (): boolean => {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) console.log('skipped: a program that may write everything needs root');
  return isRoot;
};
const hasNamespaces = () => has('ip') && canMakeNamespaces();
const lifetime = createLifetime();
const never = new AbortController().signal;
const HOUR_MS = 3_600_000;

let namespace: Namespace | null = null;
let tracker: Tracker;

/** What an engine told, and the means to wait for it. */
function listener() {
  const damaged: { infoHash: string; path: string | null }[] = [];
  const problems = new Map<string | null, { code: string; hint?: string }>();
  const events: EngineEvents = {
    onDamaged: (infoHash, path) => void damaged.push({ infoHash, path }),
    onProblem(infoHash, problem) {
      if (problem === null) problems.delete(infoHash);
      else problems.set(infoHash, problem);
    },
  };
  return { damaged, problems, events };
}

function embedded(events: EngineEvents = {}, chosen: Partial<SeederSettings> = {}): TorrentEngine {
  return createSeeder({
    settings: {
      ...{ port: 0, host: null, maxConnections: 20, dht: false, lsd: false, utPex: false },
      ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
      ...chosen,
    },
    ...{ clock: createSystemClock(), log: silentLog, ...events },
  });
}

/** A torrent over random files, with its whole copy elsewhere. */
function makeTorrent(name: string): PlainTorrent & { root: string; dataDir: string } {
  const dataDir = temporaryFolder();
  chmodSync(dataDir, 0o755);
  const contentRoot = join(dataDir, 'torrents');
  const files = [
    { path: 'a/pages-articles.xml.bz2', sizeBytes: 400_001 },
    { path: 'b/empty.sql.gz', sizeBytes: 0 },
    { path: 'b/page.sql.gz', sizeBytes: 77 },
    { path: 'README.txt', sizeBytes: 40_000 },
  ];
  const root = join(contentRoot, name);
  for (const { path, sizeBytes } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), randomBytes(sizeBytes));
    // As what is stored.
    chmodSync(join(root, path), 0o444);
  }
  const torrent = makePlainTorrent({
    contentRoot,
    name,
    files,
    pieceLength: 16_384,
    trackers: [tracker.url],
  });
  return { ...torrent, root, dataDir };
}

/** Everything below a folder, to the last byte and the time. */
function treeOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const path = join(folder, name);
      const facts = statSync(path);
      return [name, facts.isDirectory() ? '' : `${facts.mtimeMs} ${readFileSync(path).toString('base64')}`];
    }),
  );
}

/** A stranger who knows only the .torrent. */
function fetchAll(torrent: PlainTorrent): {
  target: string;
  ended: Promise<number | null>;
  output(): string;
} {
  const target = temporaryFolder();
  const program = lifetime.program('aria2c', [
    ...[
      `--dir=${target}`,
      '--seed-time=0',
      '--enable-dht=false',
      '--enable-dht6=false',
      '--bt-enable-lpd=false',
    ],
    ...['--enable-peer-exchange=false', '--no-conf=true', '--file-allocation=none', '--disable-ipv6=true'],
    ...[
      '--bt-tracker-interval=1',
      '--bt-stop-timeout=45',
      '--console-log-level=warn',
      '--summary-interval=0',
    ],
    torrent.torrentFile,
  ]);
  onTestFinished(() => void program.child.kill('SIGKILL'));
  return { target, ended: program.ended, output: program.output };
}

async function expectFetched(torrent: PlainTorrent & { root: string }): Promise<void> {
  const stranger = fetchAll(torrent);
  expect(await stranger.ended, stranger.output()).toBe(0);
  const bytesOf = (folder: string) =>
    Object.fromEntries(Object.entries(treeOf(folder)).map(([name, text]) => [name, text.split(' ')[1]]));
  expect(bytesOf(join(stranger.target, torrent.name))).toEqual(bytesOf(torrent.root));
}

/** Another folder with the same files. */
function copyOf(torrent: PlainTorrent): string {
  const contentRoot = temporaryFolder();
  cpSync(join(torrent.contentRoot, torrent.name), join(contentRoot, torrent.name), { recursive: true });
  return contentRoot;
}

/** Another seeder, who has everything and announces it. */
async function tempt(torrent: PlainTorrent, contentRoot = copyOf(torrent)): Promise<void> {
  const seeder = embedded();
  onTestFinished(() => seeder.stop());
  await seeder.start([]);
  await seeder.add({ infoHash: torrent.infoHash, torrentFile: torrent.torrentFile, contentRoot }, never);
  await until('the tempter is announced', () =>
    tracker.peers(torrent.infoHash).seeders.includes(seeder.port() ?? -1),
  );
}

const specOf = ({ infoHash, torrentFile, contentRoot }: PlainTorrent) => ({
  infoHash,
  torrentFile,
  contentRoot,
});

function flipBit(path: string): { mend(): number } {
  const { atime, mtime } = statSync(path);
  const bytes = readFileSync(path);
  const write = (content: Buffer): void => {
    chmodSync(path, 0o644);
    writeFileSync(path, content);
    chmodSync(path, 0o444);
    // As a disk does it: nothing but the bytes tells.
    utimesSync(path, atime, mtime);
  };
  const spoiled = Buffer.from(bytes);
  spoiled[100_000]! ^= 1;
  write(spoiled);
  return {
    mend() {
      write(bytes);
      return statSync(path).mtimeMs;
    },
  };
}

type Name = 'webtorrent' | 'qbittorrent' | 'transmission';

interface Subject {
  name: Name;
  /** Prints a line when it is not. */
  isHere: () => boolean;
  launch: ((options: { isRoot: boolean }) => Promise<EngineProgram>) | null;
}

const SUBJECTS: readonly Subject[] = [
  { name: 'webtorrent', isHere: () => true, launch: null },
  {
    name: 'qbittorrent',
    isHere: () => has('qbittorrent-nox'),
    launch: (options) => qbittorrentProgram(lifetime, options),
  },
  {
    name: 'transmission',
    isHere: () => has('transmission-daemon') && hasNamespaces(),
    launch: (options) => transmissionProgram(lifetime, namespace!, options),
  },
];

/**
 * All cases, for one engine.
 * @param options.isRoot the program may write what it likes; only the cases in which it must not
 * @param options.settings of the embedded client
 */
export function torrentEngineContract(
  name: Name,
  { isRoot = false, settings = {} }: { isRoot?: boolean; settings?: Partial<SeederSettings> } = {},
): void {
  const found = SUBJECTS.find((each) => each.name === name)!;
  const { launch } = found;
  const isHere = found.isHere() && (!isRoot || isRootHere());
  let program: EngineProgram;

  beforeAll(async () => {
    // Everything that the program inside would meet must have an address that it does not refuse.
    namespace = name === 'transmission' && isHere ? createNamespace(lifetime) : null;
    tracker = await startTracker(lifetime, namespace?.hostAddress ?? '127.0.0.1');
  });
  afterAll(() => lifetime.end());

  beforeAll(async () => {
    if (isHere && launch !== null) program = await launch({ isRoot });
  });

  /** The engine over a torrent, with what it tells. */
  async function open(torrent: { infoHash: string; dataDir: string }, options: { password?: string } = {}) {
    const told = listener();
    const clock = handClock();
    const driver = launch === null ? null : program.driver(options);
    const engine =
      driver === null
        ? embedded(told.events, settings)
        : createExternalEngine({
            ...{ driver, clock, ...told.events, disk: createNodeDisk(), log: silentLog },
            ...{ dataDir: torrent.dataDir, engineDataDir: null },
          });
    onTestFinished(async () => {
      // A program that does not let us in does not let go either.
      await engine.remove(torrent.infoHash).catch(() => {});
      await engine.stop();
    });
    await engine.start([]);
    /** Lets the engine look until something is so. */
    const looksUntil = (what: string, isSo: () => unknown) =>
      until(what, async () => {
        clock.fire();
        return Boolean(await isSo());
      });
    const state = async () =>
      (await engine.snapshot()).find(({ infoHash }) => infoHash === torrent.infoHash)?.state ?? null;
    return { engine, clock, driver: driver as EngineDriver, ...told, looksUntil, state };
  }

  const subject = it.skipIf(!isHere || !hasAria2);
  const beside = launch === null ? () => {} : it.skipIf(!isHere || !hasAria2);

  subject(
    'gives existing data to a stranger byte for byte, and leaves it all behind when it goes',
    async () => {
      const torrent = makeTorrent(`whole-${name}`);
      const before = treeOf(torrent.contentRoot);
      const { engine, driver, state, problems } = await open(torrent);
      await engine.add(specOf(torrent), never);
      await engine.add(specOf(torrent), never);
      expect(engine.port()).toBeGreaterThan(0);
      expect(await state()).toBe('seeding');
      // How an operator finds what is ours.
      if (driver !== null)
        expect((await driver.look([torrent.infoHash], never)).get(torrent.infoHash)?.labels).toContain(
          'wikiseed',
        );
      await expectFetched(torrent);
      const [activity] = await engine.snapshot();
      expect(activity).toMatchObject({ infoHash: torrent.infoHash, isReady: true, problem: null });
      expect(problems.size).toBe(0);
      await engine.remove(torrent.infoHash);
      await engine.remove(torrent.infoHash);
      expect(await engine.snapshot()).toEqual([]);
      expect(treeOf(torrent.contentRoot)).toEqual(before);
    },
  );

  subject('neither creates nor fetches a missing file, although another seeder has it', async () => {
    const torrent = makeTorrent(`missing-${name}`);
    await tempt(torrent);
    renameSync(join(torrent.root, 'b/page.sql.gz'), join(torrent.dataDir, 'kept'));
    const before = treeOf(torrent.contentRoot);
    const { engine, driver } = await open(torrent);
    await expect(engine.add(specOf(torrent), never)).rejects.toMatchObject({
      code: 'seed_file_missing',
      message: expect.stringContaining('page.sql.gz'),
    });
    if (driver !== null) expect((await driver.look([torrent.infoHash], never)).size).toBe(0);
    expect(treeOf(torrent.contentRoot)).toEqual(before);
    renameSync(join(torrent.dataDir, 'kept'), join(torrent.root, 'b/page.sql.gz'));
    await engine.add(specOf(torrent), never);
    await expectFetched(torrent);
  });

  subject(
    'never gives a flipped bit away, tells of it, writes nothing over it, and goes on when it is mended',
    async () => {
      const torrent = makeTorrent(`flipped-${name}`);
      const sound = copyOf(torrent);
      const path = join(torrent.root, 'a/pages-articles.xml.bz2');
      const { mend } = flipBit(path);
      const before = treeOf(torrent.contentRoot);
      const { engine, damaged, problems, looksUntil, state } = await open(torrent);
      const refused = await engine.add(specOf(torrent), never).then(
        () => null,
        (error: { code: string }) => error.code,
      );
      // A program reads everything first; the embedded client finds it when somebody asks for these bytes.
      expect(refused).toBe(launch === null ? null : 'seed_incomplete');
      if (launch !== null) await tempt(torrent, sound);
      const stranger = fetchAll(torrent);
      await looksUntil('the damage is told', () => damaged.length > 0);
      expect(damaged).toContainEqual({ infoHash: torrent.infoHash, path });
      if (launch !== null) {
        expect(await state()).toBe('stopped');
        expect(problems.get(torrent.infoHash)?.hint).toContain('Do not start it by hand');
      }
      expect(treeOf(torrent.contentRoot)).toEqual(before);
      await engine.renew({ infoHash: torrent.infoHash, path, mtimeMs: mend() });
      expect(await stranger.ended, stranger.output()).toBe(0);
      expect(
        readFileSync(join(stranger.target, torrent.name, 'a/pages-articles.xml.bz2')).equals(
          readFileSync(path),
        ),
      ).toBe(true);
      await looksUntil('the trouble is over', () => problems.size === 0);
    },
  );

  beside('stops a torrent that lost a file while it was seeded, and lets nobody fetch it', async () => {
    const torrent = makeTorrent(`lost-${name}`);
    const { engine, driver, clock, problems, looksUntil, state } = await open(torrent);
    await engine.add(specOf(torrent), never);
    await tempt(torrent);
    renameSync(join(torrent.root, 'b/page.sql.gz'), join(torrent.dataDir, 'kept'));
    const before = treeOf(torrent.contentRoot);
    clock.pass(HOUR_MS);
    await looksUntil('it is told', () => problems.get(torrent.infoHash)?.code === 'seed_file_missing');
    expect(await state()).toBe('stopped');
    expect(treeOf(torrent.contentRoot)).toEqual(before);
    renameSync(join(torrent.dataDir, 'kept'), join(torrent.root, 'b/page.sql.gz'));
    await looksUntil('it is seeded again', async () => (await state()) === 'seeding' && problems.size === 0);
    expect((await driver.look([torrent.infoHash], never)).get(torrent.infoHash)).toMatchObject({
      isWhole: true,
    });
  });

  beside(
    'writes nothing over what rots while it is seeded: not when it is asked for it, read again by hand, or started by hand',
    async () => {
      const torrent = makeTorrent(`spoiled-${name}`);
      const { engine, driver, problems, looksUntil, state } = await open(torrent);
      await engine.add(specOf(torrent), never);
      const { infoHash } = torrent;
      const seen = async () => (await driver.look([infoHash], never)).get(infoHash)!;
      const sound = copyOf(torrent);
      flipBit(join(torrent.root, 'a/pages-articles.xml.bz2'));
      const before = treeOf(torrent.contentRoot);
      const stranger = fetchAll(torrent);
      await tempt(torrent, sound);
      // What it is not given right comes from the other seeder alone: the program could have had it, too.
      expect(await stranger.ended, stranger.output()).toBe(0);
      expect(treeOf(torrent.contentRoot)).toEqual(before);

      // Somebody lets it read everything again; nobody of ours looks.
      await driver.readAgain(infoHash, never);
      await until('the program finds it', async () => {
        const view = await seen();
        return view.state !== 'checking' && !view.isWhole;
      });
      const second = fetchAll(torrent);
      expect(await second.ended, second.output()).toBe(0);
      expect((await seen()).isWhole).toBe(false);
      expect(treeOf(torrent.contentRoot)).toEqual(before);

      await looksUntil('it is told', () => problems.get(infoHash)?.code === 'seed_incomplete');
      expect(await state()).toBe('stopped');
      await driver.start(infoHash, never);
      await until('a hand has started it', async () => (await seen()).state !== 'stopped');
      const third = fetchAll(torrent);
      expect(await third.ended, third.output()).toBe(0);
      await looksUntil('it is stopped again', async () => (await seen()).state === 'stopped');
      expect(treeOf(torrent.contentRoot)).toEqual(before);
    },
  );
  if (isRoot) return;

  beside('leaves alone what somebody stopped by hand, and says so', async () => {
    const torrent = makeTorrent(`stopped-${name}`);
    const { engine, driver, problems, looksUntil, state } = await open(torrent);
    await engine.add(specOf(torrent), never);
    await driver.stop(torrent.infoHash, never);
    await looksUntil('it is told', () => problems.get(torrent.infoHash)?.code === 'stopped_by_hand');
    expect(await state()).toBe('stopped');
    await driver.start(torrent.infoHash, never);
    await looksUntil('it is over', () => problems.size === 0);
  });

  beside('says that the program is away, and serves everything again when it comes back', async () => {
    const torrent = makeTorrent(`away-${name}`);
    const { engine, driver, problems, looksUntil, state } = await open(torrent);
    await engine.add(specOf(torrent), never);
    await program.stop();
    await looksUntil('it is told', () => problems.get(null)?.code === 'engine_down');
    expect(await engine.snapshot()).toMatchObject([{ problem: expect.stringContaining('does not answer') }]);
    await expect(engine.add(specOf(torrent), never)).rejects.toMatchObject({
      name: 'EngineDown',
      code: 'engine_down',
    });
    await program.start();
    await looksUntil('it is over', async () => problems.size === 0 && (await state()) === 'seeding');
    // Its settings were lost: it knows the torrent no more.
    await driver.remove(torrent.infoHash, never);
    await looksUntil('it is given again', async () => (await state()) === 'seeding');
  });

  beside('begins again with what was served before', async () => {
    const torrent = makeTorrent(`again-${name}`);
    const { engine, clock } = await open(torrent);
    await engine.add(specOf(torrent), never);
    await engine.stop();
    expect(clock.armed).toBe(0);
    await engine.start([specOf(torrent)]);
    expect(await engine.snapshot()).toMatchObject([{ infoHash: torrent.infoHash, state: 'seeding' }]);
  });

  beside(
    'takes out what was retired while the program was away, by itself and after a restart of ours',
    async () => {
      const [one, two] = [makeTorrent(`retired-one-${name}`), makeTorrent(`retired-two-${name}`)];
      const torrents = [one, two];
      const before = torrents.map(({ contentRoot }) => treeOf(contentRoot));
      const first = await open(one);
      const second = await open(two);
      await first.engine.add(specOf(one), never);
      await second.engine.add(specOf(two), never);
      await program.stop();
      await expect(first.engine.remove(one.infoHash)).rejects.toMatchObject({ code: 'seeding_not_ended' });
      // This one is remembered by the catalog alone.
      await second.engine.stop();
      await program.start();
      await second.engine.start([], [two.infoHash]);
      await until('both are out', async () => {
        first.clock.fire();
        second.clock.fire();
        const left = await first.driver.look([one.infoHash, two.infoHash], never);
        return left.size === 0;
      });
      expect(torrents.map(({ contentRoot }) => treeOf(contentRoot))).toEqual(before);
    },
  );

  beside('refuses to go on with a wrong password, and says what to set', async () => {
    const torrent = makeTorrent(`password-${name}`);
    const { engine, problems, clock } = await open(torrent, { password: 'wrong' });
    const variable = `${name.toUpperCase()}_PASSWORD`;
    expect(problems.get(null)).toMatchObject({
      code: 'engine_refused',
      hint: expect.stringContaining(variable),
    });
    await expect(engine.add(specOf(torrent), never)).rejects.toMatchObject({
      name: 'HaltPipelineError',
      code: 'engine_refused',
      hint: expect.stringContaining(variable),
    });
    expect(clock.armed).toBe(1);
  });
}
