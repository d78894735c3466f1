import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import type { Disk } from '../ports/index.ts';

/** Bytes read and sent at a time. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Answers with a file of ours: ETag from size, time and inode (files are replaced by renaming, never written in place),
 * 304 when the client has it, headers only for HEAD.
 * @returns null when there is no such file
 */
export async function sendFile(
  c: Context,
  disk: Disk,
  file: { path: string; contentType: string; downloadName?: string },
): Promise<Response | null> {
  const facts = await disk.stat(file.path);
  if (facts === null || facts.isDirectory) return null;
  const etag = `"${facts.sizeBytes.toString(36)}-${Math.floor(facts.mtimeMs).toString(36)}-${facts.inode.toString(36)}"`;
  c.header('ETag', etag);
  c.header('Last-Modified', new Date(facts.mtimeMs).toUTCString());
  c.header('Cache-Control', 'no-cache');
  if (isKnown(c.req.header('If-None-Match'), etag)) return c.body(null, 304);
  c.header('Content-Type', file.contentType);
  c.header('Content-Length', String(facts.sizeBytes));
  // Names are checked before they get here; quotes and line ends cannot occur.
  if (file.downloadName !== undefined)
    c.header('Content-Disposition', `attachment; filename="${file.downloadName}"`);
  if (c.req.raw.method === 'HEAD') return c.body(null, 200);
  return c.body(readChunks(disk, file.path, facts.sizeBytes), 200);
}

/** Answers with a text that belongs to the program: style, script, icon. */
export function sendText(c: Context, text: string, contentType: string, maxAgeSeconds: number): Response {
  const etag = etagOf(text);
  c.header('ETag', etag);
  c.header('Cache-Control', maxAgeSeconds === 0 ? 'no-cache' : `public, max-age=${maxAgeSeconds}, immutable`);
  if (isKnown(c.req.header('If-None-Match'), etag)) return c.body(null, 304);
  c.header('Content-Type', contentType);
  return c.body(text, 200);
}

/** A strong validator of a text. */
export function etagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('hex').slice(0, 20)}"`;
}

/** RFC 9110 13.1.2: a list of validators or `*`; weak comparison. */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((entry) => entry.trim() === '*' || entry.trim().replace(/^W\//, '') === etag);
}

function readChunks(disk: Disk, path: string, sizeBytes: number): ReadableStream<Uint8Array> {
  const opened = disk.open(path, 'read');
  let position = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const file = await opened;
        const wanted = Math.min(CHUNK_BYTES, sizeBytes - position);
        const chunk = new Uint8Array(wanted);
        const got = wanted === 0 ? 0 : await file.read(chunk, position);
        position += got;
        if (got > 0) controller.enqueue(chunk.subarray(0, got));
        if (got < wanted || position >= sizeBytes) {
          await file.close();
          controller.close();
        }
      },
      cancel: async () => (await opened).close(),
    },
    { highWaterMark: 0 },
  );
}
