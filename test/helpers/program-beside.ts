import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { EngineDown, type EngineDriver, type EngineView } from '../../src/seeding/engines/driver.ts';
import { createExternalEngine } from '../../src/seeding/engines/external.ts';
import { FakeClock } from './fake-clock.ts';
import { makePlainTorrent, type PlainTorrent } from './plain-torrent.ts';
import { temporaryFolder } from './with-db.ts';

/** A torrent that was just added. */
export const VIEW: Omit<EngineView, 'infoHash' | 'savePath'> = {
  ...{ state: 'stopped', isWhole: false, labels: [], message: null },
  ...{ peers: 0, uploadedBytes: 0, uploadBytesPerSecond: 0, seeders: null, leechers: null },
};

/** A program that reads what it is told to for as long as the test wants. */
function program() {
  const has = new Map<string, EngineView>();
  const calls: string[] = [];
  const self = {
    ...{ has, calls, isDown: false, isReading: false },
    /** Those whose bytes are wrong. */
    spoiled: new Set<string>(),
    /** What a call waits for. */
    hold: null as Promise<void> | null,
  };
  const call = async (name: string, infoHash = ''): Promise<EngineView> => {
    calls.push(`${name} ${infoHash}`.trim());
    await self.hold;
    if (self.isDown) throw new EngineDown('It', 'http://127.0.0.1:1', 'nobody is there');
    return has.get(infoHash) ?? { ...VIEW, infoHash, savePath: '' };
  };
  const driver: EngineDriver = {
    ...{ name: 'qbittorrent', title: 'It', readsWhatIsAdded: false },
    async look(hashes) {
      await call('look', hashes.length === 1 ? hashes[0] : '');
      return new Map(hashes.flatMap((hash) => (has.has(hash) ? [[hash, { ...has.get(hash)! }]] : [])));
    },
    async addStopped({ infoHash, savePath }) {
      await call('add', infoHash);
      has.set(infoHash, { ...VIEW, infoHash, savePath });
    },
    wantNothing: async ({ infoHash }) => void (await call('wantNothing', infoHash)),
    setUp: async ({ infoHash }) => void (await call('setUp', infoHash)),
    start: async (hash) => void Object.assign(await call('start', hash), { state: 'seeding' }),
    stop: async (hash) => void Object.assign(await call('stop', hash), { state: 'stopped' }),
    async remove(hash) {
      await call('remove', hash);
      has.delete(hash);
    },
    async readAgain(hash) {
      const state = self.isReading ? 'checking' : 'stopped';
      Object.assign(await call('read', hash), { state, isWhole: !self.isReading && !self.spoiled.has(hash) });
    },
    async beginAgain(torrent, each) {
      await driver.remove(torrent.infoHash, each);
      await driver.addStopped(torrent, each);
    },
    wrongFiles: async () => [],
    peersPort: async () => 6881,
  };
  return Object.assign(self, { driver });
}

function torrentsIn(dataDir: string, count: number): PlainTorrent[] {
  const contentRoot = join(dataDir, 'torrents');
  mkdirSync(contentRoot);
  return Array.from({ length: count }, (_, index) => {
    const name = `t${index}`;
    mkdirSync(join(contentRoot, name));
    writeFileSync(join(contentRoot, name, 'dump.gz'), `bytes of ${index}`);
    const files = [{ path: 'dump.gz', sizeBytes: `bytes of ${index}`.length }];
    return makePlainTorrent({ contentRoot, name, pieceLength: 2 ** 14, files });
  });
}

/** What `createExternalEngine` is made from, with `count` torrents to serve. @param over what its disk does otherwise */
export function setupProgramBeside(count: number, over: (disk: Disk) => Partial<Disk> = () => ({})) {
  const dataDir = temporaryFolder();
  const torrents = torrentsIn(dataDir, count);
  const beside = program();
  const clock = new FakeClock();
  const problems = new Map<string | null, string>();
  const told: string[] = [];
  const damaged: (string | null)[] = [];
  const disk = createNodeDisk();
  const create = () => {
    const engine = createExternalEngine({
      ...{ driver: beside.driver, clock, log: silentLog, dataDir, engineDataDir: null },
      disk: { ...disk, ...over(disk) },
      onProblem(infoHash, problem) {
        if (problem === null) problems.delete(infoHash);
        else {
          problems.set(infoHash, problem.code);
          told.push(`${problem.code} ${infoHash ?? ''}`.trim());
        }
      },
      onDamaged: (_, path) => void damaged.push(path),
    });
    onTestFinished(() => engine.stop());
    return engine;
  };
  const states = async (engine: ReturnType<typeof create>) =>
    (await engine.snapshot()).map(({ state }) => state).join(' ');
  const specs = torrents.map(({ infoHash, torrentFile, contentRoot }) => ({
    ...{ infoHash, torrentFile, contentRoot },
  }));
  const hash = (index: number): string => specs[index]!.infoHash;
  /** Turns the clock on until it is done. */
  async function turning<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    while (!isDone) await clock.advance(100);
    return done;
  }
  return { ...beside, beside, turning, dataDir, clock, problems, told, damaged, create, states, specs, hash };
}
