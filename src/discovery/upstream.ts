import type { Readable } from 'node:stream';
import { PermanentError } from '../lib/index.ts';
import { type Clock, type Http, networkError, readBody, statusError } from '../ports/index.ts';

/** What a server said to recognise a document again by; at least one is given. Only good for the same address. */
export interface Validators {
  etag: string | null;
  lastModified: string | null;
}

/** A document's answer. A `body` must be read to its end or discarded. */
export type UpstreamAnswer =
  | { kind: 'missing' }
  | { kind: 'unchanged' }
  | { kind: 'body'; body: Readable; validators: Validators | null; text(): Promise<string>; discard(): void };

/** Metadata documents of the dump site and of the site matrix; one request each. */
export interface Upstream {
  /**
   * Asks for a document; with `known` validators only for a newer one.
   * @throws RetryableError, HaltPipelineError (403), Interrupted; a 404 is `missing`
   */
  get(
    url: string,
    options: { signal: AbortSignal; known?: Validators | null | undefined },
  ): Promise<UpstreamAnswer>;
  /** Text of a document, null on 404. */
  text(url: string, signal: AbortSignal): Promise<string | null>;
  /**
   * Bytes of a file according to the header of a HEAD request; null on 404, and when the header does not say.
   * @throws as `get`
   */
  size(url: string, signal: AbortSignal): Promise<number | null>;
}

/** `index.json` is tens of megabytes; ten times that is a fault. */
const MAX_DOCUMENT_BYTES = 400_000_000;

/** Plain GETs over the shared, budgeted http port. */
export function createUpstream(deps: { http: Http; clock: Clock }): Upstream {
  const get: Upstream['get'] = async (url, { signal, known }) => {
    const headers = {
      ...(known?.etag == null ? {} : { 'if-none-match': known.etag }),
      ...(known?.lastModified == null ? {} : { 'if-modified-since': known.lastModified }),
    };
    const response = await deps.http.request({ url, signal, headers });
    if (response.status === 304 && known != null) {
      response.discard();
      return { kind: 'unchanged' };
    }
    if (response.status !== 200) {
      response.discard();
      const error = statusError(response.status, response.headers, url, deps.clock.now());
      if (error instanceof PermanentError && error.code === 'not_found') return { kind: 'missing' };
      throw error;
    }
    const etag = response.headers.etag ?? null;
    const lastModified = response.headers['last-modified'] ?? null;
    return {
      kind: 'body',
      body: response.body,
      validators: etag === null && lastModified === null ? null : { etag, lastModified },
      async text() {
        try {
          return (await readBody(response, MAX_DOCUMENT_BYTES)).toString('utf8');
        } catch (error) {
          throw signal.aborted ? networkError(error, url, signal) : error;
        }
      },
      discard: () => response.discard(),
    };
  };
  return {
    get,
    async text(url, signal) {
      const answer = await get(url, { signal });
      return answer.kind === 'body' ? answer.text() : null;
    },
    async size(url, signal) {
      const response = await deps.http.request({ url, method: 'HEAD', signal, maxRedirects: 3 });
      response.body.resume();
      if (response.status === 404 || response.status === 410) return null;
      if (response.status !== 200)
        throw statusError(response.status, response.headers, url, deps.clock.now());
      const length = response.headers['content-length'] ?? '';
      // The length of an encoded answer is not the length of the file.
      if (response.headers['content-encoding'] !== undefined || !/^\d{1,15}$/.test(length)) return null;
      return Number(length);
    },
  };
}
