import type { Catalog, WikiFacts } from '../catalog/index.ts';
import { describeError, Interrupted, PermanentError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Log } from '../ports/index.ts';
import { readSiteMatrix } from './site-matrix.ts';
import type { Upstream } from './upstream.ts';
import { parseWikistats } from './wikistats.ts';

/** What one look at the list of all wikis gave. */
export interface ReadWikis {
  wikis: WikiFacts[];
  /** Wikistats' table as it came; null when it was not asked for, or could not be had. */
  wikistats: string | null;
}

/** Reads the list of all wikis, and writes it down. */
export interface WikiReader {
  /** @throws RetryableError, PermanentError `not_found`, HaltPipelineError, Interrupted; never for Wikistats' sake */
  read(signal: AbortSignal): Promise<ReadWikis>;
  /** Synchronous; joins a running transaction. */
  record(found: ReadWikis): void;
}

/** The site matrix, and sizes by Wikistats where they are wanted. */
export function createWikiReader(deps: {
  catalog: Catalog;
  upstream: Upstream;
  log: Log;
  /** `sitematrixUrl` is the address of `api.php`, with or without a query. */
  config: { sitematrixUrl: string; wikistatsUrl: string | null };
}): WikiReader {
  const { catalog, upstream, log, config } = deps;

  async function readWikistats(signal: AbortSignal): Promise<string | null> {
    if (config.wikistatsUrl === null) return null;
    try {
      const text = await upstream.text(config.wikistatsUrl, signal);
      if (text === null)
        log.warn({ url: config.wikistatsUrl }, 'there is no Wikistats table at this address');
      return text;
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      // Only the order of work depends on it: the wikis must not wait for it.
      log.warn(
        { err: describeError(error) },
        'the Wikistats table could not be read; the order of work does without',
      );
      return null;
    }
  }

  return {
    async read(signal) {
      const { wikis, refused, announced } = await readSiteMatrix(async (parameters) => {
        const url = new URL(config.sitematrixUrl);
        const own = { action: 'sitematrix', format: 'json', formatversion: '2' };
        for (const [name, value] of Object.entries({ ...own, ...parameters }))
          url.searchParams.set(name, value);
        const text = await upstream.text(url.href, signal);
        if (text !== null) return text;
        throw new PermanentError('not_found', `there is no site matrix at ${url.origin}${url.pathname}`, {
          hint: 'Check discovery.sitematrix_url.',
        });
      });
      step('discovery:matrix_read');
      for (const entry of refused) log.warn({ entry }, 'refused an entry of the site matrix');
      if (announced !== null && announced !== wikis.length + refused.length)
        log.warn(
          { announced, read: wikis.length },
          'the site matrix names another number of wikis than it says',
        );
      return { wikis, wikistats: await readWikistats(signal) };
    },
    record({ wikis, wikistats }) {
      const result = catalog.recordWikis(wikis);
      log.info({ wikis: wikis.length, ...result }, 'read the site matrix');
      if (wikistats === null) return;
      try {
        const { pages, ignored, unmatched } = parseWikistats(wikistats, wikis);
        catalog.recordPageCounts(pages);
        log.info({ wikis: pages.size, ignored, unmatched: unmatched.length }, 'read the Wikistats table');
      } catch (error) {
        log.warn(
          { err: describeError(error) },
          'the Wikistats table is of no use; the order of work does without',
        );
      }
    },
  };
}
