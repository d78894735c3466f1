import type { Catalog, Torrent } from './catalog/index.ts';
import { discoverWikis, type FoundDumps, findDumps } from './discovery/index.ts';
import { downloadDump } from './download/index.ts';
import type { Bus } from './events/index.ts';
import type { DumpFileId, TorrentId } from './lib/index.ts';
import { publishManifest } from './publishing/index.ts';
import type { JobRequest, Queue } from './queue/index.ts';
import { startSeeding } from './seeding/index.ts';
import { createTorrent } from './torrenting/index.ts';
import { uploadIa } from './upload/index.ts';

/** What the order of work depends on. */
export interface PipelineDeps {
  queue: Queue;
  catalog: Catalog;
  bus: Bus;
  /** Tells once what is being written is committed. */
  afterCommit: (tell: () => void) => void;
  /** False: downloads are final, nothing goes to the Internet Archive. */
  uploadsEnabled: boolean;
}

/** The order of work; nothing else lives here. */
export interface Pipeline {
  /** Jobs that a sealed cycle needs. */
  missingTorrents(cycleDate: string): JobRequest[];
  /** Everything that a day, or an earlier failure, may have left to do. */
  daily(): JobRequest[];
  /** Asks for all of it at once, at start: a lost event or a dead process never loses work. */
  reconcile(): void;
  /** Makes a recorded torrent's folder and file again, from the same dump files; the infohash stays. */
  rebuild(torrent: Torrent): void;
}

/** Small before large: one step of priority for each doubling of the size, so that most wikis are safe early. */
function downloadRequest(file: { id: DumpFileId; sizeBytes: number }, cycleDate: string): JobRequest {
  const priority = 100 + Math.round(Math.log2(file.sizeBytes + 1));
  return downloadDump.request({ dumpFileId: file.id }, { priority, cycleDate });
}

function seedingRequest(torrentId: TorrentId, cycleDate: string): JobRequest {
  return startSeeding.request({ torrentId }, { cycleDate });
}

/** Says which finished job asks for which next one. Follow-ups run inside the transaction that completes the job. */
export function wirePipeline(deps: PipelineDeps): Pipeline {
  const { queue, catalog } = deps;

  /** Torrents that a sealed cycle should have and has not: never made, or given up after an error that may have healed. */
  function missingTorrents(cycleDate: string): JobRequest[] {
    const made = catalog.torrentsOfCycle(cycleDate);
    const isMade = (isHistory: boolean): boolean => made.some((torrent) => torrent.isHistory === isHistory);
    const { regular, history } = catalog.heldVariants(cycleDate);
    return [
      ...(regular && !isMade(false) ? [createTorrent.request({ cycleDate, variant: 'regular' })] : []),
      ...(history && !isMade(true) ? [createTorrent.request({ cycleDate, variant: 'history' })] : []),
      // A file that was lost and fetched again is not in its torrent's folder yet; the infohash stays.
      ...catalog
        .torrentsToMakeAgain(cycleDate)
        .map(({ isHistory }) =>
          createTorrent.request({ cycleDate, variant: isHistory ? 'history' : 'regular' }),
        ),
    ];
  }

  function trySeal(cycleDate: string): JobRequest[] {
    if (queue.hasUnfinished(cycleDate, [findDumps.type, downloadDump.type])) return [];
    if (!catalog.sealIfSettled(cycleDate)) return [];
    deps.afterCommit(() => deps.bus.emit('cycle:sealed', { cycleDate }));
    return missingTorrents(cycleDate);
  }

  queue.follow(discoverWikis, () =>
    catalog
      .cycles()
      .filter((cycle) => cycle.status === 'open')
      .map(({ cycleDate }) => findDumps.request({ cycleDate, wikiDbName: null, isInIndex: null })),
  );

  queue.follow(findDumps, ({ cycleDate }, { askSingly }, found: FoundDumps) => {
    const looks = askSingly.map((wiki) => findDumps.request({ cycleDate, ...wiki }));
    const downloads =
      catalog.cycle(cycleDate)?.status === 'open'
        ? found.map((file) => downloadRequest(file, cycleDate))
        : [];
    return [...looks, ...downloads];
  });
  // Every wiki was looked at once when the last of a cycle's looks is over, however it ended.
  queue.whenSettled([findDumps.type], (cycleDate) => {
    if (catalog.runs(cycleDate).length > 0) catalog.markScanned(cycleDate);
    return [];
  });

  function wantedDownloads(): JobRequest[] {
    return catalog.filesToDownload().map((file) => downloadRequest(file, file.cycleDate));
  }

  // The last download of a cycle wakes the torrent that waited for a missing or damaged file.
  queue.whenSettled([downloadDump.type], (cycleDate) => {
    queue.hurry(cycleDate, createTorrent.type);
    // What a cycle that is over fetches is a lost file of its torrents.
    return catalog.cycle(cycleDate)?.status === 'open' ? [] : missingTorrents(cycleDate);
  });
  queue.whenSettled([findDumps.type, downloadDump.type], trySeal);

  // A cycle does not wait for its uploads: the archive takes a few new items an hour, and nothing else depends on it.
  queue.follow(downloadDump, ({ dumpFileId }, _output, _recorded, { cycleDate }) =>
    deps.uploadsEnabled && cycleDate !== null ? [uploadIa.request({ dumpFileId }, { cycleDate })] : [],
  );

  // The last upload of a batch brings the archive's addresses into the manifest.
  queue.whenSettled([uploadIa.type], (cycleDate) =>
    catalog.torrentsOfCycle(cycleDate).length > 0 ? [publishManifest.request({})] : [],
  );

  // Whatever torrents exist are served, also when another one of the cycle could not be made.
  queue.whenSettled([createTorrent.type], (cycleDate) => {
    const made = catalog.torrentsOfCycle(cycleDate);
    if (made.length === 0) return [];
    catalog.advanceCycle(cycleDate, 'torrented');
    return made.map((torrent) => seedingRequest(torrent.id, cycleDate));
  });

  queue.follow(startSeeding, ({ torrentId }, { isSeeding }) => {
    const cycleDate = catalog.torrent(torrentId)?.cycleDate;
    if (cycleDate === undefined || queue.hasUnfinished(cycleDate, ['start_seeding'])) return [];
    const isServed = catalog.torrentsOfCycle(cycleDate).every((torrent) => torrent.seedingSince !== null);
    // With the embedded engine off, handing over is all there is to do.
    if (isServed || !isSeeding) catalog.advanceCycle(cycleDate, 'seeding');
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

  /** Seals what is settled, and asks for everything the tables say should be under way; asking twice is a no-op. */
  function unfinishedWork(): JobRequest[] {
    const requests = wantedDownloads();
    if (deps.uploadsEnabled)
      for (const { id, cycleDate } of catalog.filesToUpload())
        requests.push(uploadIa.request({ dumpFileId: id }, { cycleDate }));
    for (const { cycleDate, status } of catalog.cycles()) {
      requests.push(...(status === 'open' ? trySeal(cycleDate) : missingTorrents(cycleDate)));
      if (status === 'torrented')
        for (const torrent of catalog.torrentsOfCycle(cycleDate))
          requests.push(seedingRequest(torrent.id, cycleDate));
    }
    if (catalog.torrents().length > 0) requests.push(publishManifest.request({}));
    return requests;
  }

  // A torrent whose files were found missing or damaged waits for them; ask for their download.
  deps.bus.on('job:givenBack', ({ jobType, reason }) => {
    if (jobType === createTorrent.type && reason === 'snooze') queue.enqueue(wantedDownloads());
  });

  return {
    missingTorrents,
    daily: unfinishedWork,
    reconcile() {
      // Switched off means off, also for what was asked for before.
      if (!deps.uploadsEnabled) queue.cancelPending(uploadIa.type);
      queue.enqueue(unfinishedWork());
    },
    rebuild: (torrent) =>
      void queue.enqueue([
        createTorrent.request({
          cycleDate: torrent.cycleDate,
          variant: torrent.isHistory ? 'history' : 'regular',
        }),
      ]),
  };
}
