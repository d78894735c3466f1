import { z } from 'zod';
import { SOURCE_NAMES } from '../../catalog/index.ts';
import { CycleDate } from '../../lib/index.ts';
import { type AnyJobHandler, defineJob, handleJob } from '../../queue/index.ts';
import type { Looker } from '../looker.ts';

/**
 * Looks at the runs of a cycle at one source. Without a wiki it looks at all of them with as few requests as there can be,
 * and names those that only a look of their own can judge (`askSingly`); with a wiki it is that look.
 */
export const findDumps = defineJob({
  type: 'find_dumps',
  input: z.object({
    cycleDate: CycleDate,
    /** Jobs of earlier versions do not name it. */
    source: z.enum(SOURCE_NAMES).default('classic'),
    wikiDbName: z.string().nullable(),
    /** Whether the source's list of all wikis names it; null when that could not be read, or nobody looked. */
    isInIndex: z.boolean().nullable(),
  }),
  output: z.object({
    runs: z.number(),
    files: z.number(),
    askSingly: z.array(z.object({ wikiDbName: z.string(), isInIndex: z.boolean().nullable() })),
    memory: z
      .object({
        key: z.string(),
        value: z.object({
          validators: z
            .object({ etag: z.string().nullable(), lastModified: z.string().nullable() })
            .nullable(),
          fingerprint: z.string(),
          readAt: z.number(),
        }),
      })
      .nullable(),
  }),
  uniqueKey: ({ cycleDate, source, wikiDbName }) =>
    [cycleDate, ...(source === 'classic' ? [] : [source]), wikiDbName ?? '*'].join(':'),
  subject: (input) => ({ cycleDate: input.cycleDate }),
  target: 'dumps',
  priority: 20,
  timeoutMs: 60 * 60_000,
});

/** The handler. Runs are written down one by one while it looks; doing that twice changes nothing. */
export function handleFindDumps({ looker }: { looker: Looker }): AnyJobHandler {
  return handleJob(findDumps, {
    async run({ cycleDate, source, wikiDbName, isInIndex }, { signal, attempt }) {
      const request = { cycleDate, source, attempt, signal };
      if (wikiDbName === null) return looker.scan(request);
      const { files } = await looker.askOne(request, { wikiDbName, isInIndex });
      return { runs: 1, files, askSingly: [], memory: null };
    },
    record(_input, { memory }) {
      if (memory !== null) looker.remember(memory);
    },
    recordFailure({ cycleDate, source, wikiDbName, isInIndex }, error) {
      if (wikiDbName === null) return;
      const request = { cycleDate, source, attempt: 1, signal: new AbortController().signal };
      looker.recordUnreadable(request, { wikiDbName, isInIndex }, error);
    },
    summarize: ({ runs, files, askSingly }) => ({ runs, files, askedSingly: askSingly.length }),
  });
}
