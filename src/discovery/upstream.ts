import { PermanentError } from '../lib/index.ts';
import { type Clock, type Http, networkError, readBody, statusError } from '../ports/index.ts';

/** Metadata documents of the dump site and of the site matrix; one request each. */
export interface Upstream {
  /** Text of a document, null on 404. */
  text(url: string, signal: AbortSignal): Promise<string | null>;
}

/** `index.json` is tens of megabytes; ten times that is a fault. */
const MAX_DOCUMENT_BYTES = 400_000_000;

/** Plain GETs over the shared, budgeted http port. */
export function createUpstream(deps: { http: Http; clock: Clock }): Upstream {
  return {
    async text(url, signal) {
      const response = await deps.http.request({ url, signal });
      if (response.status !== 200) {
        response.discard();
        const error = statusError(response.status, response.headers, url, deps.clock.now());
        if (error instanceof PermanentError && error.code === 'not_found') return null;
        throw error;
      }
      try {
        return (await readBody(response, MAX_DOCUMENT_BYTES)).toString('utf8');
      } catch (error) {
        throw signal.aborted ? networkError(error, url, signal) : error;
      }
    },
  };
}

/** Date directories in an nginx listing, oldest first; anything that is not eight digits and a slash is ignored. */
export function parseRunDates(listing: string): string[] {
  return [...listing.matchAll(/href="(\d{8})\/"/g)].map((m) => m[1] as string).sort();
}
