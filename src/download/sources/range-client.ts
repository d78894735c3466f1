import {
  CorruptError,
  errorCode,
  Interrupted,
  isAbort,
  RetryableError,
  UnavailableError,
} from '../../lib/index.ts';
import { type Clock, type Http, type HttpResponse, networkError } from '../../ports/index.ts';
import type { Bandwidth } from '../bandwidth.ts';
import { watchBody } from './body-watch.ts';
import { type Asked, headersFor, readAnswer, validatorOf } from './read-answer.ts';
import { SourceFault } from './source-fault.ts';
import type { Traffic } from './traffic.ts';
import type { ByteSource, FaultKind, RangeBody, RangeClient } from './types.ts';

/** What the client needs; `http` must already limit connections for each host. */
export interface RangeClientDeps {
  http: Http;
  clock: Clock;
  bandwidth: Bandwidth;
  traffic: Traffic;
  /** Longest silence of a body that somebody reads, and of a request that waits for its header. Default 60 s. */
  inactivityMs?: number;
}

const INACTIVITY_MS = 60_000;
const STALLS = { silent: 'fell silent', slow: 'was too slow' } as const;

/** See `RangeClient`. Nothing of an answer is given on before its header was checked, and never more than was wanted. */
export function createRangeClient(deps: RangeClientDeps): RangeClient {
  const { http, clock, inactivityMs = INACTIVITY_MS } = deps;

  async function ask(source: ByteSource, asked: Asked, signal: AbortSignal): Promise<HttpResponse> {
    try {
      return await http.request({
        url: source.url,
        headers: headersFor(asked),
        signal,
        inactivityMs,
        // Our own limits may let a body wait; that is no silence of the other side.
        readerWatchesBody: true,
        // Bytes may come from anywhere: the hash decides. Mirrors send large files to other hosts.
        followOtherHosts: true,
        ...(source.originHost === undefined ? {} : { avoidHost: source.originHost }),
      });
    } catch (error) {
      if (signal.aborted || isAbort(error)) throw new Interrupted();
      throw noAnswer(source, error);
    }
  }

  return {
    async open(source, { signal, ...asked }) {
      const close = deps.traffic.open(source.id);
      let response: HttpResponse;
      try {
        response = await ask(source, asked, signal);
      } catch (error) {
        close();
        throw error;
      }
      response.body.once('close', close).once('end', close);
      if (response.body.destroyed) close();
      const answer = readAnswer(response, asked, clock.now());
      if ('kind' in answer || signal.aborted) {
        response.discard();
        if (signal.aborted) throw new Interrupted();
        const { kind, cause } = answer as Extract<typeof answer, { kind: FaultKind }>;
        throw faultOf(source, kind, cause);
      }
      // Hosts build validators from their own file times: another host's would never fit.
      const isSameHost = new URL(source.url).host === new URL(response.url).host;
      return {
        startBytes: answer.startBytes,
        chunks: readBody({ ...deps, inactivityMs }, source, { asked, signal, response, ...answer }),
        validator: isSameHost ? validatorOf(response.headers) : null,
        url: response.url,
        discard: () => response.discard(),
      } satisfies RangeBody;
    },
  };
}

interface Reading {
  asked: Asked;
  signal: AbortSignal;
  response: HttpResponse;
  /** Bytes the body must have. */
  bodyBytes: number;
}

async function* readBody(
  deps: Required<RangeClientDeps>,
  source: ByteSource,
  { asked, signal, response, bodyBytes }: Reading,
): AsyncGenerator<Buffer, void> {
  const { host } = new URL(response.url);
  const hasLength = response.headers['content-length'] !== undefined;
  const wantedBytes = asked.endBytes - asked.startBytes;
  const watch = watchBody(deps.clock, {
    silenceMs: deps.inactivityMs,
    onEnd: () => response.discard(),
  });
  let gotBytes = 0;
  const fault = (kind: FaultKind, what: string, cause?: unknown): SourceFault =>
    faultOf(
      source,
      kind,
      brokenBody(kind, `${host} ${what} after ${gotBytes} of ${wantedBytes} bytes`, cause),
      kind !== 'too_long' && watch.mayBeOurs(),
    );
  try {
    watch.begin();
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      watch.end(chunk.length);
      if (signal.aborted) throw new Interrupted();
      const left = wantedBytes - gotBytes;
      const part = chunk.length > left ? chunk.subarray(0, left) : chunk;
      if (part.length > 0) {
        await deps.bandwidth.take(host, part.length, signal);
        gotBytes += part.length;
        yield part;
      }
      // A whole file of which a part was wanted is left here; a body that should have ended is not.
      if (gotBytes === wantedBytes && bodyBytes > wantedBytes) return;
      if (part.length < chunk.length) throw fault('too_long', 'sent more bytes');
      if (watch.verdict() !== null) break;
      watch.begin();
    }
    if (gotBytes === wantedBytes) return;
    if (watch.verdict() === 'slow') throw fault('stalled', STALLS.slow);
    throw fault('broken_off', 'broke off');
  } catch (error) {
    if (signal.aborted) throw new Interrupted();
    if (error instanceof SourceFault) throw error;
    if (watch.verdict() !== null) throw fault('stalled', STALLS[watch.verdict() ?? 'silent']);
    // What follows the announced end is taken for the next answer, and cannot be read as one.
    if (hasLength && errorCode(error).startsWith('HPE_')) throw fault('too_long', 'sent more bytes');
    throw fault('broken_off', 'broke off', networkError(error, response.url));
  } finally {
    watch.stop();
    // One that was read to its end gave its connection back already.
    if (!response.body.readableEnded) response.discard();
  }
}

function faultOf(source: ByteSource, kind: FaultKind, cause: Error, mayBeOurs = false): SourceFault {
  const retryAfterMs = cause instanceof RetryableError ? cause.retryAfterMs : undefined;
  return new SourceFault(source, kind, cause.message, {
    cause,
    mayBeOurs,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function brokenBody(kind: FaultKind, message: string, cause: unknown): RetryableError {
  if (kind === 'too_long') return new CorruptError('too_long', message);
  return new RetryableError(kind === 'stalled' ? 'stalled' : 'truncated', message, { cause });
}

/** What it means that no header came. */
function noAnswer(source: ByteSource, error: unknown): SourceFault {
  const cause = error instanceof Error ? error : new RetryableError('network', String(error));
  const code = errorCode(error);
  const inner = errorCode(cause.cause);
  if (code === 'redirected_back') return faultOf(source, 'not_found', cause);
  if (code === 'refused_redirect' || code === 'foreign_redirect')
    return faultOf(source, 'refused_redirect', cause);
  if (cause instanceof UnavailableError) return faultOf(source, 'unreachable', cause);
  if (inner.startsWith('HPE_')) return faultOf(source, 'status', cause);
  const event = (cause.cause as { event?: string } | undefined)?.event;
  if (inner === 'ETIMEDOUT' && event === 'response') return faultOf(source, 'stalled', cause);
  return faultOf(source, inner === 'ECONNRESET' ? 'broken_off' : 'unreachable', cause);
}
