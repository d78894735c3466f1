import type { Catalog, Torrent } from './catalog/index.ts';
import { findDumps } from './discovery/index.ts';
import { downloadDump } from './download/index.ts';
import type { JobRequest, Queue } from './queue/index.ts';
import { createTorrent, type Grouping, ofCycle, type WhichTorrent, whichIs } from './torrenting/index.ts';

/** Which torrents there should be; from the configuration. */
export interface TorrentsWantedConfig {
  groupings: readonly Grouping[];
  /** A run of fewer held bytes gets no torrent of its own. */
  wikiRunMinSizeBytes: number;
  /** Dump types of the history torrent beside the files marked as history. */
  historyTypes: readonly string[];
  /** Whether each cycle gets a torrent of unpacked files, too; default: no. */
  hasUncompressed?: boolean;
}

/** Says which torrents a cycle lacks. */
export interface TorrentsWanted {
  /** Torrents that a sealed cycle should have and has not: never made, or given up after an error that may have healed. */
  missing(cycleDate: string): JobRequest[];
  /** What settled after the torrents of its cycle were made, once nothing more is to come. */
  supplements(cycleDate: string): JobRequest[];
  /** The same torrent again. */
  again(torrent: Torrent): JobRequest;
  /** The torrent of unpacked files, once what it is unpacked from is in a torrent. */
  unpacked(cycleDate: string): JobRequest[];
  /** What one torrent could not hold. */
  nextPart(torrent: Torrent): JobRequest;
}

/*
 * Lower first. What holds everything comes first; a run of a wiki is read anew, and the large ones take hours, so the small ones
 * are not kept waiting.
 */
const PRIORITIES: Readonly<Record<Grouping, number>> = {
  cycle: 100,
  project: 102,
  language: 102,
  wiki_run: 103,
};

function requestOf(which: WhichTorrent): JobRequest {
  // Unpacking takes hours, and gives nothing that the others have not.
  if (which.variant === 'uncompressed') return createTorrent.request(which, { priority: 110 });
  return createTorrent.request(which, {
    priority: PRIORITIES[which.grouping] + (which.variant === 'regular' ? 0 : 1),
  });
}

/** Reads the catalog only; asking twice for the same is a no-op of the queue. */
export function createTorrentsWanted({
  catalog,
  queue,
  config,
}: {
  catalog: Catalog;
  queue: Pick<Queue, 'hasUnfinished'>;
  config: TorrentsWantedConfig;
}): TorrentsWanted {
  const { historyTypes } = config;

  /** The first torrent of each kind that the cycle has files for. */
  const mainTorrents = (cycleDate: string): WhichTorrent[] =>
    config.groupings.flatMap((grouping) => mainOf(cycleDate, grouping));

  function mainOf(cycleDate: string, grouping: Grouping): WhichTorrent[] {
    const variantOf = ({ isHistory }: { isHistory: boolean }) => (isHistory ? 'history' : 'regular');
    switch (grouping) {
      case 'cycle': {
        const { regular, history } = catalog.heldVariants(cycleDate);
        return [
          ...(regular ? [ofCycle(cycleDate)] : []),
          ...(history ? [ofCycle(cycleDate, { variant: 'history' })] : []),
        ];
      }
      case 'project':
      case 'language':
        return catalog
          .heldScopes(cycleDate, grouping)
          .map(({ scope, ...held }) => ofCycle(cycleDate, { grouping, scope, variant: variantOf(held) }));
      case 'wiki_run':
        return catalog
          .heldRuns(cycleDate, config.wikiRunMinSizeBytes)
          .reverse()
          .map(({ wikiDbName: scope, source, runDate, ...held }) =>
            ofCycle(cycleDate, { grouping, scope, source, runDate, variant: variantOf(held) }),
          );
    }
  }

  /** Torrents that were split and lack a part still, each as its last part. */
  function unfinishedSplits(cycleDate: string, made: readonly Torrent[]): Torrent[] {
    const parts = made.filter(({ part }) => part > 0);
    return parts.filter(
      (torrent) =>
        !parts.some(
          (other) =>
            other.supplement === torrent.supplement &&
            other.part > torrent.part &&
            isSameKind(other, whichIs(torrent)),
        ) && catalog.hasMoreParts(cycleDate, torrent, { supplement: torrent.supplement, historyTypes }),
    );
  }

  const nextPart = (torrent: Torrent): JobRequest =>
    requestOf({ ...whichIs(torrent), part: torrent.part + 1 });

  /** Of the cycle's own files: there are no supplements of it. */
  function unpacked(cycleDate: string): JobRequest[] {
    if (config.hasUncompressed !== true) return [];
    const made = catalog.torrentsOfCycle(cycleDate);
    const isMade = (which: WhichTorrent): boolean => made.some((torrent) => isMainOf(torrent, which));
    const which = ofCycle(cycleDate, { variant: 'uncompressed' });
    return isMade(ofCycle(cycleDate)) && !isMade(which) ? [requestOf(which)] : [];
  }

  return {
    unpacked,
    missing(cycleDate) {
      const made = catalog.torrentsOfCycle(cycleDate);
      // The first file of a kind that the sealed cycle had none of does not make its torrent while more may come.
      const isWhole = made.length === 0 || !catalog.takesFiles(cycleDate) || !catalog.hasUnsettled(cycleDate);
      const lacking = isWhole
        ? mainTorrents(cycleDate).filter((which) => !made.some((torrent) => isMainOf(torrent, which)))
        : [];
      return [
        ...lacking.map(requestOf),
        ...unfinishedSplits(cycleDate, made).map(nextPart),
        ...unpacked(cycleDate),
        // A file that was lost and fetched again is not in its torrent's folder yet; the infohash stays.
        ...catalog.torrentsToMakeAgain(cycleDate).map((torrent) => requestOf(whichIs(torrent))),
      ];
    },

    supplements(cycleDate) {
      if (catalog.takesFiles(cycleDate) && catalog.hasUnsettled(cycleDate)) return [];
      if (queue.hasUnfinished(cycleDate, [findDumps.type, downloadDump.type, createTorrent.type])) return [];
      const made = catalog.torrentsOfCycle(cycleDate);
      const unfinished = unfinishedSplits(cycleDate, made);
      const late = catalog.lateVariants(cycleDate, historyTypes);
      const kinds: WhichTorrent[] = [
        ...(late.regular ? [ofCycle(cycleDate)] : []),
        ...(late.history ? [ofCycle(cycleDate, { variant: 'history' })] : []),
        ...(['project', 'language'] as const).flatMap((grouping) =>
          made.some((torrent) => torrent.grouping === grouping)
            ? catalog
                .lateScopes(cycleDate, grouping, historyTypes)
                .map(({ scope, isHistory }) =>
                  ofCycle(cycleDate, { grouping, scope, variant: isHistory ? 'history' : 'regular' }),
                )
            : [],
        ),
      ];
      return kinds.flatMap((which) => {
        const ofKind = made.filter((torrent) => isSameKind(torrent, which));
        // Without a torrent of its kind it is the cycle's own that is missing.
        if (ofKind.length === 0 || unfinished.some((torrent) => isSameKind(torrent, which))) return [];
        const supplement = Math.max(...ofKind.map((torrent) => torrent.supplement)) + 1;
        return [requestOf({ ...which, supplement })];
      });
    },

    again: (torrent) => requestOf(whichIs(torrent)),
    nextPart,
  };
}

function isSameKind(torrent: Torrent, which: WhichTorrent): boolean {
  const of = whichIs(torrent);
  return (['grouping', 'scope', 'source', 'runDate', 'variant'] as const).every(
    (key) => of[key] === which[key],
  );
}

const isMainOf = (torrent: Torrent, which: WhichTorrent): boolean =>
  torrent.supplement === 0 && isSameKind(torrent, which);
