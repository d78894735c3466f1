import PQueue from 'p-queue';
import { Interrupted } from '../lib/errors.ts';
import type { Http, HttpRequest, HttpResponse } from './http.ts';
import { followRedirects } from './http-redirects.ts';

/**
 * Gives every host a budget of simultaneous requests; a slot is held until the body ended.
 * Wikimedia allows two connections for each address, status requests included, so one instance serves all job types. A redirect
 * to another host, where a request allows it, is followed from here, because it counts there. A request whose signal aborts while it
 * waits for its slot ends at once: a slot may be held for as long as a large file takes.
 */
export function limitConnectionsPerHost(inner: Http, perHost: number): Http {
  const lanes = new Map<string, PQueue>();

  function inLane(request: HttpRequest): Promise<HttpResponse> {
    const { host } = new URL(request.url);
    const lane = lanes.get(host) ?? new PQueue({ concurrency: perHost });
    lanes.set(host, lane);
    return new Promise((resolve, reject) => {
      const { signal } = request;
      const onAbort = (): void => reject(new Interrupted());
      if (signal?.aborted) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      lane
        .add(async () => {
          signal?.removeEventListener('abort', onAbort);
          // Nobody waits for it any more; the slot is the next one's.
          if (signal?.aborted) return onAbort();
          let response: HttpResponse;
          try {
            response = await inner.request(request);
          } catch (error) {
            return reject(error);
          }
          resolve(response);
          await new Promise<void>((ended) => {
            if (response.body.closed || response.body.destroyed) return ended();
            response.body
              .once('close', ended)
              .once('end', ended)
              .once('error', () => ended());
          });
        })
        .catch(reject);
    });
  }

  return { request: (request) => followRedirects(request, inLane) };
}
