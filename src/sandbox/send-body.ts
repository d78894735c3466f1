import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Body,
  type Falsify,
  isWithinBody,
  lengthOf,
  PIECE_BYTES,
  pieces,
  rewritten,
  type SendingFault,
  startOf,
  takeLies,
  takeSendingFault,
} from './body-faults.ts';
import type { FaultKind, FaultList, SandboxServer } from './faults.ts';
import { takeFor } from './file-faults.ts';

export { requestLine } from './file-faults.ts';

/** Everything about an answer with a body. */
export interface Answer {
  server: SandboxServer;
  faults: FaultList;
  status: number;
  headers: Record<string, string | number>;
  body: Body;
  /** Limit of this connection in bytes per second; null for none. */
  bytesPerSecond?: number | null;
  /** Told of every piece of body that went out. */
  onBytes?: (count: number) => void;
}

const EARLY_FAULTS: readonly FaultKind[] = ['status', 'redirect', 'reset', 'vanish', 'cap'];
/** Sent without a length, so that only the end of the connection's chunks says where they end. */
const WITHOUT_LENGTH: readonly (FaultKind | undefined)[] = ['short', 'long'];
const REWRITING: readonly (FaultKind | undefined)[] = ['gzip', 'torn-json', 'no-hashes'];

/**
 * Applies a fault that replaces the answer. Returns true when the request is dealt with.
 * @param concurrent requests that the client has running here, this one included; servers that count none have no caps
 */
export function answeredByFault(
  faults: FaultList,
  server: SandboxServer,
  req: IncomingMessage,
  res: ServerResponse,
  concurrent = 0,
): boolean {
  const hit = takeFor({ faults, server, req }, EARLY_FAULTS, (spec) => {
    if (spec.kind === 'cap') return concurrent > (spec.connections ?? 2);
    // A reset at a byte is the business of whoever moves the body.
    return !(spec.kind === 'reset' && isWithinBody(spec));
  });
  if (hit === null) return false;
  const { kind, status, retryAfter, message, location, keepsPath } = hit.spec;
  if (kind === 'reset') {
    req.socket.resetAndDestroy();
    return true;
  }
  const code = kind === 'vanish' ? 404 : kind === 'redirect' ? (status ?? 307) : (status ?? 503);
  const headers: Record<string, string> = { 'Content-Type': 'text/plain', Connection: 'close' };
  if (retryAfter !== undefined) headers['Retry-After'] = String(retryAfter);
  if (location !== undefined) headers.Location = keepsPath ? `${location}${req.url ?? '/'}` : location;
  res.writeHead(code, headers).end(req.method === 'HEAD' ? undefined : (message ?? `${code}\n`));
  return true;
}

/** Sends an answer, with any fault of the body that the script holds for it. */
export async function sendAnswer(req: IncomingMessage, res: ServerResponse, answer: Answer): Promise<void> {
  const isHead = req.method === 'HEAD';
  const asked = { faults: answer.faults, server: answer.server, req };
  const falsify = isHead ? null : takeLies(asked, answer.body);
  const hit = isHead ? null : takeSendingFault(asked, answer.body);
  const kind = hit?.spec.kind;
  let { body } = answer;
  let change = falsify;
  if (kind !== undefined && REWRITING.includes(kind)) {
    body = await rewritten(body, kind, falsify);
    change = null;
  }
  const length = lengthOf(body);
  res.writeHead(answer.status, {
    ...answer.headers,
    ...(kind === 'gzip' ? { 'Content-Encoding': 'gzip' } : {}),
    ...(WITHOUT_LENGTH.includes(kind) ? {} : { 'Content-Length': length }),
  });
  if (isHead || length === 0) {
    res.end();
    return;
  }
  if (hit === null && change === null && Buffer.isBuffer(body) && !answer.bytesPerSecond) {
    answer.onBytes?.(length);
    res.end(body);
    return;
  }
  await sendPieces(res, body, answer, { hit, falsify: change });
}

async function sendPieces(
  res: ServerResponse,
  body: Body,
  answer: Answer,
  { hit, falsify }: { hit: SendingFault | null; falsify: Falsify | null },
): Promise<void> {
  // A client that is gone already sends no further event: waiting for one would never end.
  if (res.closed || res.destroyed) return;
  const length = lengthOf(body);
  const start = startOf(body);
  const kind = hit?.spec.kind;
  const closing = new AbortController();
  const closed = new Promise<void>((resolve) => {
    res.once('close', () => {
      closing.abort();
      resolve();
    });
  });
  const limit = kind === 'slow' ? (hit?.spec.bytesPerSecond ?? 10_000) : (answer.bytesPerSecond ?? null);
  const isBroken = kind === 'truncate' || kind === 'reset';
  const stopAt = isBroken || kind === 'short' ? (hit?.at ?? length) : length;
  const stallAt = kind === 'stall' ? (hit?.at ?? 0) : -1;
  // A limited connection sends about twenty small pieces a second, so that it flows instead of jumping.
  const size = limit === null ? PIECE_BYTES : Math.max(1, Math.min(PIECE_BYTES, Math.ceil(limit / 20)));
  const startedAt = performance.now();
  let sent = 0;

  const send = async (data: Buffer): Promise<void> => {
    const piece = falsify?.(data, start + sent) ?? data;
    sent += piece.length;
    // A piece goes out when its time is over, and the answer ends with its last byte: after that the client may ask again, and
    // must not be counted twice.
    const waitMs = limit === null ? 0 : startedAt + (sent * 1000) / limit - performance.now();
    if (waitMs > 1) await delay(waitMs, undefined, { signal: closing.signal }).catch(() => undefined);
    if (res.destroyed) return;
    answer.onBytes?.(piece.length);
    if (sent === length && !isBroken && kind !== 'long') res.end(piece);
    else if (!res.write(piece)) await once(res, 'drain', { signal: closing.signal }).catch(() => undefined);
  };

  if (stopAt === 0) res.flushHeaders();
  for await (const piece of pieces(body, size)) {
    let rest = piece.subarray(0, Math.max(0, stopAt - sent));
    if (stallAt >= sent && stallAt < sent + piece.length) {
      const before = stallAt - sent;
      if (before > 0) await send(rest.subarray(0, before));
      else res.flushHeaders();
      rest = rest.subarray(before);
      await Promise.race([hit?.released, closed]);
    }
    if (rest.length > 0 && !res.destroyed) await send(rest);
    if (res.destroyed || sent >= stopAt) break;
  }
  if (res.destroyed || res.writableEnded) return;
  if (kind === 'long') await send(Buffer.alloc(hit?.spec.extraBytes ?? 1000, 'x'));
  if (!isBroken) {
    res.end();
    return;
  }
  await breakOff(res, kind);
}

async function breakOff(res: ServerResponse, kind: 'truncate' | 'reset' | FaultKind): Promise<void> {
  // What was written must reach the client before the connection ends, or it would see nothing at all.
  await new Promise<void>((resolve) => {
    if (res.writableLength === 0) resolve();
    else res.write('', () => resolve());
  });
  if (kind === 'reset') res.socket?.resetAndDestroy();
  else res.socket?.end(() => res.destroy());
}
