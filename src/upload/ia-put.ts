import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Interrupted, minutes, RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Clock } from '../ports/index.ts';

/** One file to send. */
export interface PutRequest {
  url: string;
  /** Must hold `content-length`; `Authorization` and `Expect` are added here. */
  headers: Readonly<Record<string, string>>;
  /** `LOW access:secret`; never logged. */
  authorization: string;
  /** The bytes from 0; called anew for each address that wants them. */
  openBody(): AsyncIterable<Uint8Array>;
  signal: AbortSignal;
  onSent?(sentBytes: number): void;
}

/** What came back. */
export interface PutAnswer {
  status: number;
  headers: IncomingMessage['headers'];
  /** At most 64 KiB. */
  bodyText: string;
  /** False when a redirect left the archive's own domain, where our keys are not shown. */
  isAuthorized: boolean;
}

/** The archive's upload interface, as this room sees it. */
export interface ArchivePut {
  /**
   * Sends a file. The header goes first and the body only after `100 Continue`, so that refusals and redirects cost no bytes.
   * @throws RetryableError `network`, Interrupted, or what `openBody` throws
   */
  put(request: PutRequest): Promise<PutAnswer>;
}

/** Longest silence on the line; there is no limit on the whole transfer, because files may take days. */
const INACTIVITY_MS = minutes(2);
/** A server that never heard of `Expect` waits for the body; RFC 9110 10.1.1 says not to wait for ever. */
const CONTINUE_WAIT_MS = minutes(1);
const REDIRECTS_MAX = 5;
const ANSWER_BYTES_MAX = 64 * 1024;

/** node:http directly: the wait for `100 Continue` and the fixed length are what higher clients do not offer together. */
export function createArchivePut(deps: { clock: Pick<Clock, 'after'>; userAgent: string }): ArchivePut {
  return {
    async put(request) {
      let url = new URL(request.url);
      let isAuthorized = true;
      for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
        const answer = await putOnce(deps, request, url, isAuthorized);
        const { location } = answer.headers;
        if (![301, 302, 307, 308].includes(answer.status) || location === undefined)
          return { ...answer, isAuthorized };
        const next = URL.parse(location, url.href);
        if (next === null || !/^https?:$/.test(next.protocol))
          throw new RetryableError(
            'bad_redirect',
            `${url.host} redirects to an address that cannot be followed`,
          );
        isAuthorized &&= mayKnowKeys(url, next);
        url = next;
      }
      throw new RetryableError(
        'too_many_redirects',
        `${url.host} redirects more than ${REDIRECTS_MAX} times`,
      );
    },
  };
}

/** Keys go to the same registrable domain over TLS, or stay on this machine. */
export function mayKnowKeys(from: URL, to: URL): boolean {
  const isLocal = (url: URL): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  if (isLocal(from) || isLocal(to)) return isLocal(from) && isLocal(to);
  if (from.origin === to.origin) return true;
  // Two labels are enough for archive.org; addresses made of numbers must be equal.
  const isNumeric = /^[\d.]+$|^\[/.test(to.hostname);
  const domain = (url: URL): string =>
    isNumeric ? url.hostname : url.hostname.split('.').slice(-2).join('.');
  return to.protocol === 'https:' && domain(from) === domain(to);
}

function putOnce(
  deps: { clock: Pick<Clock, 'after'>; userAgent: string },
  request: PutRequest,
  url: URL,
  isAuthorized: boolean,
): Promise<Omit<PutAnswer, 'isAuthorized'>> {
  return new Promise((resolve, reject) => {
    if (request.signal.aborted) return reject(new Interrupted());
    const options: RequestOptions = {
      method: 'PUT',
      agent: false,
      timeout: INACTIVITY_MS,
      headers: {
        ...request.headers,
        'user-agent': deps.userAgent,
        expect: '100-continue',
        ...(isAuthorized ? { authorization: request.authorization } : {}),
      },
    };
    const wire = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options);
    let isOver = false;
    let bodyBegun = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      cancelWait();
      request.signal.removeEventListener('abort', onAbort);
      wire.destroy();
      settle();
    };
    const fail = (error: unknown): void => end(() => reject(error));
    const onAbort = (): void => fail(new Interrupted());
    const sendBody = (): void => {
      if (bodyBegun || isOver) return;
      bodyBegun = true;
      cancelWait();
      step('upload:body_begun');
      pump(wire, request, () => isOver).catch(fail);
    };
    const cancelWait = deps.clock.after(CONTINUE_WAIT_MS, sendBody);
    request.signal.addEventListener('abort', onAbort, { once: true });
    wire
      .on('continue', sendBody)
      .on('timeout', () => fail(network(url, 'no traffic for 2 minutes')))
      .on('error', (error) => fail(network(url, 'code' in error ? String(error.code) : error.name, error)))
      .on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response
          .on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size <= ANSWER_BYTES_MAX) chunks.push(chunk);
          })
          .on('error', (error) => fail(network(url, error.name, error)))
          .on('end', () =>
            end(() =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                bodyText: Buffer.concat(chunks).toString('utf8'),
              }),
            ),
          );
      });
    wire.flushHeaders();
  });
}

async function pump(
  wire: ReturnType<typeof httpRequest>,
  request: PutRequest,
  isOver: () => boolean,
): Promise<void> {
  let sentBytes = 0;
  for await (const chunk of request.openBody()) {
    if (isOver()) return;
    if (!wire.write(chunk))
      // 'close' as well: a broken connection never drains.
      await new Promise<void>((resolve) => {
        const go = (): void => {
          wire.off('drain', go).off('close', go);
          resolve();
        };
        wire.once('drain', go).once('close', go);
      });
    if (isOver()) return;
    sentBytes += chunk.length;
    request.onSent?.(sentBytes);
  }
  wire.end();
  step('upload:body_sent');
}

function network(url: URL, what: string, cause?: unknown): RetryableError {
  return new RetryableError('network', `no complete answer from ${url.host} (${what})`, { cause });
}
