import type { IncomingMessage } from 'node:http';

/** Offsets in a file, both included. */
export interface Span {
  start: number;
  end: number;
}

/** What a file's answer bears. */
export interface Validators {
  ETag: string;
  'Last-Modified': string;
}

/** The range of a request as it stands there; `last` is null for "to the end". null for none, and for one counted from the end. */
export function statedRange(req: IncomingMessage): { first: number; last: number | null } | null {
  const match = /^bytes=(\d+)-(\d*)$/.exec(req.headers.range ?? '');
  if (match === null) return null;
  return { first: Number(match[1]), last: match[2] === '' ? null : Number(match[2]) };
}

/** True when a request asks for this byte of a file; one without a range asks for all of them. */
export function asksFor(req: IncomingMessage, fileByte: number): boolean {
  const range = statedRange(req);
  return range === null || (range.first <= fileByte && (range.last === null || fileByte <= range.last));
}

/**
 * The range to answer with. null for the whole file: there is none, it is not of a form that is served, or its condition does
 * not hold.
 */
export function requestedRange(
  req: IncomingMessage,
  sizeBytes: number,
  validators: Validators,
): Span | 'unsatisfiable' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  const condition = req.headers['if-range'];
  // A weak validator fits nothing here (RFC 9110 section 13.1.5).
  const isFitting = condition === validators.ETag && !validators.ETag.startsWith('W/');
  if (condition !== undefined && !isFitting && condition !== validators['Last-Modified']) return null;
  const [, first = '', last = ''] = match;
  if (first === '') {
    const count = Math.min(Number(last), sizeBytes);
    return count === 0 ? 'unsatisfiable' : { start: sizeBytes - count, end: sizeBytes - 1 };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start >= sizeBytes) return 'unsatisfiable';
  return end < start ? null : { start, end };
}
