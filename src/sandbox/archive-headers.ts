import type { IncomingHttpHeaders } from 'node:http';
import type { MetadataValue } from './archive-store.ts';

/**
 * Reads metadata headers: `x-archive-meta-title`, `x-archive-meta00-subject`, with `--` for `_` and `uri(…)` decoded.
 * Repeated fields become lists in the order of their two-digit numbers.
 * @param prefix `x-archive-meta` for the item, `x-archive-filemeta` for the file
 * @see the reference client's header rules (iarequest.py)
 */
export function metadataFromHeaders(
  headers: IncomingHttpHeaders,
  prefix: 'x-archive-meta' | 'x-archive-filemeta',
): Record<string, MetadataValue> {
  const pattern = new RegExp(`^${prefix}(\\d{2})?-(.+)$`);
  const found: { field: string; index: number; value: string }[] = [];
  for (const [name, value] of Object.entries(headers)) {
    const match = pattern.exec(name);
    if (!match || typeof value !== 'string' || value === '') continue;
    const field = (match[2] as string).replaceAll('--', '_');
    found.push({ field, index: Number(match[1] ?? 0), value: decodeUri(value) });
  }
  const metadata: Record<string, MetadataValue> = {};
  for (const { field, value } of found.toSorted((a, b) => a.index - b.index)) {
    const known = metadata[field];
    metadata[field] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  return metadata;
}

function decodeUri(value: string): string {
  const match = /^uri\((.*)\)$/s.exec(value);
  if (!match) return value;
  try {
    return decodeURIComponent(match[1] as string);
  } catch {
    return value;
  }
}

/** The error body of the S3-like API. */
export function archiveError(code: string, message: string, resource: string): string {
  const escapeText = (text: string): string =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>${escapeText(code)}</Code><Message>${escapeText(message)}</Message><Resource>${escapeText(resource)}</Resource><RequestId>00000000-0000-4000-8000-000000000000</RequestId></Error>`;
}

/** HTTP status of the error codes this server can answer with. */
export const errorStatus: Readonly<Record<string, number>> = {
  AccessDenied: 403,
  BadDigest: 400,
  BucketAlreadyExists: 409,
  EntityTooLarge: 400,
  IncompleteBody: 400,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidURI: 400,
  KeyTooLong: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NotImplemented: 501,
  RequestTimeout: 400,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
};
