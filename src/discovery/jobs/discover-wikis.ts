import { z } from 'zod';
import type { WikiFacts } from '../../catalog/index.ts';
import { type AnyJobHandler, defineJob, handleJob } from '../../queue/index.ts';
import type { WikiReader } from '../wiki-reader.ts';

/** Reads the list of all wikis and records every one of them. */
export const discoverWikis = defineJob({
  type: 'discover_wikis',
  input: z.object({}),
  output: z.object({ wikis: z.array(z.custom<WikiFacts>()), wikistats: z.string().nullable() }),
  uniqueKey: () => 'all',
  target: 'wikimedia',
  priority: 10,
  timeoutMs: 10 * 60_000,
});

/** The handler. */
export function handleDiscoverWikis({ reader }: { reader: WikiReader }): AnyJobHandler {
  return handleJob(discoverWikis, {
    run: (_input, { signal }) => reader.read(signal),
    record: (_input, found) => reader.record(found),
    summarize: ({ wikis }) => ({ wikis: wikis.length }),
  });
}
