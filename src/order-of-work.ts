import { type Catalog, TEXT_TYPES, type WantedFile, type Wiki } from './catalog/index.ts';
import { downloadPriority } from './download/index.ts';
import type { Clock } from './ports/index.ts';

const DAY_MS = 24 * 60 * 60_000;
/** Upstream keeps runs for three to five months; whoever has seen nothing expects the least. */
const RETENTION_DAYS = 90;
const KNOWN_FOR_MS = 60_000;

/** Puts downloads in order by the risk of loss. */
export interface OrderOfWork {
  /** Priorities, lower first; equal ones run first come, first served. */
  priorities(files: readonly WantedFile[]): { file: WantedFile; priority: number }[];
}

/** Epoch ms of a run's date, written either way. */
function dateOf(runDate: string): number {
  const digits = runDate.replaceAll('-', '');
  return Date.parse(`${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6, 8)}T00:00:00Z`);
}

/** How long upstream was seen to keep runs of a wiki, days; null when nobody looked. */
function retentionDays({ oldestRunDate, oldestRunSeenAt }: Wiki): number | null {
  if (oldestRunDate === null || oldestRunSeenAt === null) return null;
  return Math.floor((oldestRunSeenAt - dateOf(oldestRunDate)) / DAY_MS);
}

/**
 * Of each run of a wiki without any verified copy the smallest set of text comes first: it makes the wiki safe soonest, and everything
 * else of it can wait for the texts of the others.
 */
export function createOrderOfWork({
  catalog,
  clock,
}: {
  catalog: Pick<Catalog, 'isCovered' | 'wikis'>;
  clock: Clock;
}): OrderOfWork {
  function smallestTexts(files: readonly WantedFile[]): Map<string, string> {
    const sizes = new Map<string, Map<string, number>>();
    for (const file of files) {
      if (!TEXT_TYPES.includes(file.dumpType)) continue;
      const ofWiki = sizes.get(file.wikiDbName) ?? new Map<string, number>();
      const set = setOf(file);
      ofWiki.set(set, (ofWiki.get(set) ?? 0) + file.sizeBytes);
      sizes.set(file.wikiDbName, ofWiki);
    }
    const smallest = new Map<string, string>();
    for (const [wiki, ofWiki] of sizes) {
      const [first] = [...ofWiki].sort(([, a], [, b]) => a - b);
      if (first !== undefined) smallest.set(wiki, first[0]);
    }
    return smallest;
  }

  let known: { readAt: number; wikis: ReadonlyMap<string, Wiki>; usual: number } | null = null;

  /** Read at most once a minute: runs are asked about one by one, a thousand of them in one look. */
  function retention(now: number): NonNullable<typeof known> {
    if (known !== null && Math.abs(now - known.readAt) < KNOWN_FOR_MS) return known;
    const wikis = new Map(catalog.wikis().map((wiki) => [wiki.wikiDbName, wiki]));
    const seen = [...wikis.values()].map(retentionDays).filter((days) => days !== null);
    known = { readAt: now, wikis, usual: seen.length === 0 ? RETENTION_DAYS : Math.min(...seen) };
    return known;
  }

  return {
    priorities(files) {
      if (files.length === 0) return [];
      const now = clock.now();
      const { wikis, usual } = retention(now);
      const texts = smallestTexts(files);
      const covered = new Map<string, boolean>();
      return files.map((file) => {
        const wiki = wikis.get(file.wikiDbName);
        const isCovered = covered.get(file.wikiDbName) ?? catalog.isCovered(file.wikiDbName);
        covered.set(file.wikiDbName, isCovered);
        const keptDays = (wiki === undefined ? null : retentionDays(wiki)) ?? usual;
        const priority = downloadPriority({
          isCovered,
          isText: texts.get(file.wikiDbName) === setOf(file),
          expiresInDays: keptDays - (now - dateOf(file.runDate)) / DAY_MS,
          sizeBytes: file.sizeBytes,
        });
        return { file, priority };
      });
    },
  };
}

const setOf = (file: WantedFile): string => `${file.source} ${file.runDate} ${file.dumpType}`;
