import { z } from 'zod';
import { minutes } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { Statistics } from '../statistics/index.ts';

const Input = z.object({});
const Output = z.object({
  torrents: z.number().int(),
  /** Torrents of which somebody knows how many seed them. */
  known: z.number().int(),
});

/** How many were counted. */
export type CollectStatsOutput = z.infer<typeof Output>;

/** Asks trackers and the engine how many seed and fetch each torrent, and writes it down. */
export const collectStats = defineJob<object, CollectStatsOutput>({
  type: 'collect_stats',
  input: Input,
  output: Output,
  uniqueKey: () => 'all',
  timeoutMs: minutes(20),
  maxAttempts: 2,
  isUpkeep: true,
});

/** The behaviour of `collect_stats`; its rows are written by itself, in parts, since there may be tens of thousands. */
export function collectStatsHandler(
  statistics: Pick<Statistics, 'look'>,
): JobHandler<object, CollectStatsOutput> {
  return handleJob(collectStats, { run: (_input, { signal }) => statistics.look(signal) });
}
