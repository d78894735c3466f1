const DAY_MS = 24 * 60 * 60_000;

/**
 * For so long after it was sealed a cycle takes files that settle late, for a supplement: four weeks, by which time upstream
 * has begun the next two runs and repairs this one no more. Upstream keeps runs for three months at least.
 */
export const LATE_MS = 28 * DAY_MS;

/** So long before the deadline a file that has no published hash is taken without: two days, since it must still be fetched. */
export const UNPROVABLE_MS = 2 * DAY_MS;

/**
 * So long before the deadline what is there complete is taken instead of a preferred form that may still come: three days. Upstream
 * recombines within a day or two, so that what is not there by then has most likely got stuck; the parts of the largest wikis
 * take a day or two to fetch, and a look comes once a day.
 */
export const NEXT_BEST_MS = 3 * DAY_MS;

/** A file that failed is tried again at the next day's look; a little less than a day, since looks drift. */
export const FAILED_REST_MS = 20 * 60 * 60_000;

/** One whose bytes never matched was fetched five times: it is fetched again when upstream changes it, or after three days. */
export const QUARANTINE_REST_MS = 3 * DAY_MS;
