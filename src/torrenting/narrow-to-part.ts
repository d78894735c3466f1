import type { DumpFile, TorrentGap } from '../catalog/index.ts';
import { fileGap, sortGaps } from './gaps.ts';
import { DEFAULT_BOUNDS, filesInFirstPart, type PartItem } from './parts.ts';
import { place } from './payload/content.ts';
import { placeKey, type Selection, type SelectionOptions } from './selection.ts';
import { infoNameOf, torrentName } from './which-torrent.ts';

/** What the parts that are made already carry and tell. */
export interface EarlierParts {
  /** Their files: names that no other file may have. */
  files: readonly DumpFile[];
  /** `gapKey` of each gap. */
  told: ReadonlySet<string>;
  /** Every file that the torrent could be of: they say where a wiki belongs. */
  all: readonly DumpFile[];
}

/** What is told of a file, or of a dump type of a run, is told once. */
export function gapKey(
  gap: Pick<TorrentGap, 'wikiDbName' | 'source' | 'runDate' | 'dumpType' | 'filename'>,
): string {
  return `${placeKey(gap)}\n${gap.dumpType}`;
}

/**
 * Leaves a selection as it is when one torrent holds all of it. Otherwise only what the next part holds stays: files in tree
 * order, and with the last file of a language and project the gaps of it; gaps of which there is no file are told in the first part.
 * @param selection everything that no earlier part carries or tells
 */
export function narrowToPart(
  options: SelectionOptions,
  selection: Selection,
  earlier: EarlierParts,
): Selection {
  const isCarried = new Set(earlier.files.map(({ id }) => id));
  const { content: placed, leftOut } = place(
    selection,
    earlier.files.length === 0 ? selection.included : [...earlier.files, ...selection.included],
  );
  const content = placed.filter(({ dump }) => !isCarried.has(dump.id));
  const groupOf = groupsOf(options, earlier.all);
  const gaps = sortGaps([
    ...selection.gaps,
    ...leftOut
      .filter(({ dump }) => !isCarried.has(dump.id))
      .map(({ dump, reason }) => fileGap(dump, 'not_included', reason)),
  ]).filter((gap) => !earlier.told.has(gapKey(gap)));

  const hasTexts = selection.grouping !== 'wiki_run';
  const textBytesOfGroup = new Map<string, number>();
  for (const gap of gaps)
    textBytesOfGroup.set(groupOf(gap), (textBytesOfGroup.get(groupOf(gap)) ?? 0) + textBytesOfGap(gap));
  const items = content.map(({ dump, path, upstreamUrl }, index): PartItem => {
    const group = groupOf(dump);
    const next = content[index + 1];
    const isLast = next === undefined || groupOf(next.dump) !== group;
    const ofGaps = isLast ? (textBytesOfGroup.get(group) ?? 0) : 0;
    if (isLast) textBytesOfGroup.delete(group);
    const textBytes = hasTexts ? TEXT_BYTES_OF_FILE + 16 * (path.length + upstreamUrl.length) + ofGaps : 0;
    return { group, path, sizeBytes: dump.sizeBytes, textBytes };
  });
  const ofNoGroup = [...textBytesOfGroup.values()].reduce((sum, bytes) => sum + bytes, 0);
  const count = filesInFirstPart(items, {
    ...options,
    bounds: options.bounds ?? DEFAULT_BOUNDS,
    hasPadding: hasTexts,
    textBytes: hasTexts ? TEXT_BYTES + ofNoGroup : 0,
  });
  if (selection.part === 0 && count === content.length) return selection;
  const which = { ...selection, part: Math.max(1, selection.part) };
  const later = new Set(content.slice(count).map(({ dump }) => groupOf(dump)));
  return {
    ...which,
    name: torrentName(which),
    infoName: infoNameOf(which),
    hasMore: count < content.length,
    included: content.slice(0, count).map(({ dump }) => dump),
    gaps: gaps.filter((gap) => !later.has(groupOf(gap))),
  };
}

/*
 * How long the added texts become is known only when they are written; these are more than they ever need, and little beside
 * the files: 33,000 files of ordinary names make 20 pieces of 16 MiB.
 */
const TEXT_BYTES = 64 * 1024;
const TEXT_BYTES_OF_FILE = 4096;

function textBytesOfGap(gap: TorrentGap): number {
  return 2048 + 4 * JSON.stringify(gap).length;
}

/** The language and the project of a wiki; of one run there is one group. */
function groupsOf(
  { catalog, grouping }: SelectionOptions,
  all: readonly DumpFile[],
): (of: { wikiDbName: string; language?: string; project?: string }) => string {
  if (grouping === 'wiki_run') return () => '';
  const groups = new Map(
    catalog.wikis().map(({ wikiDbName, language, project }) => [wikiDbName, `${language}/${project}`]),
  );
  for (const { wikiDbName, language, project } of all) groups.set(wikiDbName, `${language}/${project}`);
  return ({ wikiDbName, language, project }) =>
    language === undefined ? (groups.get(wikiDbName) ?? '') : `${language}/${project}`;
}
