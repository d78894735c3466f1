import type { SourceName, TorrentFacts } from '../../src/catalog/index.ts';
import { DumpFileId, TorrentId } from '../../src/lib/index.ts';
import type { PruneUsage } from '../../src/storage/index.ts';
import type { Befalling, PruningCommand, RunShape, Telling, Trouble } from './pruning-commands.ts';
import { createJudge } from './pruning-judge.ts';
import { bytesOf, type TrueFile } from './pruning-ledger.ts';
import { createMortalRoom, type MortalRoom, type Settings } from './pruning-process.ts';
import { createWorld, DAY_MS, layout, type World, type WorldSet } from './pruning-world.ts';

const CALM: Trouble = { dies: null, fails: null, meanwhile: null };
const SMALL_BYTES = 1_000_000;
const LARGE_BYTES = 1_500_000_000;
const CYCLES_MAX = 6;
const STATES = ['open', 'sealed', 'torrented', 'seeding', 'published'] as const;

/** Plays a history to its end, which is: everything mended, everything asked for. @throws what the judge finds wrong first */
export async function playPruning(
  commands: readonly PruningCommand[],
  counts: Record<string, number> = {},
): Promise<void> {
  const count = (what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  const world = createWorld();
  const history = createHistory(world, count);
  for (const command of commands) await history.run(command);
  await history.finish();
  count('histories');
}

function choose<T>(list: readonly T[], pick: number): T | undefined {
  return list.length === 0 ? undefined : list[pick % list.length];
}

function createHistory(world: World, count: (what: string) => void) {
  const { catalog, clock, disk, ledger, items } = world;
  const { sqlite } = world.db;
  const paths = { dataDir: layout.dataDir, dumps: layout.dumps, torrents: layout.torrents };
  const judge = createJudge({ ledger, sqlite, paths, count });
  let settings: Settings = { maxAgeDays: 7, minSeeders: 3, isOldestFirst: true, isUploading: false };
  const settle = sqlite.prepare<[Record<string, unknown>]>(
    `UPDATE cycles SET status = @until, sealed_at = @now, published_at = iif(@until = 'published', @now, NULL) WHERE cycle_date = @cycle`,
  );
  let room: MortalRoom | null = null;
  let cycleCount = 0;
  let torrentCount = 0;

  const files = (): { set: WorldSet; file: TrueFile }[] =>
    ledger.sets.flatMap((set) => set.files.map((file) => ({ set, file }))).reverse();
  const held = () => files().filter(({ file }) => world.isHeld(file));

  /** A process that works; every start first ends what the last one began. */
  async function alive(trouble: Trouble = CALM): Promise<MortalRoom | null> {
    if (room !== null) return room;
    const { maxAgeDays } = settings;
    ledger.proofMaxAgeMs = maxAgeDays * DAY_MS;
    const born = createMortalRoom({ world, judge, settings, count, tell });
    const how = await born.start(trouble);
    if (how === 'died') died(trouble);
    else room = born;
    return room;
  }

  function died({ dies }: Trouble): void {
    room = null;
    if (dies?.befalls != null) befall(dies.befalls);
  }

  /** Somebody looks for a file, or reads it. */
  function find(file: TrueFile, what: 'rot' | 'missing'): void {
    const inode = disk.names.get(file.path);
    if (what === 'missing') disk.names.delete(file.path);
    else if (inode !== undefined) disk.change(inode, 'rotten', true);
    const { heldVersion, path } = file;
    file.isKnownBad = true;
    catalog.recordDamaged(DumpFileId.parse(file.id), { sha1: `sha1:${path}#${heldVersion}` });
  }

  async function tell(what: Telling): Promise<void> {
    switch (what.do) {
      case 'wiki': {
        const wiki = choose([...ledger.wikis.values()], what.pick);
        if (wiki === undefined) return;
        if (what.what === 'close') wiki.isClosed = true;
        else if (what.what === 'hide') wiki.isPrivate = true;
        else if (what.what === 'vanish') wiki.isListed = false;
        else if (what.what === 'relabel') wiki.language = wiki.language === 'aa' ? 'zz' : 'aa';
        else Object.assign(wiki, { isClosed: false, isPrivate: false, isListed: true });
        return world.tellWikis();
      }
      case 'look': {
        const one = choose(files(), what.pick);
        if (one === undefined) return;
        const { set, file } = one;
        if (what.what === 'replace' && file.toldVersion !== null) file.toldVersion += 1;
        if (what.what === 'withdraw') file.toldVersion = null;
        if (what.what === 'lack') set.isLacking = true;
        if (what.what === 'hash') set.hash = 'sha1';
        if (what.what === 'unfinish') set.isFinished = false;
        if (what.what === 'mend')
          for (const each of ledger.sets.filter((s) => world.itemOf(s) === world.itemOf(set))) {
            Object.assign(each, { isFinished: true, isLacking: false });
            for (const its of each.files) its.toldVersion ??= its.heldVersion ?? 1;
          }
        return world.look(set);
      }
      case 'find': {
        const one = choose(held(), what.pick);
        if (one === undefined) return;
        if (what.what !== 'all texts missing') return find(one.file, what.what);
        // A disk of its own, perhaps: what is left of the wiki is at the archive, or nowhere.
        for (const { set, file } of held())
          if (set.wiki === one.set.wiki && set.type !== 'pagelinks') find(file, 'missing');
        return;
      }
      case 'ask': {
        const one = choose(
          files().filter(({ file }) => file.saidYes !== null),
          what.pick,
        );
        if (one !== undefined) await world.ask(one.set);
      }
    }
  }

  function beginRun(shape: RunShape, cycle: string): void {
    const wiki = [...ledger.wikis.values()][shape.wiki] as { name: string };
    const { source, parts } = shape;
    const runDate = source === 'classic' ? cycle.replaceAll('-', '') : cycle;
    if (ledger.sets.some((set) => set.wiki === wiki.name && set.source === source && set.runDate === runDate))
      return;
    const sizeBytes = shape.isLarge ? LARGE_BYTES : SMALL_BYTES;
    const sets = shape.types.map((type) =>
      world.addSet(
        {
          ...{ wiki: wiki.name, source, runDate, cycle, type, hash: shape.hash },
          isFinished: shape.state !== 'hanging',
          isLacking: shape.state === 'failed' || shape.state === 'lacking',
        },
        parts,
        sizeBytes,
      ),
    );
    world.look(sets[0] as WorldSet);
    for (const set of sets)
      for (const file of shape.state === 'part' ? set.files.slice(0, -1) : [...set.files]) {
        world.fetch(set, file, true);
        if (shape.isUploaded) world.upload(set, file);
      }
  }

  /** Files of a cycle that are whole now: what a torrent carries. */
  const whole = (cycle: string) =>
    files().filter(
      ({ set, file }) =>
        set.cycle === cycle &&
        world.isHeld(file) &&
        file.toldVersion !== null &&
        file.heldVersion !== null &&
        disk.names.get(file.path)?.bytes === bytesOf(file, file.heldVersion),
    );

  function record(
    facts: Pick<TorrentFacts, 'cycleDate' | 'grouping' | 'isHistory' | 'contentPath'> & Partial<TorrentFacts>,
    carried: { file: TrueFile; path: string; sha1?: string }[],
  ): string {
    torrentCount += 1;
    const name = `wikimedia-dumps-${facts.cycleDate}-${torrentCount}`;
    catalog.recordTorrent({
      ...{ ...facts, name, supplement: 0, payloadVersion: '1.0' },
      ...{ infoHash: String(torrentCount).padStart(40, '0'), magnetLink: 'm', totalSizeBytes: 1 },
      ...{ fileCount: carried.length, pieceLength: 16384, pieceCount: 1 },
      ...{ torrentFilePath: `torrents/${name}.torrent`, trackers: [], webseeds: [], gaps: [] },
      files: carried.map(({ file, path, sha1 = null }) => ({
        ...{ dumpId: DumpFileId.parse(file.id), pathInTorrent: path, sha1 },
        ...{ sizeBytes: file.sizeBytes, verification: null },
      })),
    });
    disk.write(`${layout.torrents}/${name}.torrent`, 'torrent', 1);
    return name;
  }

  function makeTorrent(cycle: string, isHistory: boolean): void {
    const carried = whole(cycle).filter(({ set, file }) =>
      isHistory ? set.type !== 'pagelinks' : file.links.size === 0,
    );
    if (carried.length === 0) return;
    const inTree = (file: TrueFile): string => file.path.replace(layout.dumps, 'compressed');
    const name = record(
      { grouping: 'cycle', cycleDate: cycle, isHistory, contentPath: 'torrents' },
      carried.map(({ file }) => ({ file, path: inTree(file) })),
    );
    disk.write(`${layout.torrents}/${name}/README.txt`, 'read me', 1);
    for (const { file } of carried) {
      const link = `${layout.torrents}/${name}/${inTree(file)}`;
      const inode = disk.names.get(file.path);
      if (inode !== undefined) disk.names.set(link, inode);
      file.links.add(link);
    }
  }

  /** Its files lie where they are stored: it has no names of its own. */
  function makeRunTorrents(cycle: string): void {
    const runs = Map.groupBy(whole(cycle), ({ set }) => `${set.wiki} ${set.source} ${set.runDate}`);
    for (const carried of runs.values()) {
      const { wiki, source, runDate } = (carried[0] as (typeof carried)[number]).set;
      record(
        {
          ...{ grouping: 'wiki_run', cycleDate: cycle, isHistory: false, contentPath: 'dumps' },
          ...{ infoName: wiki, scope: wiki, source: source as SourceName, runDate },
        },
        carried.map(({ file }) => ({ file, path: file.path.slice(`${layout.dumps}/${wiki}/`.length) })),
      );
      count('torrents of a run');
    }
  }

  /** Bytes of its own; mostly so few that dumps must go as well. */
  function makeUnpackedTorrent(cycle: string): void {
    const one = whole(cycle)[0];
    if (one === undefined) return;
    const path = `uncompressed/${one.file.filename.replace('.bz2', '')}`;
    const name = record(
      {
        grouping: 'cycle',
        cycleDate: cycle,
        isHistory: false,
        isUncompressed: true,
        contentPath: 'torrents',
      },
      [{ file: one.file, path, sha1: 'unpacked' }],
    );
    disk.write(`${layout.torrents}/${name}/README.txt`, 'read me', 1);
    const sizeBytes = cycle.endsWith('-03-01') ? 2 * SMALL_BYTES : 1;
    disk.write(`${layout.torrents}/${name}/${path}`, 'unpacked', sizeBytes);
  }

  function makeTorrents(cycle: string): void {
    makeTorrent(cycle, false);
    if (cycle.endsWith('-02-01')) makeTorrent(cycle, true);
    if (!cycle.endsWith('-01-01')) makeRunTorrents(cycle);
    if (/-0[136]-01$/.test(cycle)) makeUnpackedTorrent(cycle);
  }

  function advance(cycle: string, from: (typeof STATES)[number]): void {
    const next = STATES[STATES.indexOf(from) + 1];
    if (next === undefined) return;
    if (next === 'sealed') return void catalog.sealIfSettled(cycle, { force: true });
    if (next === 'torrented') makeTorrents(cycle);
    catalog.advanceCycle(cycle, next as 'published');
  }

  function beginCycle({ runs, until, seeders }: PruningCommand & { do: 'cycle' }): void {
    if (cycleCount === CYCLES_MAX) return;
    cycleCount += 1;
    const cycle = `2026-0${cycleCount}-01`;
    catalog.openCycle({ cycleDate: cycle, includesHistory: true, deadlineAt: clock.now() });
    catalog.markScanned(cycle);
    for (const shape of runs) beginRun(shape, cycle);
    if (until === 'torrented' || until === 'published') makeTorrents(cycle);
    // In one statement what takes four: most of the time would go there.
    if (until !== 'open') settle.run({ cycle, until, now: clock.now() });
    if (seeders === null) return;
    for (const { id } of catalog.torrentsOfCycle(cycle)) {
      catalog.markSeeding(TorrentId.parse(id));
      sqlite
        .prepare('INSERT INTO torrent_stats (torrent_id, seeders, source, recorded_at) VALUES (?, ?, ?, ?)')
        .run(id, seeders, 'tracker', clock.now());
    }
  }

  /** Done by our own daemon, as long as its disk is there. */
  function work({ do: what, pick }: PruningCommand & { pick: number }): void {
    if (disk.hidden !== 'no') return;
    if (what === 'advance' || what === 'torrent') {
      const cycle = choose(catalog.cycles(), pick);
      if (cycle === undefined) return;
      if (what === 'advance') advance(cycle.cycleDate, cycle.status as 'open');
      else if (cycle.status !== 'open' && cycle.status !== 'sealed') makeTorrent(cycle.cycleDate, false);
      return;
    }
    const one = choose(what === 'fetch' ? files() : held(), pick);
    if (one === undefined) return;
    const { set, file } = one;
    const id = DumpFileId.parse(file.id);
    if (what === 'fetch') world.fetch(set, file);
    else if (what === 'upload') world.upload(set, file);
    else if (what === 'reopen') {
      if (!file.isKnownBad && disk.names.has(file.path)) return;
      catalog.reopenDumpFile(id, 'missing or damaged');
      Object.assign(file, { heldVersion: null, isProved: false, isKnownBad: false });
    } else if (what === 'mend' && file.isKnownBad && file.heldVersion !== null) {
      const inode = disk.write(file.path, bytesOf(file, file.heldVersion), file.sizeBytes);
      for (const link of file.links) if (disk.names.has(link)) disk.names.set(link, inode);
      file.writtenMs = inode.mtimeMs;
      file.isKnownBad = false;
      catalog.recordSound(id, { sha1: `sha1:${inode.bytes}`, storedMtimeMs: inode.mtimeMs });
    }
  }

  /** Done by others, or by nature. */
  function befall(command: Befalling): void {
    const one = 'pick' in command ? choose(files(), command.pick) : undefined;
    const inode = one === undefined ? undefined : disk.names.get(one.file.path);
    switch (command.do) {
      case 'lose': {
        if (one === undefined) return;
        const links = command.what === 'all' ? [...one.file.links] : [...one.file.links].slice(0, 1);
        if (command.what === 'name' || command.what === 'all') disk.names.delete(one.file.path);
        if (command.what === 'link' || command.what === 'all')
          for (const link of links) {
            disk.names.delete(link);
            one.file.links.delete(link);
          }
        if (command.what === 'touched' && inode !== undefined) disk.change(inode, 'overwritten', false);
        if (command.what === 'cut' && inode !== undefined) inode.sizeBytes -= 1;
        return;
      }
      case 'rot':
        if (inode !== undefined) disk.change(inode, 'rotten', true);
        return;
      case 'loseAtArchive':
        if (one !== undefined) one.file.archived = null;
        return;
      case 'ownLink': {
        const name = `/home/${one?.file.filename}`;
        if (!disk.names.delete(name) && inode !== undefined) disk.names.set(name, inode);
        return;
      }
      case 'archive':
        if (one === undefined) return;
        if (command.what === 'well') items.delete(world.itemOf(one.set));
        else items.set(world.itemOf(one.set), command.what);
        return;
      case 'program':
        world.program.isAway = command.is === 'away';
        return;
      case 'keep': {
        const torrent = choose(catalog.torrents(), command.pick);
        if (torrent !== undefined) world.program.kept.add(torrent.infoHash);
        return;
      }
      case 'tick':
      case 'setClock':
        clock.setWall(clock.now() + command.days * DAY_MS);
        return;
      case 'mount':
        disk.hidden = command.hidden;
    }
  }

  function usageFor(sets: number, mode: string): PruneUsage | null {
    if (mode === 'unknown') return null;
    const usage = {
      ...{ reservedBytes: 0, totalBytes: 1e15, fileSystemBytes: 1e15, freeBytes: 5e14 },
      ...{ cleanupThresholdPercent: 85, pauseThresholdPercent: 90, safetyMarginBytes: 1000 },
    };
    return {
      ...usage,
      mode: mode as 'normal',
      countedBytes: 8.4e14 + (sets >= 50 ? 1e14 : sets * SMALL_BYTES),
    };
  }

  async function run(command: PruningCommand): Promise<void> {
    switch (command.do) {
      case 'prune': {
        const process = await alive();
        const how = await process?.prune(usageFor(command.sets, command.mode), command.trouble);
        if (how === 'died') died(command.trouble);
        return;
      }
      case 'restart':
        room = null;
        await alive(command.trouble);
        return;
      case 'settings': {
        const { do: _, ...given } = command;
        settings = given;
        room = null;
        return;
      }
      case 'cycle':
        if (disk.hidden === 'no' && (await alive()) !== null) beginCycle(command);
        return;
      case 'wiki':
      case 'look':
      case 'find':
      case 'ask':
        if (disk.hidden === 'no' && (await alive()) !== null) await tell(command);
        return;
      case 'advance':
      case 'fetch':
      case 'upload':
      case 'reopen':
      case 'mend':
      case 'torrent':
        if ((await alive()) !== null) work(command);
        return;
      default:
        befall(command);
    }
  }

  return {
    run,
    async finish() {
      befall({ do: 'mount', hidden: 'no' });
      befall({ do: 'program', is: 'there' });
      world.program.kept.clear();
      room = null;
      await run({ do: 'prune', sets: 50, mode: 'hard_stop', trouble: CALM });
      await run({ do: 'restart', trouble: CALM });
    },
  };
}
