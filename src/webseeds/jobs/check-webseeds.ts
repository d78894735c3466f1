import { z } from 'zod';
import type { Catalog } from '../../catalog/index.ts';
import { minutes, PermanentError, TorrentId } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { CheckedTorrent, Checker } from '../checker.ts';

const Input = z.object({ torrentId: TorrentId });

const Row = z.object({
  url: z.string(),
  state: z.enum(['working', 'dead', 'unproved']),
  reason: z.string().nullable(),
  checkedAt: z.number(),
  since: z.number(),
  provedAt: z.number().nullable(),
  failingSince: z.number().nullable(),
  failedLooks: z.number().int(),
});

const Output = z.object({
  torrentId: TorrentId,
  infoHash: z.string(),
  /** The .torrent names other webseeds than before. */
  isChanged: z.boolean(),
  rows: z.array(Row),
  webseeds: z.array(z.string()),
  given: z.array(z.object({ url: z.string(), reason: z.string(), isExpected: z.boolean() })),
  settled: z.array(z.string()).default([]),
});

/** Which torrent. */
export type CheckWebseedsInput = z.infer<typeof Input>;
/** What is known of its roots now. */
export type CheckWebseedsOutput = z.infer<typeof Output>;

/**
 * Looks at the roots of one torrent and writes those that work into its .torrent. A root that cannot be asked now is no failure
 * of the job: it is asked again later, and nobody waits for it.
 */
export const checkWebseeds = defineJob<CheckWebseedsInput, CheckWebseedsOutput>({
  type: 'check_webseeds',
  input: Input,
  output: Output,
  uniqueKey: ({ torrentId }) => String(torrentId),
  timeoutMs: minutes(30),
  maxAttempts: 3,
});

/** The behaviour of `check_webseeds`. */
export function checkWebseedsHandler(deps: {
  catalog: Pick<Catalog, 'torrent'>;
  checker: Checker;
}): JobHandler<CheckWebseedsInput, CheckWebseedsOutput> {
  return handleJob(checkWebseeds, {
    async run({ torrentId }, context): Promise<CheckedTorrent> {
      const torrent = deps.catalog.torrent(torrentId);
      if (torrent === null) throw new PermanentError('torrent_unknown', `there is no torrent ${torrentId}`);
      const { infoHash, webseeds } = torrent;
      // Its files are gone here; what the others have of it is theirs to say.
      if (torrent.retiredAt !== null) {
        context.log.info({ infohash: infoHash }, 'the torrent is retired; its webseeds stay as they are');
        return { torrentId, infoHash, isChanged: false, rows: [], webseeds, given: [], settled: [] };
      }
      return deps.checker.check(torrent, context.signal);
    },
    record({ torrentId }, output) {
      if (deps.catalog.torrent(torrentId)?.retiredAt === null) deps.checker.record(output);
    },
    summarize: ({ infoHash, isChanged, rows }) => ({
      infoHash,
      isChanged,
      working: rows.filter(({ state }) => state === 'working').length,
      dead: rows.filter(({ state }) => state === 'dead').length,
      unproved: rows.filter(({ state }) => state === 'unproved').length,
    }),
  });
}
