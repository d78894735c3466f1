import { type DumpFile, type DumpRun, isUnverified, type TorrentGap } from '../catalog/index.ts';
import { type DumpFileId, PermanentError } from '../lib/index.ts';
import { alignmentOf } from './arrangement.ts';
import { type Belonging, belongingTo, isDamaged, isHeld } from './belonging.ts';
import {
  absentGap,
  damagedGap,
  fileGap,
  newerBytesGap,
  runGaps,
  sortGaps,
  unverifiedGap,
  withdrawnGap,
} from './gaps.ts';
import { placeInTree } from './payload/content.ts';
import { newPayloadVersion } from './payload/header.ts';
import { byPlace, placeKey, type Selection, type SelectionOptions, torrentName } from './selection.ts';

/** What a torrent that was never made would carry now, and what it would not. */
export function selectNew(options: SelectionOptions): Selection {
  const { catalog, cycleDate, variant, supplement } = options;
  const all = catalog.dumpFiles(cycleDate);
  // Where no history torrent will be, its gaps would be told nowhere.
  const tellsHistory = variant === 'regular' && !all.some((file) => file.isHistory && isHeld(file));
  const own = belongingTo(variant, all, options.historyTypes);
  const belonging: Belonging = tellsHistory ? { ...own, ofFile: () => true } : own;
  const files = all.filter(belonging.ofFile).sort(byPlace);
  const earlier = earlierTorrents(options);
  const replacements = catalog.replacements(cycleDate);
  const selection: Selection = {
    name: torrentName(options),
    ...{ cycleDate, variant, supplement },
    payloadVersion: '1.1',
    alignFilesFromBytes: null,
    included: [],
    absent: [],
    damaged: [],
    lost: [],
    gaps: [],
    firstForm: null,
  };
  const { included, absent, damaged, gaps } = selection;
  for (const file of files) {
    const replacement = replacements.get(file.id);
    const carrier = earlier.carriers.get(file.id);
    const refusal = earlier.refusals.get(placeKey(file));
    if (carrier !== undefined) {
      if (replacement?.kind === 'replaced')
        gaps.push(newerBytesGap(file, replacement, `the torrent ${carrier}`));
    } else if (!isHeld(file)) {
      absent.push(file);
      gaps.push(absentGap(file));
    } else if (replacement?.kind === 'withdrawn') gaps.push(withdrawnGap(file));
    else if (refusal !== undefined) gaps.push(fileGap(file, 'not_included', refusal));
    else if (isUnverified(file)) gaps.push(unverifiedGap(file));
    else if (isDamaged(file)) {
      damaged.push(file);
      gaps.push(damagedGap(file));
    } else {
      included.push(file);
      if (replacement !== undefined) gaps.push(newerBytesGap(file, replacement, 'this torrent'));
    }
  }
  selection.gaps = sortGaps([...gaps, ...gapsOfRuns(options, { belonging, all, tellsHistory })]);
  // What has no place in the tree is in the torrent's texts only.
  const { content } = placeInTree(included);
  selection.alignFilesFromBytes = alignmentOf(
    content.map(({ dump }) => dump.sizeBytes),
    options,
  );
  selection.payloadVersion = newPayloadVersion(selection.alignFilesFromBytes);
  return selection;
}

/** What the earlier torrents of a supplement carry, and what had no place in them. */
interface Earlier {
  /** Name of the torrent. */
  carriers: Map<DumpFileId, string>;
  /** Reason by `placeKey`. A file without a place in one of them has none in a supplement: the folders are put together. */
  refusals: Map<string, string>;
}

function earlierTorrents({ catalog, cycleDate, variant, supplement }: SelectionOptions): Earlier {
  const earlier: Earlier = { carriers: new Map(), refusals: new Map() };
  if (supplement === 0) return earlier;
  const isHistory = variant === 'history';
  const torrents = new Map(
    catalog
      .torrentsOfCycle(cycleDate)
      .filter((torrent) => torrent.isHistory === isHistory && torrent.supplement < supplement)
      .map((torrent) => [torrent.id, torrent]),
  );
  if (![...torrents.values()].some((torrent) => torrent.supplement === 0))
    throw new PermanentError(
      'nothing_to_supplement',
      `${torrentName({ cycleDate, variant, supplement: 0 })} was never made, so it cannot have supplement ${supplement}`,
      { hint: `What settled late belongs into that torrent as long as it is not made.` },
    );
  for (const [id, torrentId] of catalog.carriedFiles(cycleDate, isHistory)) {
    const torrent = torrents.get(torrentId);
    if (torrent !== undefined) earlier.carriers.set(id, torrent.name);
  }
  for (const { id } of torrents.values())
    for (const gap of catalog.torrentGaps(id))
      if (gap.state === 'not_included' && gap.filename !== null)
        earlier.refusals.set(placeKey(gap), gap.reason);
  return earlier;
}

function gapsOfRuns(
  { catalog, cycleDate, variant, regularTypes, historyTypes }: SelectionOptions,
  facts: { belonging: Belonging; all: readonly DumpFile[]; tellsHistory: boolean },
): TorrentGap[] {
  const { belonging, all, tellsHistory } = facts;
  const includesHistory = catalog.cycle(cycleDate)?.includesHistory === true;
  const known = new Map<string, Set<string>>();
  for (const file of all) {
    const key = placeKey({ ...file, filename: null });
    known.set(key, (known.get(key) ?? new Set()).add(file.dumpType));
  }
  /** What the torrent should have of a run. */
  const wantedOf = ({ source }: DumpRun): string[] => {
    const isHistory = variant === 'history' || (tellsHistory && includesHistory);
    switch (source) {
      case 'classic':
        return [...(variant === 'regular' ? regularTypes : []), ...(isHistory ? historyTypes : [])];
      case 'content_current':
        return variant === 'regular' ? ['pages-meta-current'] : [];
      case 'content_history':
        return isHistory ? ['pages-meta-history'] : [];
    }
  };
  return catalog
    .runs(cycleDate)
    .sort(byPlace)
    .flatMap((run) => {
      const wanted = [...new Set(wantedOf(run))];
      // A run of which this torrent should have nothing: another one tells of it.
      if (wanted.length === 0) return [];
      return runGaps(run, {
        ofNotice: (dumpType) => belonging.ofNotice(dumpType, run),
        wanted,
        known: known.get(placeKey(run)) ?? new Set(),
      });
    });
}
