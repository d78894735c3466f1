import { z } from 'zod';
import type { Catalog, WikiFacts } from '../../catalog/index.ts';
import { PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Log } from '../../ports/index.ts';
import { type AnyJobHandler, defineJob, handleJob } from '../../queue/index.ts';
import { parseSiteMatrix } from '../site-matrix.ts';
import type { Upstream } from '../upstream.ts';

/** Reads the site matrix and records every wiki of it. */
export const discoverWikis = defineJob({
  type: 'discover_wikis',
  input: z.object({}),
  output: z.object({ wikis: z.array(z.custom<WikiFacts>()) }),
  uniqueKey: () => 'all',
  target: 'wikimedia',
  priority: 10,
  timeoutMs: 10 * 60_000,
});

/** The handler; `sitematrixUrl` is the address of `api.php`, with or without a query. */
export function handleDiscoverWikis(deps: {
  catalog: Catalog;
  upstream: Upstream;
  log: Log;
  sitematrixUrl: string;
}): AnyJobHandler {
  return handleJob(discoverWikis, {
    async run(_input, { signal }) {
      const url = new URL(deps.sitematrixUrl);
      url.searchParams.set('action', 'sitematrix');
      url.searchParams.set('format', 'json');
      url.searchParams.set('formatversion', '2');
      const text = await deps.upstream.text(url.href, signal);
      if (text === null)
        throw new PermanentError('not_found', `there is no site matrix at ${url.origin}${url.pathname}`, {
          hint: 'Check discovery.sitematrix_url.',
        });
      const { wikis, refused } = parseSiteMatrix(text);
      step('discovery:matrix_read');
      for (const entry of refused) deps.log.warn({ entry }, 'refused an entry of the site matrix');
      return { wikis };
    },
    record(_input, { wikis }) {
      const result = deps.catalog.recordWikis(wikis);
      deps.log.info({ wikis: wikis.length, ...result }, 'read the site matrix');
    },
    summarize: ({ wikis }) => ({ wikis: wikis.length }),
  });
}
