import { Agent, type IncomingHttpHeaders } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { Readable } from 'node:stream';
import got, { type Headers as GotHeaders, HTTPError, RequestError } from 'got';
import PQueue from 'p-queue';
import {
  HaltPipelineError,
  Interrupted,
  PermanentError,
  RetryableError,
  UnavailableError,
} from '../lib/errors.ts';
import { parseRetryAfter } from '../lib/retry.ts';
import type { Clock } from './clock.ts';

const MAX_REDIRECTS = 5;

/** One request; only http and https. */
export interface HttpRequest {
  url: string;
  method?: 'GET' | 'HEAD' | 'POST';
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Longest silence before the connection counts as stalled. Default 60 s. */
  inactivityMs?: number;
  body?: string;
  /** Redirects to another origin are refused unless this is set: whoever sets it proves the bytes by their hashes. */
  followOtherHosts?: boolean;
  /** Default 5. */
  maxRedirects?: number;
}

/** An answer whose body is still on the way; either read it to its end or call `discard`. */
export interface HttpResponse {
  status: number;
  headers: IncomingHttpHeaders;
  /** Address after redirects. */
  url: string;
  body: Readable;
  discard(): void;
}

/** The web, as rooms see it. Errors are classified here and retried by the queue, never both. */
export interface Http {
  /**
   * Sends the request and resolves when the header is there, whatever the status.
   * @throws RetryableError `network` when no answer came, `foreign_redirect`; Interrupted when `signal` aborted
   */
  request(request: HttpRequest): Promise<HttpResponse>;
}

/**
 * got for the wire: redirects, timeouts, keep-alive. Content encodings are never decoded: dump files are stored as served.
 * @param options.connectionsPerHost open connections to one host, idle ones included; without it as many as there are requests
 */
export function createHttp(options: { userAgent: string; clock: Clock; connectionsPerHost?: number }): Http {
  const sockets = { keepAlive: true, maxSockets: options.connectionsPerHost ?? Number.POSITIVE_INFINITY };
  const agent = { http: new Agent(sockets), https: new SecureAgent(sockets) };
  return {
    request: ({
      url,
      method = 'GET',
      headers = {},
      signal,
      inactivityMs = 60_000,
      body,
      followOtherHosts = false,
      maxRedirects = MAX_REDIRECTS,
    }) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new Interrupted());
        let refused: URL | null = null;
        const stream = got.stream(url, {
          method,
          headers: {
            'user-agent': options.userAgent,
            'accept-encoding': 'identity',
            ...headers,
          } as GotHeaders,
          agent,
          decompress: false,
          throwHttpErrors: false,
          retry: { limit: 0 },
          maxRedirects,
          followRedirect: ({ url: from, headers: { location } }) => {
            if (location === undefined || followOtherHosts) return true;
            const target = redirectTarget(location, from);
            if (target?.origin === new URL(from).origin) return true;
            refused = target;
            return target === null;
          },
          timeout: { connect: 30_000, secureConnect: 30_000, socket: inactivityMs, response: inactivityMs },
          signal,
          ...(body === undefined ? {} : { body }),
        });
        const onError = (error: Error): void => reject(networkError(error, url, signal));
        stream.once('error', onError);
        stream.once(
          'response',
          (response: { statusCode: number; headers: IncomingHttpHeaders; url: string }) => {
            stream.off('error', onError);
            // A late error belongs to whoever reads the body; without a listener it would end the process.
            stream.on('error', () => {});
            if (refused !== null) {
              stream.destroy();
              return reject(foreignRedirect(response.url, refused));
            }
            resolve({
              status: response.statusCode,
              headers: response.headers,
              url: response.url,
              body: stream as unknown as Readable,
              discard: () => stream.destroy(),
            });
          },
        );
        if (method === 'GET' || method === 'HEAD') stream.resume().pause();
      }),
  };
}

/** null when it is no address; got then says so. */
function redirectTarget(location: string, base: string): URL | null {
  return URL.canParse(location, base) ? new URL(location, base) : null;
}

/** A captive portal or a moved mirror: its answer would be taken for that of the host we asked. */
function foreignRedirect(from: string, target: URL): RetryableError {
  const { host, origin } = new URL(from);
  const error = new RetryableError(
    'foreign_redirect',
    `${origin} redirects to ${target.origin}, which was not asked`,
    {
      subject: { host, otherHost: target.host },
      hint: 'If the host has moved, change its address in the configuration.',
    },
  );
  foreignTargets.set(error, target);
  return error;
}

/** Where a refused redirect leads; no fact of the error, because addresses may be signed and errors are logged. */
const foreignTargets = new WeakMap<object, URL>();

/** Turns what got or a socket threw into the queue's words. */
export function networkError(error: unknown, url: string, signal?: AbortSignal): Error {
  if (signal?.aborted) return new Interrupted();
  if (error instanceof HTTPError)
    return statusError(error.response.statusCode, error.response.headers, url, 0);
  const host = new URL(url).host;
  const code = error instanceof RequestError ? error.code : error instanceof Error ? error.name : 'unknown';
  const message = `no complete answer from ${host} (${code})`;
  // Nobody is there at all, as against an answer that broke off.
  return OUT_OF_REACH.includes(code)
    ? new UnavailableError('network', message, { cause: error })
    : new RetryableError('network', message, { cause: error });
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

/**
 * Reads a whole small body.
 * @throws RetryableError `too_large` beyond `maxBytes`, `truncated` when fewer bytes came than announced
 */
export async function readBody(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body) {
      size += (chunk as Buffer).length;
      if (size > maxBytes) {
        response.discard();
        throw new RetryableError('too_large', `${response.url} sends more than ${maxBytes} bytes`);
      }
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw error instanceof RetryableError ? error : networkError(error, response.url);
  }
  const announced = response.headers['content-length'];
  if (announced !== undefined && response.status !== 304 && Number(announced) !== size)
    throw new RetryableError('truncated', `${response.url} broke off after ${size} of ${announced} bytes`);
  return Buffer.concat(chunks);
}

/**
 * Gives every host a budget of simultaneous requests; a slot is held until the body ended.
 * Wikimedia allows two connections for each address, status requests included, so one instance serves all job types. A redirect
 * to another host, where a request allows it, is followed from here, because it counts there.
 */
export function limitConnectionsPerHost(inner: Http, perHost: number): Http {
  const lanes = new Map<string, PQueue>();

  function inLane(request: HttpRequest): Promise<HttpResponse> {
    const { host } = new URL(request.url);
    const lane = lanes.get(host) ?? new PQueue({ concurrency: perHost });
    lanes.set(host, lane);
    return new Promise((resolve, reject) => {
      lane
        .add(async () => {
          if (request.signal?.aborted) return reject(new Interrupted());
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

  return {
    async request({ followOtherHosts = false, maxRedirects = MAX_REDIRECTS, ...request }) {
      for (let url = request.url, left = maxRedirects; ; left -= 1) {
        try {
          return await inLane({ ...request, url, maxRedirects: left });
        } catch (error) {
          const target = followOtherHosts && left > 0 ? foreignTargets.get(error as object) : undefined;
          if (target === undefined) throw error;
          url = target.href;
        }
      }
    },
  };
}
