import { lookup as systemLookup } from 'node:dns';
import { Agent, type ClientRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import got, { type Headers as GotHeaders } from 'got';
import { Interrupted, RetryableError } from '../lib/errors.ts';
import { isPublicAddress, literalAddress } from '../lib/public-address.ts';
import type { Clock } from './clock.ts';
import { networkError, refusedRedirect } from './http-errors.ts';
import { followRedirects, foreignRedirect, redirectTarget } from './http-redirects.ts';
import { guardSocket, publicLookup } from './http-sockets.ts';

export { networkError, statusError } from './http-errors.ts';
export { limitConnectionsPerHost } from './http-limit.ts';

/** One request; only http and https. */
export interface HttpRequest {
  url: string;
  method?: 'GET' | 'HEAD' | 'POST';
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Longest silence before the connection counts as stalled. Default 60 s. */
  inactivityMs?: number;
  /** The silence counts until the header is there; then the reader, who may have reasons to pause, watches the body. */
  readerWatchesBody?: boolean;
  body?: string | Uint8Array;
  /** Redirects to another origin are refused unless this is set: whoever sets it proves the bytes by their hashes. */
  followOtherHosts?: boolean;
  /** Default 5. */
  maxRedirects?: number;
  /** Host with port that no redirect may lead to: `redirected_back`. */
  avoidHost?: string;
  /** Refuses to connect into private networks, by address and by name. */
  publicOnly?: boolean;
  /** Called when its turn among the connections to the host has come, and again for each redirect. */
  onStart?: () => void;
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
   * @throws RetryableError `network` when no answer came, `foreign_redirect`, `refused_redirect`; Interrupted when `signal` aborted
   */
  request(request: HttpRequest): Promise<HttpResponse>;
}

/** What the client is made from. */
export interface HttpOptions {
  userAgent: string;
  clock: Clock;
  /** Open connections to one host, idle ones included; without it as many as there are requests. */
  connectionsPerHost?: number;
  /** How names are resolved; the system's way by default. */
  lookup?: LookupFunction;
  /** Which addresses are no private ones; `isPublicAddress` by default. */
  isPublic?: (address: string) => boolean;
}

/** got for the wire: timeouts, keep-alive. Content encodings are never decoded: dump files are stored as served. */
export function createHttp(options: HttpOptions): Http {
  const { isPublic = isPublicAddress, lookup = systemLookup as LookupFunction } = options;
  const sockets = { keepAlive: true, maxSockets: options.connectionsPerHost ?? Number.POSITIVE_INFINITY };
  const agent = { http: new Agent(sockets), https: new SecureAgent(sockets) };
  const guardedLookup = publicLookup(lookup, isPublic);

  function ask(request: HttpRequest): Promise<HttpResponse> {
    const { url, method = 'GET', signal, body, publicOnly = false } = request;
    const { inactivityMs = 60_000, readerWatchesBody = false } = request;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new Interrupted());
      request.onStart?.();
      const literal = publicOnly ? literalAddress(new URL(url)) : null;
      if (literal !== null && !isPublic(literal))
        return reject(refusedRedirect(url, `${literal} is inside a private network`));
      const stream = got.stream(url, {
        method,
        headers: {
          'user-agent': options.userAgent,
          'accept-encoding': 'identity',
          ...request.headers,
        } as GotHeaders,
        agent,
        ...(publicOnly
          ? { dnsLookup: guardedLookup as never }
          : options.lookup && { dnsLookup: lookup as never }),
        decompress: false,
        throwHttpErrors: false,
        retry: { limit: 0 },
        // It would read bodies of redirects whole where it gives up.
        followRedirect: false,
        timeout: {
          connect: 30_000,
          secureConnect: 30_000,
          response: inactivityMs,
          ...(readerWatchesBody ? {} : { socket: inactivityMs }),
        },
        signal,
        ...(body === undefined ? {} : { body }),
      });
      // The name may have led elsewhere when a connection that is used again was made.
      if (publicOnly) stream.on('request', (sent: ClientRequest) => guardSocket(sent, isPublic));
      const onError = (error: Error): void => reject(networkError(error, url, signal));
      stream.once('error', onError);
      stream.once('response', (response: GotResponse) => {
        stream.off('error', onError);
        // A late error belongs to whoever reads the body; without a listener it would end the process.
        stream.on('error', () => {});
        const elsewhere = redirectOf(response);
        if (elsewhere !== null) {
          // Not read: it says nothing, and may have no end.
          stream.destroy();
          return reject(elsewhere);
        }
        resolve({
          status: response.statusCode,
          headers: response.headers,
          url: response.url,
          body: stream as unknown as Readable,
          discard: () => stream.destroy(),
        });
      });
      if (method === 'GET' || method === 'HEAD') stream.resume().pause();
    });
  }

  /** null = the answer is one. */
  function redirectOf({ statusCode: status, headers, url, ip }: GotResponse): RetryableError | null {
    try {
      const target = redirectTarget(status, headers.location, url);
      if (target === null) return null;
      const isFromPublic = ip === undefined || isPublic(ip);
      return foreignRedirect({ from: new URL(url), target, status, hops: 0, isFromPublic });
    } catch (error) {
      return error as RetryableError;
    }
  }

  return { request: (request) => followRedirects(request, ask) };
}

interface GotResponse {
  statusCode: number;
  headers: IncomingHttpHeaders;
  url: string;
  ip?: string;
}

/** What is read of the page of an error: enough for a reason. */
const ERROR_BYTES_MAX = 64 * 1024;

/**
 * Reads a whole small body; of an answer with an error status the first 64 KiB, whatever `maxBytes` allows.
 * @throws RetryableError `too_large` beyond `maxBytes`, `truncated` when fewer bytes came than announced
 */
export async function readBody(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const isError = response.status >= 400;
  try {
    for await (const chunk of response.body) {
      size += (chunk as Buffer).length;
      if (isError && size > Math.min(maxBytes, ERROR_BYTES_MAX)) {
        response.discard();
        return Buffer.concat([...chunks, chunk as Buffer]).subarray(0, Math.min(maxBytes, ERROR_BYTES_MAX));
      }
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
