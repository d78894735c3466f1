import { readFile, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { indexJson, legalPage, listingPage, mirrorsPage } from './dump-pages.ts';
import { createFaultList, type FaultList } from './faults.ts';
import { type RunningServer, startHttpServer } from './http-server.ts';
import { answeredByFault, sendAnswer } from './send-body.ts';
import { fileValidators, isUnchanged, serveFile } from './serve-file.ts';

/** What a dump site serves and how. Everything but `root` has a default. */
export interface DumpSiteOptions {
  /** Folder with `<dbname>/<YYYYMMDD>/…`; a file `index.json`, `legal.html` … in it wins over the built-in one. */
  root: string;
  /** Answer of the site matrix API, or the path of a file with it; default the files under `<root>/_api/`. */
  sitematrix?: unknown;
  faults?: FaultList;
  port?: number;
  /** Requests at a time per address and User-Agent, default 3; the next one gets 503. */
  maxConnections?: number;
  /** Limit per connection; null, the default, for none. */
  bytesPerSecond?: number | null;
}

/** What has been asked of the site since it started. */
export interface DumpSiteCounters {
  requests: number;
  /** Bytes of bodies sent. */
  bytes: number;
  /** Most requests at a time of one client, the refused ones included. */
  maxConcurrent: number;
  byStatus: Record<string, number>;
  /** GETs of data files, not of status files, sums or listings. */
  fileRequests: number;
}

/** A running dump site. */
export interface DumpSite extends RunningServer {
  readonly sitematrixUrl: string;
  readonly faults: FaultList;
  counters(): DumpSiteCounters;
}

/** Agents that the real site refuses: none at all, or a library's own name. */
const GENERIC_AGENT = /^\s*$|^(?:got|node|node-fetch|undici|curl|python-requests|axios|wget)\b/i;
const DATA_FILE = /\/([a-z0-9_]+)\/(\d{8})\/\1-\2-[^/]+\.(?:bz2|gz|7z)$/;

/**
 * Serves a dump tree as dumps.wikimedia.org does, and the site matrix of its wikis at `/w/api.php`.
 * @see Wikimedia's dump server configuration for the limits; the numbers here are its numbers
 */
export async function startDumpSite(options: DumpSiteOptions): Promise<DumpSite> {
  const faults = options.faults ?? createFaultList();
  const counters: DumpSiteCounters = {
    requests: 0,
    bytes: 0,
    maxConcurrent: 0,
    byStatus: {},
    fileRequests: 0,
  };
  const active = new Map<string, number>();
  const site = new SiteContent(options, faults, (count) => {
    counters.bytes += count;
  });
  const server = await startHttpServer(options.port ?? 0, async (req, res) => {
    const client = `${req.socket.remoteAddress} ${req.headers['user-agent'] ?? ''}`;
    const concurrent = (active.get(client) ?? 0) + 1;
    active.set(client, concurrent);
    counters.requests += 1;
    counters.maxConcurrent = Math.max(counters.maxConcurrent, concurrent);
    if (req.method === 'GET' && DATA_FILE.test(req.url ?? '')) counters.fileRequests += 1;
    res.once('close', () => {
      const left = (active.get(client) ?? 1) - 1;
      if (left === 0) active.delete(client);
      else active.set(client, left);
      // A connection cut before any answer has no status.
      const status = res.headersSent ? String(res.statusCode) : 'none';
      counters.byStatus[status] = (counters.byStatus[status] ?? 0) + 1;
    });
    if (concurrent > (options.maxConnections ?? 3)) {
      res
        .writeHead(503, { 'Retry-After': '1', 'Content-Type': 'text/html' })
        .end('503 Service Temporarily Unavailable\n');
    } else if (GENERIC_AGENT.test(req.headers['user-agent'] ?? '')) {
      plain(res, 403, 'Please set a User-Agent that names your project and a contact.');
    } else if (req.method !== 'GET' && req.method !== 'HEAD') {
      plain(res, 405, 'Method Not Allowed');
    } else if (!answeredByFault(faults, 'dumps', req, res)) {
      await site.answer(req, res);
    }
  });
  return {
    ...server,
    sitematrixUrl: `${server.baseUrl}/w/api.php?action=sitematrix&format=json`,
    faults,
    counters: () => ({ ...counters, byStatus: { ...counters.byStatus } }),
  };
}

function plain(
  res: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers }).end(`${text}\n`);
}

class SiteContent {
  readonly #options: DumpSiteOptions;
  readonly #faults: FaultList;
  readonly #onBytes: (count: number) => void;

  constructor(options: DumpSiteOptions, faults: FaultList, onBytes: (count: number) => void) {
    this.#options = options;
    this.#faults = faults;
    this.#onBytes = onBytes;
  }

  async answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://127.0.0.1');
    if (url.pathname === '/w/api.php') return this.#siteMatrix(req, res, url);
    const segments = safeSegments(url.pathname);
    if (segments === null) return plain(res, 404, 'Not Found');
    const path = join(this.#options.root, ...segments);
    const stats = await stat(path).catch(() => null);
    if (stats?.isDirectory()) {
      if (!url.pathname.endsWith('/')) {
        return plain(res, 301, 'Moved Permanently', { Location: `${url.pathname}/` });
      }
      const index = join(path, 'index.html');
      if (await serveFile(req, res, index, this.#sending())) return;
      const page = await listingPage(path, url.pathname);
      return this.#send(req, res, Buffer.from(page), 'text/html; charset=utf-8');
    }
    if (await serveFile(req, res, path, this.#sending())) return;
    await this.#builtIn(req, res, url.pathname);
  }

  #sending() {
    const bytesPerSecond = this.#options.bytesPerSecond ?? null;
    return { server: 'dumps', faults: this.#faults, onBytes: this.#onBytes, bytesPerSecond } as const;
  }

  async #send(
    req: IncomingMessage,
    res: ServerResponse,
    body: Buffer,
    type: string,
    more = {},
  ): Promise<void> {
    await sendAnswer(req, res, {
      ...this.#sending(),
      status: 200,
      headers: { 'Content-Type': type, ...more },
      body,
    });
  }

  async #builtIn(req: IncomingMessage, res: ServerResponse, pathname: string): Promise<void> {
    if (pathname === '/legal.html')
      return this.#send(req, res, Buffer.from(legalPage), 'text/html; charset=utf-8');
    if (pathname === '/mirrors.html')
      return this.#send(req, res, Buffer.from(mirrorsPage), 'text/html; charset=utf-8');
    if (pathname !== '/index.json') return plain(res, 404, 'Not Found');
    const { json, modifiedAtMs } = await indexJson(this.#options.root);
    const body = Buffer.from(json);
    const validators = fileValidators({ mtimeMs: modifiedAtMs, size: body.length });
    if (isUnchanged(req, validators)) {
      res.writeHead(304, { ...validators }).end();
      return;
    }
    await this.#send(req, res, body, 'application/json', validators);
  }

  async #siteMatrix(req: IncomingMessage, res: ServerResponse, url: URL): Promise<void> {
    const type = 'application/json; charset=utf-8';
    if (url.searchParams.get('action') !== 'sitematrix' || url.searchParams.get('format') !== 'json') {
      const body = {
        error: { code: 'badvalue', info: 'Only action=sitematrix with format=json is served here.' },
      };
      return this.#send(req, res, Buffer.from(JSON.stringify(body)), type);
    }
    const { sitematrix } = this.#options;
    if (typeof sitematrix === 'string') return this.#send(req, res, await readFile(sitematrix), type);
    if (sitematrix !== undefined) return this.#send(req, res, Buffer.from(JSON.stringify(sitematrix)), type);
    const name =
      url.searchParams.get('formatversion') === '2' ? 'sitematrix.formatversion2.json' : 'sitematrix.json';
    const body = await readFile(join(this.#options.root, '_api', name)).catch(() => null);
    if (body === null) return plain(res, 404, 'no site matrix for this tree');
    await this.#send(req, res, body, type);
  }
}

/** The parts of a path, or null for one that must not be followed or is not public (`_…` and `.…`). */
function safeSegments(pathname: string): string[] | null {
  let decoded: string;
  try {
    decoded = decodeURIComponent(pathname);
  } catch {
    return null;
  }
  if (/[\0\\]/.test(decoded)) return null;
  const segments = decoded.split('/').filter(Boolean);
  return segments.some((segment) => /^[._]/.test(segment) && segment !== '_SUCCESS') ? null : segments;
}
