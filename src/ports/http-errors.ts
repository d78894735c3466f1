import type { IncomingHttpHeaders } from 'node:http';
import { HTTPError, RequestError } from 'got';
import {
  HaltPipelineError,
  Interrupted,
  PermanentError,
  RetryableError,
  UnavailableError,
} from '../lib/errors.ts';
import { parseRetryAfter } from '../lib/retry.ts';

/** Turns what got or a socket threw into the queue's words. */
export function networkError(error: unknown, url: string, signal?: AbortSignal): Error {
  if (signal?.aborted) return new Interrupted();
  if (error instanceof HTTPError)
    return statusError(error.response.statusCode, error.response.headers, url, 0);
  const host = new URL(url).host;
  if (error instanceof RequestError && error.code === PRIVATE_ADDRESS)
    return refusedRedirect(url, `${host} is inside a private network`);
  const code = error instanceof RequestError ? error.code : error instanceof Error ? error.name : 'unknown';
  const message = `no complete answer from ${host} (${code})`;
  // Nobody is there at all, as against an answer that broke off.
  return OUT_OF_REACH.includes(code)
    ? new UnavailableError('network', message, { cause: error })
    : new RetryableError('network', message, { cause: error });
}

/** Code of the error by which a connection into a private network is refused. */
export const PRIVATE_ADDRESS = 'ERR_PRIVATE_ADDRESS';

/** A redirect that is not followed, although redirects to other hosts are. `to` says where it leads, without path: it may be signed. */
export function refusedRedirect(url: string, why: string): RetryableError {
  return new RetryableError('refused_redirect', `a redirect was not followed: ${why}`, {
    subject: { host: new URL(url).host },
    hint: 'If the host has moved, change its address in the configuration.',
  });
}

const OUT_OF_REACH: readonly string[] = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
];
/** Answers about the server rather than about what was asked for. */
const OVERLOADED: readonly number[] = [429, 502, 503, 504];

/**
 * The error for an unwanted status.
 * 404 and 410 are permanent, 403 stops the target, an overload lets it rest, everything else may heal.
 */
export function statusError(
  status: number,
  headers: IncomingHttpHeaders,
  url: string,
  nowMs: number,
): RetryableError | PermanentError | HaltPipelineError {
  const { host, pathname } = new URL(url);
  const subject = { host, status };
  if (status === 404 || status === 410)
    return new PermanentError('not_found', `${host} has no ${pathname}`, { subject });
  if (status === 403 || status === 401)
    return new HaltPipelineError('forbidden', `${host} refused ${pathname} with ${status}`, {
      subject,
      pauseMs: 60 * 60_000,
      hint: 'Check wikiseed.contact: Wikimedia refuses agents that do not identify themselves, and blocks addresses that open too many connections.',
    });
  const retryAfterMs = parseRetryAfter(headers['retry-after'], nowMs);
  const ErrorClass = OVERLOADED.includes(status) ? UnavailableError : RetryableError;
  return new ErrorClass('http_status', `${host} answered ${status} for ${pathname}`, {
    subject,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
