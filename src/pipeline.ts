import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Catalog, SourceName, Torrent, WantedFile } from './catalog/index.ts';
import { discoverWikis, findDumps } from './discovery/index.ts';
import { downloadDump, repairFile } from './download/index.ts';
import type { Bus } from './events/index.ts';
import { type DumpFileId, errorCode, minutes, type TorrentId } from './lib/index.ts';
import { createOrderOfWork } from './order-of-work.ts';
import type { Clock } from './ports/index.ts';
import { type PruningRoom, pruneStorage, type RecordedPrune } from './pruning/index.ts';
import { publishManifest } from './publishing/index.ts';
import type { JobRequest, Queue } from './queue/index.ts';
import { startSeeding } from './seeding/index.ts';
import { createTorrent } from './torrenting/index.ts';
import { createTorrentsWanted, type TorrentsWantedConfig } from './torrents-wanted.ts';
import { type ProvedItem, proveRemote, uploadIa } from './upload/index.ts';
import { checkWebseeds, watchWebseeds } from './webseeds/index.ts';

/** What the order of work depends on. */
export interface PipelineDeps {
  queue: Queue;
  catalog: Catalog;
  bus: Bus;
  clock: Clock;
  /** Sources that have a run for a cycle. */
  sourcesOf: (cycle: { cycleDate: string; includesHistory: boolean }) => readonly SourceName[];
  /** True once every source of a cycle was looked at to its end. */
  isLookedAt: (cycle: { cycleDate: string; includesHistory: boolean }) => boolean;
  /** Which torrents a cycle should have. */
  torrents: TorrentsWantedConfig;
  /** Tells once what is being written is committed. */
  afterCommit: (tell: () => void) => void;
  /** False: downloads are final, nothing goes to the Internet Archive. */
  uploadsEnabled: boolean;
  /** False: no engine is chosen, torrents are made and published only. */
  seedingEnabled: boolean;
  /** A question about an item at the archive is over. */
  proofEnded: PruningRoom['proofEnded'];
}

/** The order of work; nothing else lives here. */
export interface Pipeline {
  /** Asks for what is wanted of a run that was just written down. A process that dies before it asked finds it at its next start. */
  askForDownloads(run: { wikiDbName: string; source: SourceName; runDate: string }): Promise<void>;
  /** Asks for the repair of held files: a torrent, the seeder or the scrub found them damaged. Asking twice is a no-op. */
  askForRepair(ids: readonly DumpFileId[]): void;
  /** The same for one, for whoever enqueues it. */
  repairRequest(id: DumpFileId): JobRequest;
  /** Looks at every source of every cycle that may still bring files. */
  looks(): JobRequest[];
  /** Jobs that a sealed cycle needs. */
  missingTorrents(cycleDate: string): JobRequest[];
  /** Everything that a day, or an earlier failure, may have left to do. */
  daily(): JobRequest[];
  /** Asks for all of it at once, at start: a lost event or a dead process never loses work. */
  reconcile(): Promise<void>;
  /** Makes a recorded torrent's folder and file again, from the same dump files; the infohash stays. */
  rebuild(torrent: Torrent): void;
}

function seedingRequest(torrentId: TorrentId, cycleDate: string): JobRequest {
  return startSeeding.request({ torrentId }, { cycleDate });
}

/** Requests stored in one turn: some 10 ms. After a rebuild of the database a whole cycle's files may be asked for. */
const AT_ONCE = 250;

/** A slow or dead mirror keeps nobody from seeding for longer. */
const WEBSEEDS_WAITED_FOR_MS = minutes(2);

/** Failures of a download that a change at upstream may explain. */
const LOOK_AGAIN_CODES = ['not_found', 'checksum_mismatch', 'size_mismatch', 'structure_broken'];
/** An hour: whose description was read since then is not looked at again. */
const LOOK_AGAIN_MS = 60 * 60_000;

/** A retired torrent lost files and is not seeded any more. */
const isServable = (torrent: Pick<Torrent, 'retiredAt'>): boolean => torrent.retiredAt === null;

/** Says which finished job asks for which next one. Follow-ups run inside the transaction that completes the job. */
export function wirePipeline(deps: PipelineDeps): Pipeline {
  const { queue, catalog } = deps;
  const order = createOrderOfWork(deps);
  const torrentsWanted = createTorrentsWanted({ queue, catalog, config: deps.torrents });

  /** The most endangered first; see src/order-of-work.ts. */
  function downloads(files: readonly WantedFile[]): JobRequest[] {
    return order
      .priorities(files)
      .map(({ file, priority }) =>
        downloadDump.request({ dumpFileId: file.id }, { priority, cycleDate: file.cycleDate }),
      );
  }

  function looksAt(cycleDate: string): JobRequest[] {
    const cycle = catalog.cycle(cycleDate);
    if (cycle === null) return [];
    return deps
      .sourcesOf(cycle)
      .map((source) => findDumps.request({ cycleDate, source, wikiDbName: null, isInIndex: null }));
  }

  /** Cycles that may still bring files. */
  const cyclesToLookAt = (): string[] =>
    catalog
      .cycles()
      .filter(
        ({ cycleDate, status }) =>
          // A cycle of the future can only come from a clock that was wrong.
          Date.parse(cycleDate) <= deps.clock.now() &&
          (status === 'open' || (catalog.takesFiles(cycleDate) && catalog.mayBringMore(cycleDate))),
      )
      .map(({ cycleDate }) => cycleDate);

  /** Whatever the last download or look of a cycle makes possible. */
  function trySeal(cycleDate: string): JobRequest[] {
    if (queue.hasUnfinished(cycleDate, [findDumps.type, downloadDump.type])) return [];
    const cycle = catalog.cycle(cycleDate);
    if (cycle?.status !== 'open')
      return [...torrentsWanted.missing(cycleDate), ...torrentsWanted.supplements(cycleDate)];
    // A source that never answered has no runs that could be unsettled.
    if (!deps.isLookedAt(cycle) || !catalog.sealIfSettled(cycleDate)) return [];
    deps.afterCommit(() => deps.bus.emit('cycle:sealed', { cycleDate }));
    return torrentsWanted.missing(cycleDate);
  }

  const looks = (): JobRequest[] => cyclesToLookAt().flatMap(looksAt);

  queue.follow(discoverWikis, looks);

  queue.follow(findDumps, ({ cycleDate, source }, { askSingly }) =>
    askSingly.map((wiki) => findDumps.request({ cycleDate, source, ...wiki })),
  );
  // Every wiki was looked at once when the last of a cycle's looks is over, however it ended.
  queue.whenSettled([findDumps.type], (cycleDate) => {
    if (catalog.runs(cycleDate).length > 0) catalog.markScanned(cycleDate);
    return [];
  });

  // What is asked for already need not be asked for again.
  function* downloadsInParts(): Generator<JobRequest[]> {
    const asked = queue.unfinishedDumps(downloadDump.type);
    yield [];
    const files = catalog.filesToDownload(undefined, asked);
    yield [];
    yield downloads(files);
  }
  const wantedDownloads = (): JobRequest[] => [...downloadsInParts()].flat();

  // The last download of a cycle wakes the torrent that waited for a missing or damaged file.
  queue.whenSettled([downloadDump.type], (cycleDate) => {
    queue.hurry(cycleDate, createTorrent.type);
    return [];
  });
  queue.whenSettled([findDumps.type, downloadDump.type], trySeal);
  // So does the last repair; and what a torrent was made without goes into a supplement.
  queue.whenSettled([repairFile.type], (cycleDate) => {
    queue.hurry(cycleDate, createTorrent.type);
    return trySeal(cycleDate);
  });

  // A cycle does not wait for its uploads: the archive takes a few new items an hour, and nothing else depends on it.
  queue.follow(downloadDump, ({ dumpFileId }, _output, _recorded, { cycleDate }) =>
    deps.uploadsEnabled && cycleDate !== null ? [uploadIa.request({ dumpFileId }, { cycleDate })] : [],
  );

  // A listed file that is gone, or whose bytes do not match, may have been published anew: its run is looked at again, unless
  // that was just done and said the same.
  queue.followFailure(downloadDump, ({ dumpFileId }, _job, error) => {
    if (!LOOK_AGAIN_CODES.includes(errorCode(error))) return [];
    const file = catalog.dumpFile(dumpFileId);
    if (file === null || !catalog.takesFiles(file.cycleDate)) return [];
    const { wikiDbName, source, runDate, cycleDate } = file;
    const run = catalog.run(wikiDbName, runDate, source);
    // What counts is when its description was read: a scan that saw nothing new may have passed it by.
    const readAt = (run === null ? null : catalog.runDocumentFacts(run.id)?.askedAt) ?? run?.checkedAt ?? 0;
    if (deps.clock.now() - readAt < LOOK_AGAIN_MS) return [];
    return [findDumps.request({ cycleDate, source, wikiDbName, isInIndex: null })];
  });

  // The last upload of a batch brings the archive's addresses into the manifest.
  queue.whenSettled([uploadIa.type], (cycleDate) =>
    catalog.torrentsOfCycle(cycleDate).length > 0 ? [publishManifest.request({})] : [],
  );

  // A torrent is served as soon as it is made: others of its cycle may read for hours. Seeding waits for the look at its
  // webseeds, and not longer than two minutes.
  queue.follow(createTorrent, (_input, { hasMore }, torrentId: TorrentId) => {
    const torrent = catalog.torrent(torrentId);
    if (torrent === null || !isServable(torrent)) return [];
    const { id, cycleDate } = torrent;
    return [
      checkWebseeds.request({ torrentId: id }, { cycleDate }),
      startSeeding.request({ torrentId: id }, { cycleDate, delayMs: WEBSEEDS_WAITED_FOR_MS }),
      ...(hasMore ? [torrentsWanted.nextPart(torrent)] : torrentsWanted.unpacked(cycleDate)),
    ];
  });
  // One that could not be made holds nothing up.
  queue.whenSettled([createTorrent.type], (cycleDate) => {
    const made = catalog.torrentsOfCycle(cycleDate);
    if (made.length === 0) return [];
    catalog.advanceCycle(cycleDate, 'torrented');
    if (queue.hasUnfinished(cycleDate, [startSeeding.type])) return [];
    const unserved = made.filter((torrent) => isServable(torrent) && torrent.seedingSince === null);
    if (unserved.length > 0) return unserved.map(({ id }) => seedingRequest(id, cycleDate));
    catalog.advanceCycle(cycleDate, 'seeding');
    return [publishManifest.request({})];
  });
  queue.whenSettled([checkWebseeds.type], (cycleDate) => {
    queue.hurry(cycleDate, startSeeding.type);
    return [];
  });
  // What is seeded already is given its new file; before that, seeding publishes it.
  queue.follow(checkWebseeds, ({ torrentId }, { isChanged }) => {
    const torrent = catalog.torrent(torrentId);
    if (!isChanged || torrent === null || torrent.seedingSince === null) return [];
    return [seedingRequest(torrent.id, torrent.cycleDate), publishManifest.request({})];
  });
  queue.follow(watchWebseeds, (_input, { changed }) => [
    ...changed.flatMap((id) => {
      const torrent = catalog.torrent(id);
      // Of a retired one only its .torrent is published.
      return torrent?.seedingSince == null || !isServable(torrent)
        ? []
        : [seedingRequest(id, torrent.cycleDate)];
    }),
    ...(changed.length > 0 ? [publishManifest.request({})] : []),
  ]);

  // A torrent that could not be served for the sake of that file.
  queue.follow(repairFile, ({ dumpFileId }, { state }) => {
    const cycleDate = catalog.dumpFile(dumpFileId)?.cycleDate;
    if (cycleDate === undefined || state === 'damaged' || state === 'gone') return [];
    const names = new Set(catalog.namesInTorrents(dumpFileId).map(({ torrent }) => torrent));
    return catalog
      .torrentsOfCycle(cycleDate)
      .filter(({ name, seedingSince }) => names.has(name) && seedingSince !== null)
      .map(({ id }) => seedingRequest(id, cycleDate));
  });

  queue.follow(startSeeding, ({ torrentId }, { isSeeding }) => {
    const cycleDate = catalog.torrent(torrentId)?.cycleDate;
    if (cycleDate === undefined || queue.hasUnfinished(cycleDate, ['start_seeding'])) return [];
    const isServed = catalog
      .torrentsOfCycle(cycleDate)
      .every((torrent) => torrent.seedingSince !== null || !isServable(torrent));
    // With the embedded engine off, handing over is all there is to do.
    if ((isServed || !isSeeding) && !queue.hasUnfinished(cycleDate, [createTorrent.type]))
      catalog.advanceCycle(cycleDate, 'seeding');
    return [publishManifest.request({})];
  });
  // What cannot be seeded here is published all the same, since others may hold its files; its cycle stays `torrented`
  // and is tried again at the next start and every day.
  queue.followFailure(startSeeding, () => [publishManifest.request({})]);

  // Facts that arrived while the manifest was on its way. While uploads run, the last of them asks again.
  queue.follow(publishManifest, (_input, _output, recorded: { isCurrent: boolean }) => {
    const isUploading = catalog
      .cycles()
      .some(({ cycleDate }) => queue.hasUnfinished(cycleDate, ['upload_ia']));
    return recorded.isCurrent || isUploading ? [] : [publishManifest.request({})];
  });

  // What was deleted is in the manifest, and so are torrents that are not seeded any more. Old proofs are asked for anew, and
  // what they allow goes then.
  queue.follow(
    pruneStorage,
    (_input, { items, removedFiles, removedTorrents }, { isToBeRepeated }: RecordedPrune) => [
      ...items.map((item) => proveRemote.request(item)),
      ...(isToBeRepeated ? [pruneStorage.request({})] : []),
      ...(removedFiles + removedTorrents > 0 ? [publishManifest.request({})] : []),
    ],
  );
  // Whatever was answered, or when nothing was, what waited for it goes on.
  queue.follow(proveRemote, ({ identifier }, { proved }, { toUpload }: ProvedItem) => [
    ...deps.proofEnded(identifier, { isAnswered: true }),
    ...(proved.length > 0 ? [pruneStorage.request({})] : []),
    ...(deps.uploadsEnabled
      ? toUpload.map(({ dumpFileId, cycleDate }) => uploadIa.request({ dumpFileId }, { cycleDate }))
      : []),
  ]);
  queue.followFailure(proveRemote, ({ identifier }) => deps.proofEnded(identifier, { isAnswered: false }));

  /** For its cycle, whose torrents may wait for it. */
  function repairRequest(dumpFileId: DumpFileId): JobRequest {
    const cycleDate = catalog.dumpFile(dumpFileId)?.cycleDate;
    return repairFile.request({ dumpFileId }, cycleDate === undefined ? {} : { cycleDate });
  }

  async function enqueueInParts(requests: readonly JobRequest[]): Promise<void> {
    for (let from = 0; from < requests.length; from += AT_ONCE) {
      if (from > 0) await nextTurn();
      queue.enqueue(requests.slice(from, from + AT_ONCE));
    }
  }

  /**
   * Seals what is settled, and asks for everything the tables say should be under way; asking twice is a no-op. In parts that
   * each read much, so that whoever can wait gives everything else its turn between them.
   */
  function* unfinishedWork(): Generator<JobRequest[]> {
    yield* downloadsInParts();
    if (deps.uploadsEnabled)
      yield catalog
        .filesToUpload()
        .map(({ id, cycleDate }) => uploadIa.request({ dumpFileId: id }, { cycleDate }));
    for (const { cycleDate, status } of catalog.cycles()) {
      if (status !== 'open' && !catalog.takesFiles(cycleDate)) catalog.closeLateWindow(cycleDate);
      yield trySeal(cycleDate);
    }
    // Whatever was made and never served: no engine was chosen then, or it could not serve it. Without an engine that is no news.
    const torrented = new Set(
      catalog.cycles().flatMap((cycle) => (cycle.status === 'torrented' ? [cycle.cycleDate] : [])),
    );
    yield catalog
      .torrents()
      .filter((torrent) => isServable(torrent) && torrent.seedingSince === null)
      .filter(({ cycleDate }) => deps.seedingEnabled || torrented.has(cycleDate))
      .map(({ id, cycleDate }) => seedingRequest(id, cycleDate));
    if (catalog.torrents().length > 0) yield [publishManifest.request({})];
  }

  // Its seeding ended when a file of it was about to be deleted, and names in its folder may be gone: it is made whole, then seeded once more.
  deps.bus.on('torrent:reinstated', ({ torrentId }) => {
    const torrent = catalog.torrent(torrentId);
    if (torrent === null) return;
    queue.enqueue([seedingRequest(torrent.id, torrent.cycleDate), torrentsWanted.again(torrent)]);
  });

  // A torrent whose files were found missing or damaged waits for them; ask for their download.
  deps.bus.on('job:givenBack', ({ jobType, reason }) => {
    if (jobType === createTorrent.type && reason === 'snooze') queue.enqueue(wantedDownloads());
  });

  return {
    async askForDownloads(run) {
      const files = catalog.filesOfRun(run);
      if (files.length > 0) await enqueueInParts(downloads(files));
    },
    askForRepair: (ids) => void queue.enqueue(ids.map(repairRequest)),
    repairRequest,
    looks,
    missingTorrents: torrentsWanted.missing,
    daily: () => [...unfinishedWork()].flat(),
    async reconcile() {
      // Switched off means off, also for what was asked for before.
      if (!deps.uploadsEnabled) queue.cancelPending(uploadIa.type);
      // Stored only when all is known: a sealed cycle's torrents do not wait for downloads that this very start asks for.
      const requests: JobRequest[] = [];
      for (const part of unfinishedWork()) {
        for (const request of part) requests.push(request);
        await nextTurn();
      }
      await enqueueInParts(requests);
    },
    rebuild: (torrent) => {
      if (isServable(torrent)) queue.enqueue([torrentsWanted.again(torrent)]);
    },
  };
}
