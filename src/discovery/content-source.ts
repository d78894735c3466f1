import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Wiki } from '../catalog/index.ts';
import { RetryableError } from '../lib/index.ts';
import {
  type ContentKind,
  decideExport,
  describeExport,
  isComplete,
  parseSha256Sums,
  SUMS_NAME,
} from './content-export.ts';
import { looksLikeWiki } from './cross-check.ts';
import { inParts } from './in-parts.ts';
import { type ListingEntry, parseListing, readListing, runDatesOf } from './listing.ts';
import { type DumpSource, isTurn, type KnownRun, type Look, type Sighting } from './source.ts';

/** A torn listing of all wikis is read this often before it is done without. */
const LISTING_ATTEMPTS = 3;
/** A week: two requests for each export, twice in the life of a cycle. */
const READ_AGAIN_MS = 7 * 24 * 60 * 60_000;
/** Listed times are cut to the minute, and clocks differ. */
const MARGIN_MS = 2 * 24 * 60 * 60_000;
const MINUTE_MS = 60_000;

/** All wikis' folders, by name; `unreadable`: ask each; otherwise why there are none. */
type Folders = ReadonlyMap<string, ListingEntry> | 'unreadable' | { reason: string };

/**
 * MediaWiki Content File Exports: one folder of parts for each wiki and month, without any status document.
 * @param options.baseUrl of the dump site
 * @param options.isFirstOfMonth whether a cycle is the first one of its month, to which the month's export belongs;
 *   default: its day is the 1st
 */
export function createContentSource(options: {
  baseUrl: string;
  kind: ContentKind;
  isFirstOfMonth?: (cycleDate: string) => boolean;
}): DumpSource {
  const { kind, isFirstOfMonth = (cycleDate) => cycleDate.endsWith('-01') } = options;
  const root = `${options.baseUrl.replace(/\/+$/, '')}/other/mediawiki_${kind}/`;
  const folderOf = (run: { wikiDbName: string; runDate: string }): string =>
    `${root}${run.wikiDbName}/${run.runDate}/xml/bzip2/`;

  async function readFolders({ upstream, signal, attempt, log }: Look): Promise<Folders> {
    const text = await upstream.text(root, signal);
    // A missing or empty folder alone proves nothing: sites have bad days, and absent is for good.
    if (text === null) return { reason: 'upstream has no folder of these exports now' };
    try {
      const folders = parseListing(text, root).filter((entry) => entry.isDirectory);
      if (folders.length === 0) return { reason: "upstream's folder of these exports names no wiki now" };
      return new Map(folders.map((entry) => [entry.name, entry]));
    } catch (error) {
      if (!(error instanceof RetryableError) || attempt < LISTING_ATTEMPTS) throw error;
      log.warn({ attempt, kind }, 'the listing of all content exports stays torn, so every wiki is asked');
      return 'unreadable';
    }
  }

  /** What there is instead, when the folder of files is not there. */
  async function whyMissing(
    { upstream, signal, runDate }: Look,
    wiki: { wikiDbName: string; isInIndex: boolean | null },
    known: KnownRun | null,
  ): Promise<Exclude<Sighting, { kind: 'ask' }>> {
    const { wikiDbName } = wiki;
    const address = `${root}${wikiDbName}/`;
    const text = await upstream.text(address, signal);
    const dates = text === null ? [] : runDatesOf(parseListing(text, address), 'dashed');
    const not = (sighting: 'absent' | 'not_yet', reason: string): Exclude<Sighting, { kind: 'ask' }> => ({
      wikiDbName,
      kind: sighting,
      reason,
    });
    if (text === null && wiki.isInIndex === false)
      return not('absent', 'upstream makes no content export of this wiki');
    // Begun: a description, so that the next look asks again although the wiki's folder does not change any more.
    if (dates.includes(runDate) && !wasThere(known))
      return {
        wikiDbName,
        kind: 'document',
        document: describeExport({ entries: [], refused: [] }, null),
        validators: null,
      };
    if (wasThere(known)) {
      if (dates.length > 0 && !dates.includes(runDate))
        return not('absent', 'upstream has removed this content export');
      // What was read of it stays good: nothing says that the export is gone.
      return { wikiDbName, kind: 'unchanged' };
    }
    if (dates.some((date) => date > runDate))
      return not('absent', 'upstream has no content export of this date');
    return not('not_yet', 'the content export has not begun yet');
  }

  return {
    name: kind,
    runDate: ({ cycleDate, includesHistory }) =>
      !isFirstOfMonth(cycleDate) || (kind === 'content_history' && !includesHistory)
        ? null
        : `${cycleDate.slice(0, 7)}-01`,

    async *scan(look, wikis, known) {
      const folders = await readFolders(look);
      const tooOld = folders instanceof Map ? await tooOldFolders(wikis, folders, known, look.runDate) : null;
      for (const { wikiDbName } of wikis) {
        // A thousand wikis in one go would keep pages and leases waiting.
        await nextTurn();
        const run = known(wikiDbName);
        if (run?.status === 'finished') yield sightFinished(wikiDbName, run, look);
        else if (folders === 'unreadable') yield { wikiDbName, kind: 'ask', isInIndex: null };
        else if (!(folders instanceof Map))
          yield leave(wikiDbName, run, (folders as { reason: string }).reason);
        else yield glance(wikiDbName, run, folders.get(wikiDbName), tooOld, look.nowMs);
      }
      const listedNames = folders instanceof Map ? [...folders.keys()].filter(looksLikeWiki) : [];
      return { validators: null, isUnchanged: false, listedNames };
    },

    async askOne(look, wiki, known) {
      const { upstream, signal, runDate } = look;
      const { wikiDbName } = wiki;
      const folder = folderOf({ wikiDbName, runDate });
      const text = await upstream.text(folder, signal);
      if (text === null) return whyMissing(look, wiki, known);
      const listing = readListing(text, folder);
      const sums = isComplete(listing.entries) ? await upstream.text(`${folder}${SUMS_NAME}`, signal) : null;
      // A size that the listing rounds is asked for; before the export is complete it says nothing anyway.
      for (const entry of isComplete(listing.entries) ? listing.entries : [])
        if (entry.sizeBytes === null && entry.name.endsWith('.bz2') && !entry.isDirectory)
          entry.sizeBytes = await upstream.size(`${folder}${entry.name}`, signal);
      const document = describeExport(listing, sums === null ? null : parseSha256Sums(sums));
      return { wikiDbName, kind: 'document', document, validators: null };
    },

    decide: (document, run, selection) =>
      decideExport(document, { kind, folder: folderOf(run), run }, selection),
  };
}

/** Nothing tells when an export is made again: its wiki's folder keeps its time. So it is read anew now and then. */
function sightFinished(wikiDbName: string, known: KnownRun, look: Look): Sighting {
  const isDue = look.isOpen && look.nowMs - (known.askedAt ?? known.checkedAt) >= READ_AGAIN_MS;
  return isDue ? { wikiDbName, kind: 'ask', isInIndex: true } : { wikiDbName, kind: 'unchanged' };
}

function wasThere(known: KnownRun | null): boolean {
  return known !== null && (known.status === 'finished' || known.hasDocument === true);
}

/** A day on which the listing of all wikis says nothing: what is known stays. */
function leave(wikiDbName: string, known: KnownRun | null, reason: string): Sighting {
  return known === null ? { wikiDbName, kind: 'not_yet', reason } : { wikiDbName, kind: 'unchanged' };
}

/**
 * Wikis whose folder cannot hold the run yet: a folder's time changes when a folder of a date appears in it, and theirs is
 * older than the run. null when those times are seen to be wrong; the most recent one is left out until a run has been
 * seen at all, so that this can be seen.
 */
async function tooOldFolders(
  wikis: readonly Wiki[],
  folders: ReadonlyMap<string, ListingEntry>,
  known: (wikiDbName: string) => KnownRun | null,
  runDate: string,
): Promise<Set<string> | null> {
  const runStart = Date.parse(`${runDate}T00:00:00Z`);
  const older = new Map<string, number>();
  let hasSeenRun = false;
  let isWrong = false;
  await inParts(wikis, ({ wikiDbName }) => {
    if (isWrong) return;
    const modifiedAt = folders.get(wikiDbName)?.modifiedAt ?? null;
    const isOlder = modifiedAt !== null && modifiedAt < runStart;
    if (wasThere(known(wikiDbName))) {
      isWrong = isOlder;
      hasSeenRun ||= modifiedAt !== null;
    } else if (isOlder) older.set(wikiDbName, modifiedAt);
  });
  if (isWrong) return null;
  if (!hasSeenRun) {
    const [newest] = [...older].sort(([, a], [, b]) => b - a)[0] ?? [];
    if (newest !== undefined) older.delete(newest);
  }
  return new Set(older.keys());
}

/** What the listing of all wikis says of one. */
function glance(
  wikiDbName: string,
  known: KnownRun | null,
  folder: ListingEntry | undefined,
  tooOld: ReadonlySet<string> | null,
  nowMs: number,
): Sighting {
  if (folder === undefined) {
    // One listing is not enough to take it for gone: its own folder has to be missing too.
    return known?.status === 'absent'
      ? { wikiDbName, kind: 'unchanged' }
      : { wikiDbName, kind: 'ask', isInIndex: false };
  }
  if (tooOld?.has(wikiDbName))
    return known === null
      ? { wikiDbName, kind: 'not_yet', reason: 'the content export has not begun yet' }
      : { wikiDbName, kind: 'unchanged' };
  // While an export grows its wiki's folder keeps its time, so that only what had no folder then can be unchanged.
  // Absent may have been a bad day of the site: such a wiki is asked again once a week, and when its folder is new or has changed.
  const { modifiedAt } = folder;
  if (known?.status === 'absent' && !isTurn(wikiDbName, nowMs)) {
    const isNews = modifiedAt !== null && modifiedAt + MINUTE_MS > known.checkedAt;
    if (!isNews) return { wikiDbName, kind: 'unchanged' };
  }
  const hadNone = known?.status === 'in_progress' && known.hasDocument === false;
  if (tooOld !== null && hadNone && modifiedAt !== null && modifiedAt + MARGIN_MS <= known.checkedAt)
    return { wikiDbName, kind: 'unchanged' };
  return { wikiDbName, kind: 'ask', isInIndex: true };
}
