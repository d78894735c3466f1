/** Bytes of a file: from the first one on. */
export interface ByteRange {
  from: number;
  sizeBytes: number;
}

/**
 * Reads a Range header (RFC 9110, 14.2). Pure.
 * @returns null = send the whole file: there is no header, or one that need not be understood (another unit, several ranges);
 *   `unsatisfiable`: 416
 */
export function requestedRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | 'unsatisfiable' | null {
  const match = header === undefined ? null : /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header);
  if (match === null) return null;
  // As nginx does: webtorrent asks for bytes of an empty file that lies within a piece, and a 416 costs it the piece.
  if (sizeBytes === 0) return null;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return null;
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { from: sizeBytes - length, sizeBytes: length };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return null;
  if (from >= sizeBytes) return 'unsatisfiable';
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  return { from, sizeBytes: end - from };
}

/** Whether a Range header counts, by If-Range (RFC 9110, 13.1.5): a strong validator, or exactly the time we name. Pure. */
export function isRangeMeant(
  ifRange: string | undefined,
  etag: string,
  lastModified: string | null,
): boolean {
  if (ifRange === undefined) return true;
  const text = ifRange.trim();
  return text.startsWith('"') ? text === etag : lastModified !== null && text === lastModified;
}
