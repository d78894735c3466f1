import type { DumpFile, Torrent } from '../catalog/index.ts';
import { belongingTo, isHeld, isSound, noticesOf } from './belonging.ts';
import { placeInTree } from './payload/content.ts';
import { newPayloadVersion } from './payload/header.ts';
import { byPlace, type Selection, type SelectionOptions, supplementedBy } from './selection.ts';
import { type WhichTorrent, whichIs } from './which-torrent.ts';

/**
 * What a recorded torrent was made from, from its own rows alone: files that settled, notices that changed, wikis that
 * were renamed and hashes that were published since leave no trace.
 */
export function selectRecorded(options: SelectionOptions, torrent: Torrent): Selection {
  const files = filesOf(options, torrent);
  const what = whatIs(options, torrent);
  return {
    ...what,
    payloadVersion: newPayloadVersion({ ...what, alignFilesFromBytes: torrent.alignFilesFromBytes }),
    alignFilesFromBytes: torrent.alignFilesFromBytes,
    included: files.filter(isSound),
    absent: [],
    damaged: [],
    lost: files.filter((file) => !isSound(file)),
    gaps: options.catalog.torrentGaps(torrent.id),
    firstForm: null,
  };
}

/**
 * The same for a torrent of payload 1.0. Its gaps, notices and run states were not kept, so they are taken from the catalog
 * of today; what differs from the day it was made gives another infohash, and then the torrent is left as it is. A file
 * that settled since was `missing` in it.
 */
export function selectFirstForm(options: SelectionOptions, torrent: Torrent): Selection {
  const { catalog, cycleDate, variant } = options;
  const all = catalog.dumpFiles(cycleDate);
  const belonging = belongingTo(variant, all, options.historyTypes);
  const files = filesOf(options, torrent);
  const ids = new Set(files.map(({ id }) => id));
  const others = all.filter((file) => belonging.ofFile(file) && !ids.has(file.id)).sort(byPlace);
  // Those without a place were never missing: the texts give them another state.
  const leftOut = new Set(
    placeInTree([...files, ...others.filter(isHeld)]).leftOut.map(({ dump }) => dump.id),
  );
  const runs = catalog.runs(cycleDate).sort(byPlace);
  const wikis = new Map(catalog.wikis().map((wiki) => [wiki.wikiDbName, wiki]));
  const notices = runs.flatMap(({ wikiDbName, runDate, ...run }) =>
    noticesOf(run)
      .filter(({ dumpType }) => belonging.ofNotice(dumpType, run))
      .map(({ dumpType, reason }) => ({
        ...{ wikiDbName, runDate, dumpType, reason },
        project: wikis.get(wikiDbName)?.project ?? '',
        language: wikis.get(wikiDbName)?.language ?? '',
      })),
  );
  return {
    ...whatIs(options, torrent),
    payloadVersion: '1.0',
    alignFilesFromBytes: null,
    included: [...files, ...others.filter(({ id }) => leftOut.has(id))].filter(isHeld).sort(byPlace),
    absent: others.filter(({ id }) => !leftOut.has(id)),
    damaged: [],
    lost: files.filter((file) => !isSound(file)),
    gaps: [],
    firstForm: {
      notices,
      runs: runs.map(({ wikiDbName, source, runDate, status }) => ({ wikiDbName, source, runDate, status })),
    },
  };
}

function whatIs(
  { catalog }: SelectionOptions,
  torrent: Torrent,
): WhichTorrent & Pick<Selection, 'name' | 'infoName' | 'hasMore' | 'supplements'> {
  const which = whichIs(torrent);
  return {
    ...{ name: torrent.name, infoName: torrent.infoName, ...which },
    hasMore: false,
    supplements: supplementedBy({ ...which, catalog }),
  };
}

/** Its files, each with the proof it was recorded with: a hash that was published later changes no text. */
function filesOf({ catalog }: SelectionOptions, torrent: Torrent): DumpFile[] {
  return catalog
    .torrentFiles(torrent.id)
    .map(({ dump, verification }) =>
      isHeld(dump) && verification !== null ? { ...dump, verification } : dump,
    )
    .sort(byPlace);
}
