import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context, Hono } from 'hono';
import { describeError } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import {
  type ClientLimits,
  clientOf,
  createClientLimits,
  type Place,
  type WebseedLimits,
} from './client-limits.ts';
import { type ByteRange, isRangeMeant, requestedRange } from './requested-range.ts';
import { WEBSEED_PREFIX, wantedPath } from './webseed-path.ts';

/** What is answered for a path of a torrent. */
export type WebseedAnswer =
  | {
      kind: 'bytes';
      sizeBytes: number;
      /** Names these very bytes; without quotes. */
      tag: string;
      /** Epoch ms; null = there is no such time. */
      modifiedMs: number | null;
      /**
       * @param reader clients have their turns one after the other; `signal` aborts when this one is gone
       * @throws Error when the bytes are not, or no more, what they must be: the connection is cut
       */
      read(
        target: Uint8Array,
        position: number,
        reader: { client: string; signal: AbortSignal },
      ): Promise<number>;
      close(): Promise<void>;
    }
  | { kind: 'elsewhere'; url: string }
  /** It cannot be said at the moment. */
  | { kind: 'busy' };

/** Serves torrents to ordinary HTTP clients (BEP 19). */
export interface Webseed {
  /** null = there is no such file in any torrent, or nobody has it. */
  open(infoName: string, path: string): Promise<WebseedAnswer | null>;
  limits: WebseedLimits;
  /** Addresses of proxies whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[];
}

/** Bytes read and sent at a time. */
const CHUNK_BYTES = 256 * 1024;
/** A client that takes nothing for so long has left, whatever its connection says. */
const IDLE_MS = 120_000;
/** What a client that asked for too much at once is told to wait, seconds. */
const RETRY_AFTER_S = 5;

/** Adds `GET|HEAD /webseed/<info name>/<path>`. */
export function addWebseedRoutes(
  app: Hono,
  deps: {
    webseed: Webseed;
    clock: Clock;
    log: Log;
    notFound: (c: Context, text: string) => Response | Promise<Response>;
  },
): void {
  const { webseed, clock, log } = deps;
  const limits = createClientLimits({ clock, limits: webseed.limits });

  app.get(`${WEBSEED_PREFIX}*`, async (c) => {
    // Browsers are clients, too; there is nothing here that is not public.
    c.header('Access-Control-Allow-Origin', '*');
    c.header(
      'Access-Control-Expose-Headers',
      'Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After',
    );
    c.header('Cross-Origin-Resource-Policy', 'cross-origin');
    c.header('Cache-Control', 'no-cache');
    const wanted = wantedPath(c.req.raw.url);
    const client = clientName(c, webseed.trustedProxies);
    const place = wanted === null ? null : limits.enter(client);
    if (wanted === null || place === null) return deps.notFound(c, 'There is no such file in any torrent.');
    if (place === 'client' || place === 'all') return refused(c, place);
    let isHandedOver = false;
    try {
      const found = await webseed.open(wanted.infoName, wanted.path);
      if (found === null) return await deps.notFound(c, 'There is no such file in any torrent.');
      if (found.kind === 'busy') return refused(c, 'busy');
      if (found.kind === 'elsewhere') return c.redirect(found.url, 302);
      try {
        const range = prepare(c, found);
        if (range === null) return c.body(null);
        isHandedOver = true;
        return c.body(stream({ found, client, place, range, clock, log, cut: () => cutConnection(c) }));
      } finally {
        if (!isHandedOver) await found.close();
      }
    } finally {
      if (!isHandedOver) place.leave();
    }
  });
}

function clientName(c: Context, trustedProxies: readonly string[]): string {
  let remote: string | undefined;
  try {
    remote = getConnInfo(c).remote.address;
  } catch {
    // The connection is gone already.
  }
  return clientOf(remote, c.req.header('X-Forwarded-For'), trustedProxies);
}

function refused(c: Context, why: Exclude<ReturnType<ClientLimits['enter']>, Place> | 'busy'): Response {
  c.header('Retry-After', String(RETRY_AFTER_S));
  if (why === 'client') return c.text('You have as many files open here as one client may.\n', 429);
  return why === 'all'
    ? c.text('There are too many clients at the moment.\n', 503)
    : c.text('It cannot be said at the moment whether there is such a file.\n', 503);
}

/**
 * Writes status and header.
 * @returns what is to be sent; null = nothing
 */
function prepare(c: Context, found: Extract<WebseedAnswer, { kind: 'bytes' }>): ByteRange | null {
  const { sizeBytes, modifiedMs } = found;
  const etag = `"${found.tag}"`;
  const lastModified = modifiedMs === null ? null : new Date(modifiedMs).toUTCString();
  c.header('ETag', etag);
  c.header('Accept-Ranges', 'bytes');
  if (lastModified !== null) c.header('Last-Modified', lastModified);
  const known = c.req.header('If-None-Match');
  if (
    known?.split(',').some((entry) => entry.trim() === '*' || entry.trim().replace(/^W\//, '') === etag) ===
    true
  ) {
    c.status(304);
    return null;
  }
  c.header('Content-Type', 'application/octet-stream');
  const isHead = c.req.raw.method === 'HEAD';
  const isMeant = !isHead && isRangeMeant(c.req.header('If-Range'), etag, lastModified);
  const range = isMeant ? requestedRange(c.req.header('Range'), sizeBytes) : null;
  if (range === 'unsatisfiable') {
    c.header('Content-Range', `bytes */${sizeBytes}`);
    c.header('Content-Length', '0');
    c.status(416);
    return null;
  }
  const sent = range ?? { from: 0, sizeBytes };
  c.header('Content-Length', String(sent.sizeBytes));
  if (range !== null) {
    c.header('Content-Range', `bytes ${range.from}-${range.from + range.sizeBytes - 1}/${sizeBytes}`);
    c.status(206);
  } else c.status(200);
  return isHead || sent.sizeBytes === 0 ? null : sent;
}

/** Reads as fast as the client takes it; file and place are given back at the end, when the client leaves, and when it sleeps. */
function stream(facts: {
  found: Extract<WebseedAnswer, { kind: 'bytes' }>;
  client: string;
  place: Place;
  range: ByteRange;
  clock: Clock;
  log: Log;
  /** Ends the connection: what was promised does not come. */
  cut: () => void;
}): ReadableStream<Uint8Array> {
  const { found, client, place, range, clock, log, cut } = facts;
  const gone = new AbortController();
  const end = range.from + range.sizeBytes;
  let position = range.from;
  let isOver = false;
  /** A read that goes on needs its file until it is back. */
  let reading: Promise<unknown> = Promise.resolve();
  let cancelIdle = (): void => {};

  async function finish(): Promise<void> {
    if (isOver) return;
    isOver = true;
    cancelIdle();
    gone.abort();
    // The place goes last: else whoever asks and hangs up has more files open, and more read for him, than he may.
    try {
      await reading.catch(() => {});
      await found.close();
    } finally {
      place.leave();
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      start: armIdle,
      async pull(controller) {
        cancelIdle();
        try {
          const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - position));
          await place.take(chunk.length, gone.signal);
          if (isOver) return;
          const mine = found.read(chunk, position, { client, signal: gone.signal });
          reading = mine;
          const got = await mine;
          if (isOver) return;
          // The length was promised: a connection that breaks off says what an end would hide.
          if (got < chunk.length) throw new Error('a file became shorter while it was sent');
          position += got;
          if (position < end) {
            controller.enqueue(chunk);
            return armIdle();
          }
          // Before the last bytes: whoever has them may ask for the next file at once.
          await finish();
          controller.enqueue(chunk);
          controller.close();
        } catch (error) {
          if (isOver) return;
          log.warn({ err: describeError(error) }, 'a file could not be sent to its end');
          await finish();
          cut();
        }
      },
      cancel: finish,
    },
    { highWaterMark: 0 },
  );

  function armIdle(): void {
    cancelIdle = clock.after(IDLE_MS, () => void finish().then(cut));
  }
}

/** The adapter would write an error of a stream to standard error, where nobody expects it. */
function cutConnection(c: Context): void {
  (c.env as { outgoing?: { destroy(): void } } | undefined)?.outgoing?.destroy();
}
