import type { Catalog } from './catalog/index.ts';
import { discoverWikis, type FoundDumps, findDumps } from './discovery/index.ts';
import { downloadDump } from './download/index.ts';
import type { Bus } from './events/index.ts';
import { DumpFileId, type TorrentId } from './lib/index.ts';
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
  /** False: downloads are final, nothing goes to the Internet Archive. */
  uploadsEnabled: boolean;
}

/** The order of work; nothing else lives here. */
export interface Pipeline {
  /** Jobs that a sealed cycle needs. */
  sealed(cycleDate: string): JobRequest[];
  /** What a day may have made necessary: a manifest that names what was uploaded since. */
  daily(): JobRequest[];
  /** Derives from the catalog what should be under way and asks for it again; asking twice is a no-op. */
  reconcile(): void;
}

/** Small before large: one step of priority for each doubling of the size, so that most wikis are safe early. */
function downloadRequest(file: { id: DumpFileId; sizeBytes: number }, cycleDate: string): JobRequest {
  const priority = 100 + Math.round(Math.log2(file.sizeBytes + 1));
  return downloadDump.request({ dumpFileId: file.id }, { priority, cycleDate });
}

function seedingRequest(torrentId: TorrentId, cycleDate: string): JobRequest {
  return startSeeding.request({ torrentId }, { cycleDate });
}

/** Says which finished job asks for which next one. Every function here runs inside a committing transaction. */
export function wirePipeline(deps: PipelineDeps): Pipeline {
  const { queue, catalog } = deps;

  function sealed(cycleDate: string): JobRequest[] {
    const held = catalog.dumpFiles(cycleDate).filter((file) => file.verification !== null);
    const hasRegular = held.some((file) => !file.isHistory);
    const hasHistory = held.some((file) => file.isHistory);
    return [
      ...(hasRegular ? [createTorrent.request({ cycleDate, variant: 'regular' })] : []),
      ...(hasHistory ? [createTorrent.request({ cycleDate, variant: 'history' })] : []),
    ];
  }

  /** The barrier: runs in the transaction of whatever finished last, so it can neither fire early nor be missed. */
  function trySeal(cycleDate: string | null): JobRequest[] {
    if (cycleDate === null) return [];
    if (queue.hasUnfinished(cycleDate, ['find_dumps', 'download_dump'])) return [];
    if (!catalog.sealIfSettled(cycleDate)) return [];
    deps.bus.emit('cycle:sealed', { cycleDate });
    return sealed(cycleDate);
  }

  function cycleOf(dumpFileId: number): string | null {
    return catalog.dumpFile(DumpFileId.parse(dumpFileId))?.cycleDate ?? null;
  }

  /** Every wiki was looked at once when the last of a cycle's looks is over, however it ended. */
  function afterLook(cycleDate: string): JobRequest[] {
    if (queue.hasUnfinished(cycleDate, ['find_dumps'])) return [];
    if (catalog.runs(cycleDate).length > 0) catalog.markScanned(cycleDate);
    return trySeal(cycleDate);
  }

  queue.follow(discoverWikis, () =>
    catalog
      .cycles()
      .filter((cycle) => cycle.status === 'open')
      .map(({ cycleDate }) => findDumps.request({ cycleDate, wikiDbName: null })),
  );

  queue.follow(findDumps, ({ cycleDate }, { askSingly }, found: FoundDumps) => {
    const looks = askSingly.map((wikiDbName) => findDumps.request({ cycleDate, wikiDbName }));
    const downloads =
      catalog.cycle(cycleDate)?.status === 'open'
        ? found.map((file) => downloadRequest(file, cycleDate))
        : [];
    if (looks.length > 0) return [...looks, ...downloads];
    return [...downloads, ...afterLook(cycleDate)];
  });
  queue.followFailure(findDumps, ({ cycleDate }) => afterLook(cycleDate));

  // A cycle does not wait for its uploads: the archive takes a few new items an hour, and nothing else depends on it.
  queue.follow(downloadDump, ({ dumpFileId }) => {
    const cycleDate = cycleOf(dumpFileId);
    if (cycleDate === null) return [];
    const upload = deps.uploadsEnabled ? [uploadIa.request({ dumpFileId }, { cycleDate })] : [];
    return [...upload, ...trySeal(cycleDate)];
  });
  queue.followFailure(downloadDump, ({ dumpFileId }) => trySeal(cycleOf(dumpFileId)));

  /** The last upload of a published cycle brings the archive's addresses into the manifest. */
  function afterUpload(dumpFileId: number): JobRequest[] {
    const cycleDate = cycleOf(dumpFileId);
    if (cycleDate === null || catalog.cycle(cycleDate)?.status !== 'published') return [];
    return queue.hasUnfinished(cycleDate, ['upload_ia']) ? [] : [publishManifest.request({})];
  }
  queue.follow(uploadIa, ({ dumpFileId }) => afterUpload(dumpFileId));
  queue.followFailure(uploadIa, ({ dumpFileId }) => afterUpload(dumpFileId));

  queue.follow(createTorrent, ({ cycleDate }) => {
    if (queue.hasUnfinished(cycleDate, ['create_torrent'])) return [];
    catalog.advanceCycle(cycleDate, 'torrented');
    return catalog.torrentsOfCycle(cycleDate).map((torrent) => seedingRequest(torrent.id, cycleDate));
  });

  queue.follow(startSeeding, ({ torrentId }, { isSeeding }) => {
    const cycleDate = catalog.torrent(torrentId)?.cycleDate;
    if (cycleDate === undefined || queue.hasUnfinished(cycleDate, ['start_seeding'])) return [];
    const isServed = catalog.torrentsOfCycle(cycleDate).every((torrent) => torrent.seedingSince !== null);
    // With the embedded engine off, handing over is all there is to do.
    if (isServed || !isSeeding) catalog.advanceCycle(cycleDate, 'seeding');
    return [publishManifest.request({})];
  });
  // A torrent that cannot be seeded here can still be published: mirrors and other operators may hold its files.
  queue.followFailure(startSeeding, () => [publishManifest.request({})]);

  return {
    sealed,
    daily: () => (catalog.torrents().length > 0 ? [publishManifest.request({})] : []),
    reconcile() {
      const requests: JobRequest[] = [];
      for (const { cycleDate, status } of catalog.cycles()) {
        if (status === 'published') continue;
        if (status === 'open') {
          for (const file of catalog.dumpFiles(cycleDate)) {
            const hasHash = file.upstreamMd5 !== null || file.upstreamSha1 !== null;
            if ((file.ourStatus === 'pending' && hasHash) || file.ourStatus === 'downloading')
              requests.push(downloadRequest(file, cycleDate));
            if (deps.uploadsEnabled && file.ourStatus === 'uploading')
              requests.push(uploadIa.request({ dumpFileId: file.id }, { cycleDate }));
          }
        } else if (status === 'sealed') requests.push(...sealed(cycleDate));
        else if (status === 'seeding') requests.push(publishManifest.request({}));
        else
          for (const torrent of catalog.torrentsOfCycle(cycleDate))
            requests.push(seedingRequest(torrent.id, cycleDate));
      }
      queue.enqueue(requests);
    },
  };
}
