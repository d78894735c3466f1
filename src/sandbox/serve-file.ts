import type { Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sentSpan, shownFile } from './file-faults.ts';
import { requestedRange, type Validators } from './requested-range.ts';
import { type Answer, sendAnswer } from './send-body.ts';

/** Options of {@link serveFile} besides the file itself. */
export interface FileAnswer extends Pick<Answer, 'server' | 'faults' | 'bytesPerSecond' | 'onBytes'> {
  contentType?: string;
  /** More headers; an own `ETag` replaces nginx's form. */
  headers?: Record<string, string>;
  /** Form of the ETag: nginx's, which is the default, or Apache's. */
  etags?: 'nginx' | 'apache';
}

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json',
  txt: 'text/plain; charset=utf-8',
  xml: 'text/xml',
};

/**
 * Serves one file as nginx does: validators, conditional requests (304), one byte range (206, 416, If-Range), HEAD.
 * More than one range in a request is answered with the whole file, which HTTP allows.
 * @returns false when there is no such regular file; nothing was sent then
 */
export async function serveFile(
  req: IncomingMessage,
  res: ServerResponse,
  path: string,
  options: FileAnswer,
): Promise<boolean> {
  // Opened before anything is said of it: another one may take its place while it is sent.
  const file = await open(path).catch(() => null);
  if (file === null) return false;
  try {
    return await serveOpenFile(req, res, file, path, options);
  } finally {
    await file.close();
  }
}

async function serveOpenFile(
  req: IncomingMessage,
  res: ServerResponse,
  file: FileHandle,
  path: string,
  options: FileAnswer,
): Promise<boolean> {
  const stats = await file.stat();
  if (!stats.isFile()) return false;
  const { faults, server, etags } = options;
  const shown = shownFile({ faults, server, req }, stats);
  const validators: Validators = { ...fileValidators(shown, etags), ...options.headers };
  if (shown.isWeak) validators.ETag = `W/${validators.ETag}`;
  if (isUnchanged(req, validators)) {
    res.writeHead(304, { ...validators }).end();
    return true;
  }
  const extension = path.slice(path.lastIndexOf('.') + 1);
  const headers = {
    'Content-Type': options.contentType ?? contentTypes[extension] ?? 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    ...validators,
  };
  const range = requestedRange(req, shown.size, validators);
  const sent = sentSpan({ faults, server, req }, range, shown.size);
  if (sent === 'unsatisfiable') {
    res.writeHead(416, { 'Content-Range': `bytes */${shown.size}`, 'Content-Type': 'text/html' });
    res.end(req.method === 'HEAD' ? undefined : '416 Requested Range Not Satisfiable\n');
    return true;
  }
  await sendAnswer(req, res, {
    ...options,
    status: sent === null ? 200 : 206,
    headers: sent === null ? headers : { ...headers, 'Content-Range': sent.contentRange },
    body: { file, ...(sent ?? { start: 0, end: shown.size - 1 }) },
  });
  return true;
}

/**
 * A server's validators: the modification time, and the ETag in nginx's form `"<hex mtime in seconds>-<hex size>"` or Apache's
 * `"<hex size>-<hex mtime in microseconds>"`.
 */
export function fileValidators(
  stats: Pick<Stats, 'mtimeMs' | 'size'>,
  etags: 'nginx' | 'apache' = 'nginx',
): Validators {
  const seconds = Math.floor(stats.mtimeMs / 1000);
  const [size, nginx, apache] = [stats.size, seconds, seconds * 1_000_000].map((n) => n.toString(16));
  return {
    ETag: etags === 'nginx' ? `"${nginx}-${size}"` : `"${size}-${apache}"`,
    'Last-Modified': new Date(seconds * 1000).toUTCString(),
  };
}

/** True when the client's copy is still good: If-None-Match decides alone when it is there. */
export function isUnchanged(req: IncomingMessage, validators: Validators): boolean {
  const tags = req.headers['if-none-match'];
  const own = validators.ETag.replace(/^W\//, '');
  if (tags !== undefined) {
    return tags.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === own);
  }
  const since = Date.parse(req.headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Date.parse(validators['Last-Modified']) <= since;
}
