import { z } from 'zod';
import type { Catalog } from '../../catalog/index.ts';
import type { Bus } from '../../events/index.ts';
import { days, describeError, hours, Interrupted, minutes, TorrentId } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { Checker } from '../checker.ts';
import type { WatchedTorrent, WebseedStore } from '../webseed-store.ts';

const Input = z.object({});
const Output = z.object({
  checked: z.number().int(),
  /** Torrents whose .torrent names other webseeds now. */
  changed: z.array(TorrentId),
  failed: z.number().int(),
});

/** How many torrents were looked at. */
export type WatchWebseedsOutput = z.infer<typeof Output>;

/**
 * Looks again at the roots of some torrents, those first that were looked at longest ago; asked for every hour, so that each has its
 * turn once a day and no host is asked for all of them at once. Retired ones have theirs once a week: their .torrent is published as before,
 * and what it says of others is to stay true.
 */
export const watchWebseeds = defineJob<Record<string, never>, WatchWebseedsOutput>({
  type: 'watch_webseeds',
  input: Input,
  output: Output,
  uniqueKey: () => 'all',
  timeoutMs: hours(2),
  maxAttempts: 1,
  isUpkeep: true,
  priority: 150,
});

/** A torrent is not looked at twice in this time. */
const AGAIN_AFTER_MS = hours(20);
/** Roots that failed, or could not be asked, have their turn so much sooner. */
const DOUBTFUL_AGAIN_MS = hours(3);
/** So that all have had their turn a little before the day is over. */
const HOURS_OF_A_ROUND = 20;
/** With more torrents a round takes longer than a day: three requests each are enough for one hour. */
const AT_ONCE_MAX = 60;
/** The same for retired torrents, which become ever more. */
const RETIRED_AGAIN_MS = days(7) - hours(4);
const HOURS_OF_A_RETIRED_ROUND = 7 * HOURS_OF_A_ROUND;
const RETIRED_AT_ONCE_MAX = 10;
/** Torrents that had no turn by then have it in the next hour. */
const ALL_MAX_MS = minutes(90);
/** One torrent whose hosts are all slow must not keep the others waiting. */
const ONE_MAX_MS = minutes(20);

/** The behaviour of `watch_webseeds`. */
export function watchWebseedsHandler(deps: {
  catalog: Pick<Catalog, 'torrent'>;
  store: WebseedStore;
  checker: Checker;
  bus: Pick<Bus, 'emit'>;
}): JobHandler<Record<string, never>, WatchWebseedsOutput> {
  const { catalog, store, checker, bus } = deps;
  /** Also of torrents that have no roots, which the table does not know; epoch ms. */
  const turns = new Map<TorrentId, number>();

  /** Alerts of torrents that were retired before are over, epoch ms. */
  let settledUntil = 0;

  function due(now: number): TorrentId[] {
    const all = store.watched().map((torrent) => {
      const last = Math.max(torrent.checkedAt, turns.get(torrent.id) ?? 0);
      return { ...torrent, last };
    });
    const isDoubtful = ({ id, doubtfulAt }: WatchedTorrent): boolean =>
      doubtfulAt !== null && now - Math.max(doubtfulAt, turns.get(id) ?? 0) >= DOUBTFUL_AGAIN_MS;
    const retired = all.filter(({ isRetired }) => isRetired);
    const served = all.filter(({ isRetired }) => !isRetired);
    const ofRetired = firstOf(
      retired.filter(({ last }) => now - last >= RETIRED_AGAIN_MS),
      Math.min(Math.ceil(retired.length / HOURS_OF_A_RETIRED_ROUND), RETIRED_AT_ONCE_MAX),
    );
    const share = Math.max(Math.ceil(served.length / HOURS_OF_A_ROUND), 2);
    const ofServed = firstOf(
      served.filter((torrent) => now - torrent.last >= AGAIN_AFTER_MS || isDoubtful(torrent)),
      Math.min(share, AT_ONCE_MAX - ofRetired.length),
    );
    return [...ofServed, ...ofRetired];
  }

  /** Nobody is to mend what only others have now. */
  function settleRetired(now: number): void {
    for (const root of store.deadOfRetired(settledUntil)) bus.emit('webseed:settled', root);
    settledUntil = now;
  }

  return handleJob(watchWebseeds, {
    async run(_input, context) {
      const output: WatchWebseedsOutput = { checked: 0, changed: [], failed: 0 };
      settleRetired(context.clock.now());
      const endMs = context.clock.monotonicMs() + ALL_MAX_MS;
      for (const id of due(context.clock.now())) {
        if (context.clock.monotonicMs() >= endMs) break;
        const torrent = catalog.torrent(id);
        if (torrent === null) continue;
        turns.set(id, context.clock.now());
        const late = new AbortController();
        const cancel = context.clock.after(ONE_MAX_MS, () => late.abort());
        try {
          const found = await checker.check(torrent, AbortSignal.any([context.signal, late.signal]));
          checker.record(found);
          output.checked += 1;
          if (found.isChanged) output.changed.push(id);
        } catch (error) {
          if (context.signal.aborted) {
            // It had no turn.
            turns.delete(id);
            // What was written is seeded and published, whatever ended this; the others have their turn in the next hour.
            if (output.changed.length > 0) return output;
            throw new Interrupted();
          }
          output.failed += 1;
          const facts = { infohash: torrent.infoHash, name: torrent.name, err: describeError(error) };
          context.log.warn(facts, 'the webseeds of a torrent could not be looked at');
        } finally {
          cancel();
        }
        context.progress({ label: torrent.name });
      }
      return output;
    },
  });
}

/** Those that were looked at longest ago. */
function firstOf(torrents: readonly { id: TorrentId; last: number }[], count: number): TorrentId[] {
  return torrents
    .toSorted((a, b) => a.last - b.last || a.id - b.id)
    .slice(0, count)
    .map(({ id }) => id);
}
