import type { Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Answer, requestLine, sendAnswer } from './send-body.ts';

/** Options of {@link serveFile} besides the file itself. */
export interface FileAnswer extends Pick<Answer, 'server' | 'faults' | 'bytesPerSecond' | 'onBytes'> {
  contentType?: string;
  /** More headers; an own `ETag` replaces nginx's form. */
  headers?: Record<string, string>;
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
  const validators = { ...fileValidators(stats), ...options.headers };
  if (isUnchanged(req, validators)) {
    res.writeHead(304, validators).end();
    return true;
  }
  const extension = path.slice(path.lastIndexOf('.') + 1);
  const headers = {
    'Content-Type': options.contentType ?? contentTypes[extension] ?? 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    ...validators,
  };
  const range = requestedRange(req, stats.size, validators);
  const ignored =
    range !== null && options.faults.take(options.server, requestLine(req), ['ignore-range']) !== null;
  if (range === 'unsatisfiable' && !ignored) {
    res.writeHead(416, { 'Content-Range': `bytes */${stats.size}`, 'Content-Type': 'text/html' });
    res.end(req.method === 'HEAD' ? undefined : '416 Requested Range Not Satisfiable\n');
    return true;
  }
  const part = range === null || range === 'unsatisfiable' || ignored ? null : range;
  await sendAnswer(req, res, {
    ...options,
    status: part === null ? 200 : 206,
    headers:
      part === null
        ? headers
        : { ...headers, 'Content-Range': `bytes ${part.start}-${part.end}/${stats.size}` },
    body: { file, ...(part ?? { start: 0, end: stats.size - 1 }) },
  });
  return true;
}

interface Validators {
  ETag: string;
  'Last-Modified': string;
}

/** nginx's validators: `"<hex mtime in seconds>-<hex size>"` and the modification time. */
export function fileValidators(stats: Pick<Stats, 'mtimeMs' | 'size'>): Validators {
  const seconds = Math.floor(stats.mtimeMs / 1000);
  return {
    ETag: `"${seconds.toString(16)}-${stats.size.toString(16)}"`,
    'Last-Modified': new Date(seconds * 1000).toUTCString(),
  };
}

/** True when the client's copy is still good: If-None-Match decides alone when it is there. */
export function isUnchanged(req: IncomingMessage, validators: Validators): boolean {
  const tags = req.headers['if-none-match'];
  if (tags !== undefined) {
    return tags
      .split(',')
      .some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === validators.ETag);
  }
  const since = Date.parse(req.headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Date.parse(validators['Last-Modified']) <= since;
}

type Range = { start: number; end: number } | 'unsatisfiable' | null;

function requestedRange(req: IncomingMessage, sizeBytes: number, validators: Validators): Range {
  const match = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  const condition = req.headers['if-range'];
  if (condition !== undefined && condition !== validators.ETag && condition !== validators['Last-Modified'])
    return null;
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
