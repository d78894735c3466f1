/** What a tracker says of one torrent, whoever is counted; null = unknown, never zero. */
export interface SwarmCounts {
  seeders: number | null;
  leechers: number | null;
  /** How often it was downloaded whole. */
  completed: number | null;
}

/** Counts by infohash; what is not in it is unknown. */
export type ScrapeAnswer = ReadonlyMap<string, SwarmCounts>;

/** Talks to one tracker about many torrents, one request at a time. */
export interface ScrapeSession {
  /** So many torrents at once. */
  readonly batchSize: number;
  /**
   * Asks once for at most `batchSize` infohashes, 40 lower-case hex digits each.
   * @returns what was said of them, and ms for which it does not want to be asked again (0 = it said nothing of that)
   * @throws RetryableError `network`, `tracker_timeout`, `tracker_refused` (its own words), `tracker_answer_bad`, `http_<status>`; Interrupted
   */
  scrape(
    infoHashes: readonly string[],
    signal: AbortSignal,
  ): Promise<{ counts: ScrapeAnswer; restMs: number }>;
  close(): void;
}

/** More peers than any swarm ever had: a number beyond it is a lie or an accident. */
const PLAUSIBLE_MAX = 10_000_000;

/** The number if it can be one of peers, else null. */
export function plausible(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= PLAUSIBLE_MAX
    ? value
    : null;
}
