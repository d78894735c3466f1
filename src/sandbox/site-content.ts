import { readFile, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { legalPage, listingPage, mirrorsPage } from './dump-pages.ts';
import type { FaultList, SandboxServer } from './faults.ts';
import type { IndexDocument } from './index-document.ts';
import { requestLine, sendAnswer } from './send-body.ts';
import { fileValidators, isUnchanged, serveFile } from './serve-file.ts';

/** A short text as the whole answer. */
export function plain(
  res: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers }).end(`${text}\n`);
}

/** What the content needs to know. */
interface ContentOptions {
  root: string;
  sitematrix?: unknown;
  bytesPerSecond?: number | null | undefined;
  etags?: 'nginx' | 'apache';
}

/** Answers every address of a dump site from its tree. */
export class SiteContent {
  readonly #options: ContentOptions;
  readonly #name: SandboxServer;
  /** null at a mirror, which has files and listings but none of the origin's own services. */
  readonly #index: IndexDocument | null;
  readonly #faults: FaultList;
  readonly #onBytes: (count: number) => void;

  constructor(
    options: ContentOptions,
    deps: {
      name: SandboxServer;
      index: IndexDocument | null;
      faults: FaultList;
      onBytes: (count: number) => void;
    },
  ) {
    this.#options = options;
    this.#name = deps.name;
    this.#index = deps.index;
    this.#faults = deps.faults;
    this.#onBytes = deps.onBytes;
  }

  async answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://127.0.0.1');
    if (this.#index !== null && url.pathname === '/w/api.php') return this.#siteMatrix(req, res, url);
    if (this.#lags(requestLine(req))) return plain(res, 404, 'Not Found');
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
      const page = await listingPage(path, url.pathname, (name) => !this.#lags(`GET ${url.pathname}${name}`));
      return this.#send(req, res, Buffer.from(page), 'text/html; charset=utf-8');
    }
    if (await serveFile(req, res, path, this.#sending())) return;
    await this.#builtIn(req, res, url.pathname);
  }

  #lags(line: string): boolean {
    return this.#faults.take(this.#name, line, ['lag']) !== null;
  }

  #sending() {
    const { bytesPerSecond = null, etags = 'nginx' } = this.#options;
    return {
      server: this.#name,
      faults: this.#faults,
      onBytes: this.#onBytes,
      bytesPerSecond,
      etags,
    } as const;
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
    const sending = this.#sending();
    if (this.#index !== null && pathname === '/index.json') {
      const path = await this.#index.path();
      if (await serveFile(req, res, path, { ...sending, contentType: 'application/json' })) return;
    }
    if (this.#index !== null && pathname === '/wikistats.csv') {
      const path = join(this.#options.root, '_api', 'wikistats.csv');
      if (await serveFile(req, res, path, { ...sending, contentType: 'text/csv; charset=utf-8' })) return;
    }
    const sums = await singleSums(this.#options.root, pathname);
    if (sums === null) return plain(res, 404, 'Not Found');
    const validators = fileValidators(sums, sending.etags);
    if (isUnchanged(req, validators)) {
      res.writeHead(304, { ...validators }).end();
      return;
    }
    await this.#send(req, res, Buffer.from(sums.text), 'text/plain; charset=utf-8', validators);
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

/** `{md5,sha1}sums-<file>.txt`, which upstream has beside every data file: the line of the list that names it. */
async function singleSums(
  root: string,
  pathname: string,
): Promise<{ text: string; mtimeMs: number; size: number } | null> {
  const match = /^\/([a-z0-9_]+)\/(\d{8})\/(md5|sha1)sums-([^/]+)\.txt$/.exec(pathname);
  if (match === null) return null;
  const [, dbname = '', date = '', algorithm, file] = match;
  const path = join(root, dbname, date, `${dbname}-${date}-${algorithm}sums.txt`);
  const list = await readFile(path, 'utf8').catch(() => '');
  const line = list.split('\n').find((text) => text.endsWith(`  ${file}`));
  if (line === undefined) return null;
  const text = `${line}\n`;
  return { text, mtimeMs: (await stat(path)).mtimeMs, size: text.length };
}
