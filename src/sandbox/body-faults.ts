import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { FaultHit, FaultKind, FaultList, FaultSpec, SandboxServer } from './faults.ts';
import { takeFor } from './file-faults.ts';

/**
 * A body: bytes in memory, or a part of an open file (`start` and `end` are offsets, `end` included), which stays open. Beyond
 * the file's own end come zeros.
 */
export type Body = Buffer | { file: FileHandle; start: number; end: number };

/** Bytes read from disk at once; larger pieces did not make loopback transfers faster. */
export const PIECE_BYTES = 256 * 1024;

/** Offset in the file of a body's first byte. */
export function startOf(body: Body): number {
  return Buffer.isBuffer(body) ? 0 : body.start;
}

/** Bytes in a body. */
export function lengthOf(body: Body): number {
  return Buffer.isBuffer(body) ? body.length : body.end - body.start + 1;
}

/** Gives a body piece by piece. */
export async function* pieces(body: Body, size: number): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(body)) {
    for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
    return;
  }
  const { file, start, end } = body;
  if (end < start) return;
  let left = end - start + 1;
  for await (const piece of file.createReadStream({ start, end, highWaterMark: size, autoClose: false })) {
    left -= (piece as Buffer).length;
    yield piece as Buffer;
  }
  for (; left > 0; left -= Math.min(left, size)) yield Buffer.alloc(Math.min(left, size));
}

/** Puts other bytes into a piece that begins at `offset` of the file. Returns the piece itself when none of them are in it. */
export type Falsify = (piece: Buffer, offset: number) => Buffer;

interface Lie {
  startBytes: number;
  endBytes: number;
  mask: number;
}

/** What the script makes of the bytes of a body; null for nothing. Everything that lies about one of them is taken together. */
export function takeLies(
  asked: { faults: FaultList; server: SandboxServer; req: IncomingMessage },
  body: Body,
): Falsify | null {
  const [start, length] = [startOf(body), lengthOf(body)];
  const end = start + length;
  const lies: Lie[] = [];
  const seen = new Set<Readonly<FaultSpec>>();
  for (;;) {
    const hit = takeFor(asked, ['lie', 'corrupt'], (spec) => {
      // Judged again in the next round, a fault that hit already is not to be counted twice.
      if (seen.has(spec)) return false;
      if (Buffer.isBuffer(body) && spec.kind === 'lie') return false;
      return toldBy(spec, start, length).some((lie) => lie.startBytes < end && lie.endBytes > start);
    });
    if (hit === null) break;
    seen.add(hit.spec);
    lies.push(...toldBy(hit.spec, start, length));
  }
  if (lies.length === 0) return null;
  return (piece, offset) => {
    let told = piece;
    for (const { startBytes, endBytes, mask } of lies) {
      const from = Math.max(0, startBytes - offset);
      const to = Math.min(piece.length, endBytes - offset);
      if (from < to && told === piece) told = Buffer.from(piece);
      for (let at = from; at < to; at += 1) told[at] = (told[at] as number) ^ mask;
    }
    return told;
  };
}

function toldBy(spec: Readonly<FaultSpec>, start: number, length: number): Lie[] {
  const mask = spec.mask ?? 1;
  if (spec.kind === 'lie')
    return (spec.lies ?? [{ startBytes: 0, endBytes: Number.POSITIVE_INFINITY }]).map((lie) => ({
      ...lie,
      mask,
    }));
  if (length === 0) return [];
  const at = spec.atByte ?? spec.fileByte ?? start + Math.floor(length / 2);
  return [{ startBytes: at, endBytes: at + 1, mask }];
}

const SENDING_FAULTS: readonly FaultKind[] = [
  ...(['truncate', 'short', 'long', 'reset', 'stall', 'slow', 'gzip', 'torn-json', 'no-hashes'] as const),
];

/** A fault of the sending, and the offset in the body where it happens. */
export interface SendingFault extends FaultHit {
  readonly at: number;
}

/** Takes a fault of the sending. */
export function takeSendingFault(
  asked: { faults: FaultList; server: SandboxServer; req: IncomingMessage },
  body: Body,
): SendingFault | null {
  const [start, length] = [startOf(body), lengthOf(body)];
  const hit = takeFor(asked, SENDING_FAULTS, ({ kind, fileByte, atByte }) => {
    // What came may be less than what was asked for: the byte has to be in it.
    if (fileByte !== undefined && !(fileByte >= start && fileByte < start + length)) return false;
    if (kind === 'reset') return isWithinBody({ fileByte, atByte }) && asked.req.method === 'GET';
    return kind === 'stall' || kind === 'slow' || length > 0;
  });
  if (hit === null) return null;
  const { kind, atByte, fileByte } = hit.spec;
  const usual = kind === 'stall' ? 0 : Math.floor(length / 2);
  return { ...hit, at: atByte ?? (fileByte === undefined ? usual : fileByte - start) };
}

/** True for a `reset` that happens within a body, not instead of an answer. */
export function isWithinBody({
  atByte,
  fileByte,
}: {
  atByte?: number | undefined;
  fileByte?: number | undefined;
}): boolean {
  return atByte === undefined ? fileByte !== undefined : atByte > 0;
}

/** A body as it is sent when the fault is about all of it. */
export async function rewritten(body: Body, kind: FaultKind, falsify: Falsify | null): Promise<Buffer> {
  const parts: Buffer[] = [];
  let offset = startOf(body);
  for await (const piece of pieces(body, PIECE_BYTES)) {
    parts.push(falsify?.(piece, offset) ?? piece);
    offset += piece.length;
  }
  const whole = Buffer.concat(parts);
  if (kind === 'gzip') return gzipSync(whole);
  if (kind === 'torn-json') return whole.subarray(0, Math.ceil(whole.length / 2));
  return Buffer.from(
    JSON.stringify(JSON.parse(whole.toString()), (key, value: unknown) =>
      (key === 'md5' || key === 'sha1') && typeof value === 'string' ? undefined : value,
    ),
  );
}
