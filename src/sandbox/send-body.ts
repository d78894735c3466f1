import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultHit, FaultKind, FaultList, SandboxServer } from './faults.ts';

/** A body: bytes in memory, or a part of an open file (`start` and `end` are offsets, `end` included), which stays open. */
export type Body = Buffer | { file: FileHandle; start: number; end: number };

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

const BODY_FAULTS: readonly FaultKind[] = ['truncate', 'corrupt', 'stall', 'slow', 'torn-json', 'no-hashes'];
const EARLY_FAULTS: readonly FaultKind[] = ['status', 'redirect', 'reset', 'vanish'];
/** Bytes read from disk at once; larger pieces did not make loopback transfers faster. */
const PIECE_BYTES = 256 * 1024;

/** `METHOD /path?query`, what fault scripts match. */
export function requestLine(req: IncomingMessage): string {
  return `${req.method ?? 'GET'} ${req.url ?? '/'}`;
}

/** Applies a fault that replaces the answer. Returns true when the request is dealt with. */
export function answeredByFault(
  faults: FaultList,
  server: SandboxServer,
  req: IncomingMessage,
  res: ServerResponse,
): boolean {
  // A reset at a byte of an upload is the body reader's business.
  const hit = faults.take(
    server,
    requestLine(req),
    EARLY_FAULTS,
    (spec) => !(spec.kind === 'reset' && spec.atByte),
  );
  if (hit === null) return false;
  const { kind, status, retryAfter, message, location } = hit.spec;
  if (kind === 'reset') {
    req.socket.resetAndDestroy();
    return true;
  }
  const code = kind === 'vanish' ? 404 : kind === 'redirect' ? (status ?? 307) : (status ?? 503);
  const headers: Record<string, string> = { 'Content-Type': 'text/plain', Connection: 'close' };
  if (retryAfter !== undefined) headers['Retry-After'] = String(retryAfter);
  if (location !== undefined) headers.Location = location;
  res.writeHead(code, headers).end(req.method === 'HEAD' ? undefined : (message ?? `${code}\n`));
  return true;
}

/** Sends an answer, with any fault of the body that the script holds for it. */
export async function sendAnswer(req: IncomingMessage, res: ServerResponse, answer: Answer): Promise<void> {
  const isMemory = Buffer.isBuffer(answer.body);
  const { start, end } = Buffer.isBuffer(answer.body)
    ? { start: 0, end: answer.body.length - 1 }
    : answer.body;
  const hit =
    req.method === 'HEAD'
      ? null
      : answer.faults.take(answer.server, requestLine(req), BODY_FAULTS, ({ kind, atByte }) => {
          if (kind === 'corrupt' && atByte !== undefined) return atByte >= start && atByte <= end;
          return kind === 'stall' || kind === 'slow' || end >= start;
        });
  let body = answer.body;
  if (hit?.spec.kind === 'torn-json' || hit?.spec.kind === 'no-hashes')
    body = await rewritten(body, hit.spec.kind);
  const length = Buffer.isBuffer(body) ? body.length : body.end - body.start + 1;
  res.writeHead(answer.status, { ...answer.headers, 'Content-Length': length });
  if (req.method === 'HEAD' || length === 0) {
    res.end();
    return;
  }
  if (hit === null && isMemory && !answer.bytesPerSecond) {
    answer.onBytes?.(length);
    res.end(body);
    return;
  }
  await sendPieces(res, body, length, answer, hit);
}

async function rewritten(body: Body, kind: 'torn-json' | 'no-hashes'): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of pieces(body, PIECE_BYTES)) parts.push(piece);
  const whole = Buffer.concat(parts);
  if (kind === 'torn-json') return whole.subarray(0, Math.ceil(whole.length / 2));
  return Buffer.from(
    JSON.stringify(JSON.parse(whole.toString()), (key, value: unknown) =>
      (key === 'md5' || key === 'sha1') && typeof value === 'string' ? undefined : value,
    ),
  );
}

async function* pieces(body: Body, size: number): AsyncGenerator<Buffer> {
  if (!Buffer.isBuffer(body)) {
    const { start, end } = body;
    if (end < start) return;
    for await (const piece of body.file.createReadStream({
      start,
      end,
      highWaterMark: size,
      autoClose: false,
    })) {
      yield piece as Buffer;
    }
    return;
  }
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
}

async function sendPieces(
  res: ServerResponse,
  body: Body,
  length: number,
  answer: Answer,
  hit: FaultHit | null,
): Promise<void> {
  // A client that is gone already sends no further event: waiting for one would never end.
  if (res.closed || res.destroyed) return;
  const kind = hit?.spec.kind;
  const closing = new AbortController();
  const closed = new Promise<void>((resolve) => {
    res.once('close', () => {
      closing.abort();
      resolve();
    });
  });
  const limit = kind === 'slow' ? (hit?.spec.bytesPerSecond ?? 10_000) : (answer.bytesPerSecond ?? null);
  const start = Buffer.isBuffer(body) ? 0 : body.start;
  const flipAt = kind === 'corrupt' ? (hit?.spec.atByte ?? start + Math.floor(length / 2)) - start : -1;
  const stopAt = kind === 'truncate' ? (hit?.spec.atByte ?? Math.floor(length / 2)) : length;
  const stallAt = kind === 'stall' ? (hit?.spec.atByte ?? 0) : -1;
  // A limited connection sends about twenty small pieces a second, so that it flows instead of jumping.
  const size = limit === null ? PIECE_BYTES : Math.max(1, Math.min(PIECE_BYTES, Math.ceil(limit / 20)));
  const startedAt = performance.now();
  let sent = 0;

  const send = async (data: Buffer): Promise<void> => {
    const from = sent;
    sent += data.length;
    let piece = data;
    if (flipAt >= from && flipAt < sent) {
      piece = Buffer.from(data);
      piece[flipAt - from] = (piece[flipAt - from] as number) ^ 0x01;
    }
    // A piece goes out when its time is over, and the answer ends with its last byte: after that the client may ask again, and
    // must not be counted twice.
    const waitMs = limit === null ? 0 : startedAt + (sent * 1000) / limit - performance.now();
    if (waitMs > 1) await delay(waitMs, undefined, { signal: closing.signal }).catch(() => undefined);
    if (res.destroyed) return;
    answer.onBytes?.(piece.length);
    if (sent === length && kind !== 'truncate') res.end(piece);
    else if (!res.write(piece)) await once(res, 'drain', { signal: closing.signal }).catch(() => undefined);
  };

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
  if (kind !== 'truncate') {
    res.end();
    return;
  }
  // What was written must reach the client before the connection ends, or it would see nothing at all.
  await new Promise<void>((resolve) => {
    if (res.writableLength === 0) resolve();
    else res.write('', () => resolve());
  });
  res.socket?.end(() => res.destroy());
}
