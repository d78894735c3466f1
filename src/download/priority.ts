/** What the place of a file in the order of work depends on. */
export interface DownloadRisk {
  /** True when a verified copy of the text of this project and language is known anywhere. */
  isCovered: boolean;
  /** True for files of the smallest set of text of the wiki's run of the wiki: pages, not tables or titles. */
  isText: boolean;
  /** Days until upstream removes the run, judged by what it kept so far; null when unknown. */
  expiresInDays: number | null;
  sizeBytes: number;
}

/** Runs that upstream keeps for less than this go before the others. */
const EXPIRES_SOON_DAYS = 21;
/** One place for so many days: finer would leave no room to put small before large among equals. */
const DAYS_PER_PLACE = 1.5;

const UNCOVERED_TEXT = 100;
const EXPIRES_SOON = 200;
const REST = 800;
/** One step for each doubling; 2^40 bytes, a terabyte, is more than any file. */
const SIZE_STEPS = 40;

/**
 * The priority of a download job, 100 to 840; lower runs first, and equal ones in the order they were asked for.
 * Risk of loss first: 100 to 140 the text of a wiki of which nobody is known to have a verified copy, 200 to 773 what upstream
 * removes within three weeks, the closest first, 800 to 840 the rest; within each small before large, so that most wikis are
 * safe early. Whoever loses its lease again and again is put 1,000 further by the queue, behind all of them.
 */
export function downloadPriority({ isCovered, isText, expiresInDays, sizeBytes }: DownloadRisk): number {
  const size = Math.min(SIZE_STEPS, Math.floor(Math.log2(Math.max(1, sizeBytes))));
  if (isText && !isCovered) return UNCOVERED_TEXT + size;
  if (expiresInDays === null || expiresInDays >= EXPIRES_SOON_DAYS) return REST + size;
  const place = Math.floor(Math.max(0, expiresInDays) / DAYS_PER_PLACE);
  return EXPIRES_SOON + place * (SIZE_STEPS + 1) + size;
}
