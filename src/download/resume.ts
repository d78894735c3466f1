import { z } from 'zod';
import type { HttpResponse } from '../ports/index.ts';

const ResumeCursor = z.object({ url: z.string(), etag: z.string() });
/** Which version of the file, on which host, the bytes on disk belong to. */
export type ResumeCursor = z.infer<typeof ResumeCursor>;

const DownloadCursor = z.object({
  /** What upstream said of the file when its first byte was fetched; null when unknown. */
  facts: z
    .object({
      sizeBytes: z.number(),
      hashes: z.object({ md5: z.string(), sha1: z.string(), sha256: z.string() }).partial(),
    })
    .nullable(),
  resume: ResumeCursor.nullable(),
});
/** Saved with the job: what the bytes in the part file belong to. */
export type DownloadCursor = z.infer<typeof DownloadCursor>;

/** Knows nothing when there is none, or it has another shape; earlier versions wrote the address and the ETag alone. */
export function parseDownloadCursor(cursor: unknown): DownloadCursor {
  return (
    DownloadCursor.safeParse(cursor).data ?? {
      facts: null,
      resume: ResumeCursor.safeParse(cursor).data ?? null,
    }
  );
}

/**
 * The validator worth keeping: a strong ETag that the asked host itself gave. Hosts build ETags from their own file times,
 * so after a redirect elsewhere there is none.
 */
export function cursorOf(requestedUrl: string, response: HttpResponse): ResumeCursor | null {
  const { etag } = response.headers;
  if (etag === undefined || !/^"[^"]*"$/.test(etag)) return null;
  return new URL(requestedUrl).host === new URL(response.url).host ? { url: requestedUrl, etag } : null;
}

/**
 * Headers that ask for the rest of a file. Without a validator of this very address the range is asked for without
 * condition: the hash of the whole file decides anyway.
 */
export function rangeHeaders(
  url: string,
  haveBytes: number,
  cursor: ResumeCursor | null,
): Record<string, string> {
  if (haveBytes === 0) return {};
  return {
    range: `bytes=${haveBytes}-`,
    ...(cursor !== null && cursor.url === url ? { 'if-range': cursor.etag } : {}),
  };
}

/** What an answer means for the bytes we have. */
export type RangeAnswer =
  /** The body continues them. */
  | { kind: 'append' }
  /** The body is the whole file. */
  | { kind: 'whole' }
  /** They cannot be continued; ask again for the whole file. */
  | { kind: 'again'; reason: string }
  /** This is another file than the one we want. */
  | { kind: 'wrong_size'; gotBytes: number }
  /** Not an answer to the question; `statusError` says what it means. */
  | { kind: 'status' };

/** Reads the status and the length headers; RFC 9110 sections 14.4 and 15.3.7. */
export function readRangeAnswer(
  response: Pick<HttpResponse, 'status' | 'headers'>,
  wanted: { haveBytes: number; sizeBytes: number },
): RangeAnswer {
  const length = response.headers['content-length'];
  const contentLength = length === undefined ? null : Number(length);
  if (response.status === 200) {
    const isRight = contentLength === null || contentLength === wanted.sizeBytes;
    return isRight ? { kind: 'whole' } : { kind: 'wrong_size', gotBytes: contentLength };
  }
  if (response.status === 416 && wanted.haveBytes > 0)
    return { kind: 'again', reason: `the server has no bytes from ${wanted.haveBytes} on` };
  if (response.status !== 206) return { kind: 'status' };
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers['content-range'] ?? '');
  if (range === null || Number(range[1]) !== wanted.haveBytes)
    return {
      kind: 'again',
      reason: `asked for bytes from ${wanted.haveBytes} on, got ${response.headers['content-range']}`,
    };
  if (range[3] !== '*' && Number(range[3]) !== wanted.sizeBytes)
    return { kind: 'wrong_size', gotBytes: Number(range[3]) };
  return { kind: 'append' };
}
