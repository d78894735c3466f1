import type { Catalog } from './catalog/index.ts';
import { discoverWikis, type FoundDumps, findDumps } from './discovery/index.ts';
import { downloadDump } from './download/index.ts';
import type { Bus } from './events/index.ts';
import { DumpFileId } from './lib/index.ts';
import type { JobRequest, Queue } from './queue/index.ts';
import { publishManifest } from './publishing/index.ts';
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
  /** Derives from the catalog what should be under way and asks for it again; asking twice is a no-op. */
  reconcile(): void;
}

/** Small before large: one step of priority for each doubling of the size, so that most wikis are safe early. */
function downloadRequest(file: { id: DumpFileId; sizeBytes: number }): JobRequest {
  const priority = 100 + Math.round(Math.log2(file.sizeBytes + 1));
  return downloadDump.request({ dumpFileId: file.id }, { priority });
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
    if (queue.hasUnfinished(cycleDate, ['find_dumps', 'download_dump', 'upload_ia'])) return [];
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
    const downloads = catalog.cycle(cycleDate)?.status === 'open' ? found.map(downloadRequest) : [];
    if (looks.length > 0) return [...looks, ...downloads];
    return [...downloads, ...afterLook(cycleDate)];
  });
  queue.followFailure(findDumps, ({ cycleDate }) => afterLook(cycleDate));

  queue.follow(downloadDump, ({ dumpFileId }) =>
    deps.uploadsEnabled ? [uploadIa.request({ dumpFileId })] : trySeal(cycleOf(dumpFileId)),
  );
  queue.followFailure(downloadDump, ({ dumpFileId }) => trySeal(cycleOf(dumpFileId)));

  queue.follow(uploadIa, ({ dumpFileId }) => afterUpload(dumpFileId));
  queue.followFailure(uploadIa, ({ dumpFileId }) => trySeal(cycleOf(dumpFileId)));

  function afterUpload(dumpFileId: number): JobRequest[] {
    const cycleDate = cycleOf(dumpFileId);
    const isLate = cycleDate !== null && catalog.cycle(cycleDate)?.status === 'published';
    // An upload that outlived its cycle still belongs into the manifest; one publication serves the whole batch.
    if (isLate && !queue.hasUnfinished(cycleDate, ['upload_ia'])) return [publishManifest.request({})];
    return trySeal(cycleDate);
  }

  queue.follow(createTorrent, ({ cycleDate }) => {
    if (queue.hasUnfinished(cycleDate, ['create_torrent'])) return [];
    catalog.advanceCycle(cycleDate, 'torrented');
    return catalog.torrentsOfCycle(cycleDate).map((torrent) => startSeeding.request({ torrentId: torrent.id }));
  });

  queue.follow(startSeeding, ({ torrentId }) => {
    const cycleDate = catalog.torrent(torrentId)?.cycleDate;
    if (cycleDate === undefined) return [];
    const isLast = catalog.torrentsOfCycle(cycleDate).every((torrent) => torrent.seedingSince !== null);
    if (!isLast) return [];
    catalog.advanceCycle(cycleDate, 'seeding');
    return [publishManifest.request({})];
  });
  // A torrent that cannot be seeded here can still be published: mirrors and other operators may hold its files.
  queue.followFailure(startSeeding, () => [publishManifest.request({})]);

  return {
    sealed,
    reconcile() {
      const requests: JobRequest[] = [];
      for (const { cycleDate, status } of catalog.cycles()) {
        if (status === 'published') continue;
        if (status === 'open') {
          for (const file of catalog.dumpFiles(cycleDate)) {
            const hasHash = file.upstreamMd5 !== null || file.upstreamSha1 !== null;
            if ((file.ourStatus === 'pending' && hasHash) || file.ourStatus === 'downloading')
              requests.push(downloadRequest(file));
            if (deps.uploadsEnabled && file.ourStatus === 'uploading')
              requests.push(uploadIa.request({ dumpFileId: file.id }));
          }
        } else if (status === 'sealed') requests.push(...sealed(cycleDate));
        else if (status === 'seeding') requests.push(publishManifest.request({}));
        else
          for (const torrent of catalog.torrentsOfCycle(cycleDate))
            requests.push(startSeeding.request({ torrentId: torrent.id }));
      }
      queue.enqueue(requests);
    },
  };
}
