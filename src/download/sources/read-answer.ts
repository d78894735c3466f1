import { CorruptError, PermanentError, RetryableError, type WikiSeedError } from '../../lib/index.ts';
import { type HttpResponse, statusError } from '../../ports/index.ts';
import type { ByteRange, FaultKind } from './types.ts';

/** What was asked for. */
export interface Asked extends ByteRange {
  sizeBytes: number;
  /** Of an earlier answer of the same source. */
  validator: string | null;
}

/** What is wrong with an answer, and what the job is told when no other source helps. */
export interface AnswerFault {
  kind: FaultKind;
  cause: WikiSeedError;
}

/** What an answer holds: `bodyBytes` from `startBytes` on. */
export interface GoodAnswer {
  startBytes: number;
  bodyBytes: number;
}

/** True when the whole file is asked for: then no range is named, because not every server can do ranges. */
export function isWholeFile({ startBytes, endBytes, sizeBytes }: Asked): boolean {
  return startBytes === 0 && endBytes === sizeBytes;
}

/** Headers that ask for the range, bound to the version of the file that the source gave before. */
export function headersFor(asked: Asked): Record<string, string> {
  if (isWholeFile(asked)) return {};
  return {
    range: `bytes=${asked.startBytes}-${asked.endBytes - 1}`,
    ...(asked.validator === null ? {} : { 'if-range': asked.validator }),
  };
}

/** A date that is younger than this may be of a file that changes within the same second (RFC 9110 section 8.8.2.2); clocks differ a little. */
const DATE_IS_STRONG_AFTER_MS = 60_000;

/**
 * The validator that may stand in `If-Range` (RFC 9110 section 13.1.5): a strong ETag; where there is no ETag at all, a
 * Last-Modified date that is well before the answer's Date. Pure.
 */
export function validatorOf(headers: HttpResponse['headers']): string | null {
  const { etag, 'last-modified': modified, date } = headers;
  if (etag !== undefined) return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : null;
  if (modified === undefined || date === undefined) return null;
  return Date.parse(date) - Date.parse(modified) >= DATE_IS_STRONG_AFTER_MS ? modified : null;
}

/**
 * Reads status and headers; RFC 9110 sections 14.4, 15.3.7, 15.5.17. Pure.
 * @param nowMs epoch milliseconds, for `Retry-After`
 */
export function readAnswer(
  response: Pick<HttpResponse, 'status' | 'headers' | 'url'>,
  asked: Asked,
  nowMs: number,
): GoodAnswer | AnswerFault {
  const { status, headers, url } = response;
  const { host } = new URL(url);
  const { startBytes, endBytes, sizeBytes } = asked;
  const bad = (reason: string): AnswerFault => ({
    kind: 'bad_range',
    cause: new RetryableError('range_mismatch', `${host}: ${reason}`, { subject: { host } }),
  });
  // Whatever size it names: of an answer with a body that can be believed, and the next one is asked for from byte 0 on.
  if (status === 416) return bad(`the server has no bytes from ${startBytes} on`);
  if (status !== 200 && status !== 206) return ofStatus(response, nowMs);
  const coded = encodingOf(headers);
  if (coded !== null)
    return {
      kind: 'encoded',
      cause: new RetryableError(
        'encoded',
        `${host} sends ${coded} although nothing of that kind was asked for`,
        {
          subject: { host },
        },
      ),
    };
  const length = headers['content-length'];
  const bodyBytes = length === undefined ? null : Number(length);
  if (status === 206) {
    if (isWholeFile(asked)) return bad('it sends a part although the whole file was asked for');
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '');
    if (range === null) return bad(`asked for one range, got ${shown(headers)}`);
    if (range[3] !== '*' && Number(range[3]) !== sizeBytes)
      return wrongSize(host, Number(range[3]), sizeBytes);
    if (Number(range[1]) !== startBytes || Number(range[2]) !== endBytes - 1)
      return bad(`asked for bytes ${startBytes}-${endBytes - 1}, got ${shown(headers)}`);
    if (bodyBytes !== null && bodyBytes !== endBytes - startBytes)
      return bad(`announces ${bodyBytes} bytes for a range of ${endBytes - startBytes}`);
    return isChanged(headers, asked) ? changed(host) : { startBytes, bodyBytes: endBytes - startBytes };
  }
  if (bodyBytes !== null && bodyBytes !== sizeBytes) return wrongSize(host, bodyBytes, sizeBytes);
  if (isChanged(headers, asked)) return changed(host);
  if (startBytes > 0)
    return {
      kind: 'no_ranges',
      cause: new RetryableError('no_ranges', `${host} sends the whole file where a part was asked for`, {
        subject: { host },
      }),
    };
  return { startBytes: 0, bodyBytes: sizeBytes };
}

/** Another version than before; an answer that names none cannot be judged, the hash will. */
function isChanged(headers: HttpResponse['headers'], { validator }: Asked): boolean {
  if (validator === null) return false;
  const now = validator.startsWith('"') ? headers.etag : headers['last-modified'];
  return now !== undefined && now !== validator;
}

function changed(host: string): AnswerFault {
  const message = `${host} has another version of the file than a moment ago`;
  return { kind: 'changed', cause: new RetryableError('source_changed', message, { subject: { host } }) };
}

function wrongSize(host: string, gotBytes: number, sizeBytes: number): AnswerFault {
  const message = `${host} has ${gotBytes} bytes, expected ${sizeBytes}`;
  return { kind: 'wrong_size', cause: new CorruptError('size_mismatch', message, { subject: { host } }) };
}

function ofStatus(
  { status, headers, url }: Pick<HttpResponse, 'status' | 'headers' | 'url'>,
  nowMs: number,
): AnswerFault {
  const cause = statusError(status, headers, url, nowMs);
  if (cause instanceof PermanentError) return { kind: 'not_found', cause };
  if (status === 401 || status === 403) return { kind: 'forbidden', cause };
  return { kind: [429, 502, 503, 504].includes(status) ? 'overloaded' : 'status', cause };
}

/** A coding that would have to be undone, on the content or on the way; null = none. */
function encodingOf(headers: HttpResponse['headers']): string | null {
  const coded = [
    ...(headers['content-encoding'] ?? '').split(','),
    ...(headers['transfer-encoding'] ?? '').split(',').filter((coding) => coding.trim() !== 'chunked'),
  ]
    .map((coding) => coding.trim())
    .find((coding) => coding !== '' && coding !== 'identity');
  return coded === undefined ? null : JSON.stringify(coded.slice(0, 40));
}

function shown(headers: HttpResponse['headers']): string {
  const text = headers['content-range'] ?? `${headers['content-type'] ?? 'no Content-Range'}`;
  return JSON.stringify(text.slice(0, 80));
}
