import { z } from 'zod';
import { type Catalog, type DumpFile, type DumpRun, HELD_STATUSES } from '../catalog/index.ts';
import { byBytes } from './byte-order.ts';

/** Which torrent of a cycle: everything current, or everything with full history. */
export type Variant = 'regular' | 'history';

/** A dump type that a run does not give, with whose it is. */
export interface Notice {
  wikiDbName: string;
  project: string;
  language: string;
  runDate: string;
  dumpType: string;
  reason: string;
}

/** Everything one torrent is made from; sorted by bytes, so that the order of insertion leaves no trace. */
export interface Selection {
  name: string;
  cycleDate: string;
  variant: Variant;
  /** Verified files on our disk: the content. */
  included: DumpFile[];
  /** Expected, but not here. */
  absent: DumpFile[];
  notices: Notice[];
  /** Runs of the wikis, with what upstream said of them. */
  runs: Pick<DumpRun, 'wikiDbName' | 'source' | 'runDate' | 'status'>[];
}

const Notices = z.array(z.object({ dumpType: z.string(), reason: z.string() }));

/** `wikimedia-dumps-2026-11-20`, or `wikimedia-dumps-history-2026-11-20`. */
export function torrentName(cycleDate: string, variant: Variant): string {
  return variant === 'history' ? `wikimedia-dumps-history-${cycleDate}` : `wikimedia-dumps-${cycleDate}`;
}

/** True for a file whose bytes are on our disk and were proved. */
export function isHeld(file: DumpFile): boolean {
  return (
    HELD_STATUSES.includes(file.ourStatus) &&
    file.verification !== null &&
    file.localPath !== null &&
    file.sha1 !== null
  );
}

/**
 * Decides what belongs into a torrent. A file of a type that both lists name (stubs, titles) travels in both torrents,
 * so that each can be used without the other.
 */
export function selectFiles(options: {
  catalog: Pick<Catalog, 'dumpFiles' | 'runs' | 'wikis'>;
  cycleDate: string;
  variant: Variant;
  historyTypes: readonly string[];
}): Selection {
  const { catalog, cycleDate, variant } = options;
  const belongs = (file: DumpFile): boolean =>
    variant === 'history' ? file.isHistory || options.historyTypes.includes(file.dumpType) : !file.isHistory;
  const all = catalog.dumpFiles(cycleDate);
  const typesWhere = (isHistory: boolean): Set<string> =>
    new Set(all.filter((file) => file.isHistory === isHistory).map((file) => file.dumpType));
  const [historyOnly, regularToo] = [typesWhere(true), typesWhere(false)];
  // Told from the files of the cycle, not from a setting: a notice that fits nowhere else is said in both torrents.
  const concerns = (dumpType: string): boolean =>
    variant === 'history'
      ? options.historyTypes.includes(dumpType)
      : regularToo.has(dumpType) || !historyOnly.has(dumpType);
  const files = all.filter(belongs).sort((a, b) => byBytes(sortKey(a), sortKey(b)));
  const runs = catalog.runs(cycleDate).sort((a, b) => byBytes(sortKey(a), sortKey(b)));
  const wikis = new Map(catalog.wikis().map((wiki) => [wiki.wikiDbName, wiki]));
  const notices = runs.flatMap((run) =>
    Notices.parse(JSON.parse(run.notices))
      .filter((notice) => concerns(notice.dumpType))
      .sort((a, b) => byBytes(`${a.dumpType}\n${a.reason}`, `${b.dumpType}\n${b.reason}`))
      .map((notice) => ({
        wikiDbName: run.wikiDbName,
        project: wikis.get(run.wikiDbName)?.project ?? '',
        language: wikis.get(run.wikiDbName)?.language ?? '',
        runDate: run.runDate,
        dumpType: notice.dumpType,
        reason: withoutHosts(notice.reason),
      })),
  );
  return {
    name: torrentName(cycleDate, variant),
    cycleDate,
    variant,
    included: files.filter(isHeld),
    absent: files.filter((file) => !isHeld(file)),
    notices,
    runs: runs.map(({ wikiDbName, source, runDate, status }) => ({ wikiDbName, source, runDate, status })),
  };
}

function sortKey(row: { wikiDbName: string; source: string; runDate: string; filename?: string }): string {
  return [row.wikiDbName, row.runDate, row.source, row.filename ?? ''].join('\n');
}

/** Which server an operator asked is no fact about the dump, and would give each operator another infohash. */
function withoutHosts(reason: string): string {
  return reason
    .replace(/https?:\/\/[^\s/]+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
