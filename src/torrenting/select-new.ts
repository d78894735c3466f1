import {
  type DumpFile,
  type DumpRun,
  isUnverified,
  type Torrent,
  type TorrentGap,
} from '../catalog/index.ts';
import { assert, type DumpFileId, PermanentError } from '../lib/index.ts';
import { alignmentOf } from './arrangement.ts';
import {
  type Belonging,
  belongingTo,
  belongingToRun,
  belongingToUnpacked,
  isDamaged,
  isHeld,
} from './belonging.ts';
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
import { gapKey, narrowToPart } from './narrow-to-part.ts';
import { place } from './payload/content.ts';
import { newPayloadVersion } from './payload/header.ts';
import {
  byPlace,
  isOfKind,
  kindOf,
  placeKey,
  type Selection,
  type SelectionCatalog,
  type SelectionOptions,
  supplementedBy,
} from './selection.ts';
import { infoNameOf, torrentName, type WhichTorrent, whichOf } from './which-torrent.ts';

/**
 * What a torrent that was never made would carry now, and what it would not.
 * @throws PermanentError `nothing_to_supplement`
 */
export function selectNew(options: SelectionOptions): Selection {
  const { catalog, cycleDate, variant } = options;
  const all = candidatesOf(options);
  // Where no history torrent will be, its gaps would be told nowhere.
  const tellsHistory =
    variant === 'regular' &&
    options.grouping !== 'wiki_run' &&
    !all.some((file) => file.isHistory && isHeld(file));
  const own = belongingOf(options, all);
  const belonging: Belonging = tellsHistory ? { ...own, ofFile: () => true } : own;
  const files = all.filter(belonging.ofFile).sort(byPlace);
  const earlier = earlierTorrents(options);
  const replacements = catalog.replacements(cycleDate);
  const selection: Selection = {
    name: torrentName(options),
    infoName: infoNameOf(options),
    ...whichOf(options),
    hasMore: false,
    supplements: supplementedBy(options),
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
    } else if (earlier.told.has(gapKey(file))) {
      // An earlier part says that it is not there: by now it is something for a supplement.
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
  if (options.grouping !== 'wiki_run') gaps.push(...gapsOfRuns(options, { belonging, all, tellsHistory }));
  selection.gaps = sortGaps(gaps);
  // How much of it there is will be known when it is unpacked. It is never split: its pieces become longer instead.
  if (variant === 'uncompressed') return { ...selection, payloadVersion: newPayloadVersion(selection) };
  const part = narrowToPart(options, selection, { ...earlier, all });
  // What has no place in the tree is in the torrent's texts only.
  const { content } = place(part, part.included);
  if (part.grouping !== 'wiki_run')
    part.alignFilesFromBytes = alignmentOf(
      content.map(({ dump }) => dump.sizeBytes),
      options,
    );
  part.payloadVersion = newPayloadVersion(part);
  return part;
}

function belongingOf(
  { variant, grouping, historyTypes, uncompressed }: SelectionOptions,
  all: readonly DumpFile[],
): Belonging {
  if (grouping === 'wiki_run') return belongingToRun(variant);
  if (variant === 'uncompressed') return belongingToUnpacked(uncompressed?.types ?? []);
  return belongingTo(variant, all, historyTypes);
}

/** The files that the torrents of one grouping and scope are about. */
function candidatesOf(options: SelectionOptions): DumpFile[] {
  const { catalog, cycleDate, grouping, scope, source, runDate } = options;
  switch (grouping) {
    case 'cycle':
      return catalog.dumpFiles(cycleDate);
    case 'project':
    case 'language':
      return catalog.dumpFiles(cycleDate).filter((file) => file[grouping] === scope);
    case 'wiki_run':
      assert(scope !== null && source !== null && runDate !== null, 'a torrent of a run names its run');
      return catalog.runFiles({ wikiDbName: scope, source, runDate });
  }
}

/** What the earlier torrents of a supplement, or of a part, carry, and what had no place in them. */
interface Earlier {
  /** Name of the torrent. */
  carriers: Map<DumpFileId, string>;
  /** Reason by `placeKey`. A file without a place in one of them has none in a supplement: the folders are put together. */
  refusals: Map<string, string>;
  /** Of the earlier parts alone: their files. */
  files: DumpFile[];
  /** Of the earlier parts alone: what they say they lack, by `gapKey`. */
  told: Set<string>;
}

function earlierTorrents(options: SelectionOptions): Earlier {
  const { catalog, cycleDate, supplement, part } = options;
  const earlier: Earlier = { carriers: new Map(), refusals: new Map(), files: [], told: new Set() };
  if (supplement === 0 && part <= 1) return earlier;
  const kind = kindOf(options);
  const ofKind = catalog.torrentsOfCycle(cycleDate).filter((torrent) => isOfKind(torrent, kind));
  if (supplement > 0 && !ofKind.some((torrent) => torrent.supplement === 0)) {
    const main = torrentName({ ...options, supplement: 0, part: 0 });
    throw new PermanentError(
      'nothing_to_supplement',
      `${main} was never made, so it cannot have supplement ${supplement}`,
      { hint: `What settled late belongs into that torrent as long as it is not made.` },
    );
  }
  const isPart = (torrent: Torrent): boolean =>
    torrent.supplement === supplement && torrent.part > 0 && torrent.part < part;
  const torrents = new Map(
    ofKind
      .filter((torrent) => torrent.supplement < supplement || isPart(torrent))
      .map((torrent) => [torrent.id, torrent]),
  );
  for (const [id, torrentId] of catalog.carriedFiles(cycleDate, kind)) {
    const torrent = torrents.get(torrentId);
    if (torrent !== undefined) earlier.carriers.set(id, torrent.name);
  }
  for (const torrent of torrents.values()) {
    for (const gap of catalog.torrentGaps(torrent.id)) {
      if (gap.state === 'not_included' && gap.filename !== null)
        earlier.refusals.set(placeKey(gap), gap.reason);
      if (isPart(torrent)) earlier.told.add(gapKey(gap));
    }
    if (isPart(torrent)) earlier.files.push(...catalog.torrentFiles(torrent.id).map(({ dump }) => dump));
  }
  return earlier;
}

function gapsOfRuns(
  {
    catalog,
    cycleDate,
    variant,
    regularTypes,
    historyTypes,
    grouping,
    scope,
    uncompressed,
  }: SelectionOptions,
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
    if (variant === 'uncompressed') {
      const ofSource = {
        classic: regularTypes,
        content_current: ['pages-meta-current'],
        content_history: [],
      }[source];
      return ofSource.filter(
        (type) => uncompressed?.types.length === 0 || uncompressed?.types.includes(type) === true,
      );
    }
    switch (source) {
      case 'classic':
        return [...(variant === 'regular' ? regularTypes : []), ...(isHistory ? historyTypes : [])];
      case 'content_current':
        return variant === 'regular' ? ['pages-meta-current'] : [];
      case 'content_history':
        return isHistory ? ['pages-meta-history'] : [];
    }
  };
  return runsInScope(catalog, { cycleDate, grouping, scope, all })
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

/** Runs of the wikis that a torrent is about. */
function runsInScope(
  catalog: SelectionCatalog,
  {
    cycleDate,
    grouping,
    scope,
    all,
  }: Pick<WhichTorrent, 'cycleDate' | 'grouping' | 'scope'> & { all: readonly DumpFile[] },
): DumpRun[] {
  const runs = catalog.runs(cycleDate);
  if (grouping !== 'project' && grouping !== 'language') return runs;
  const wikis = new Set(
    [...catalog.wikis().filter((wiki) => wiki[grouping] === scope), ...all].map(
      ({ wikiDbName }) => wikiDbName,
    ),
  );
  return runs.filter(({ wikiDbName }) => wikis.has(wikiDbName));
}
