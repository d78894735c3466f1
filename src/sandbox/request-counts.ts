import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * What a request is for. `content`: listings, sums and marks of content exports; `data`: dump files of every source;
 * `status`: single `dumpstatus.json`; `sums`: checksum lists of classic runs.
 */
export type RequestKind =
  | 'index'
  | 'status'
  | 'listing'
  | 'sums'
  | 'siteMatrix'
  | 'wikistats'
  | 'content'
  | 'data'
  | 'other';

/** What has been asked of a dump site since it started, or since its counters were reset. */
export interface DumpSiteCounters {
  requests: number;
  /** Bytes of bodies sent. */
  bytes: number;
  /** Most requests at a time of one client (address and User-Agent), the refused ones included. */
  maxConcurrent: number;
  /** Most open connections of one client, idle ones included; a connection counts from its first request on. */
  maxSockets: number;
  /** By HTTP status; `none` for a connection that was cut before any answer. */
  byStatus: Record<string, number>;
  /** GETs of data files, not of status files, sums or listings. */
  fileRequests: number;
  byKind: Record<RequestKind, number>;
  /** By the host the client asked for (`127.0.0.1:1234`), then by kind; kinds without a request are absent. */
  byHost: Record<string, Partial<Record<RequestKind, number>>>;
  /** Answers 304. */
  notModified: number;
  /** Refused by the site's own rules, scripted faults apart: too many connections (503), a generic User-Agent (403). */
  refused: { connections: number; agent: number };
}

/** One request, as the log keeps it. */
export interface LoggedRequest {
  method: string;
  /** Path and query. */
  path: string;
  kind: RequestKind;
  userAgent: string;
  /** null: not answered yet, or cut before any answer. */
  status: number | null;
  /** Headers `Range` and `If-Range` as they came; null when absent. */
  range: string | null;
  ifRange: string | null;
  /** By a clock that only goes forward. `endedMs`: when the answer was out, or the client gone; null: it is still running. */
  beganMs: number;
  endedMs: number | null;
}

/** Counts what is asked of one site. */
export interface RequestCounts {
  counters(): DumpSiteCounters;
  /** The last requests, oldest first. */
  log(): readonly LoggedRequest[];
  /** Everything starts at zero; what runs or is open now counts on. */
  reset(): void;
  /** Notes a request. Returns how many of its client are running, this one included. */
  begin(req: IncomingMessage, res: ServerResponse): number;
  refuse(why: 'connections' | 'agent'): void;
  addBytes(count: number): void;
}

const LOG_LENGTH = 20_000;
const CLASSIC_FILE = /^\/([a-z0-9_]+)\/(\d{8})\/\1-\2-[^/]+\.(?:bz2|gz|7z)$/;
const CONTENT_FILE = /^\/other\/mediawiki_content_[a-z]+\/([a-z0-9_]+)\/([\d-]{10})\/.*\/\1-\2-[^/]+\.bz2$/;

/** What a path is for. */
export function requestKind(path: string): RequestKind {
  const pathname = path.split('?')[0] as string;
  if (pathname === '/index.json') return 'index';
  if (pathname === '/w/api.php') return 'siteMatrix';
  if (pathname === '/wikistats.csv') return 'wikistats';
  if (CLASSIC_FILE.test(pathname) || CONTENT_FILE.test(pathname)) return 'data';
  if (pathname.startsWith('/other/mediawiki_content_')) return 'content';
  if (pathname.endsWith('/dumpstatus.json')) return 'status';
  if (/(?:md5|sha1)sums[^/]*\.(?:txt|json)$/.test(pathname)) return 'sums';
  return pathname.endsWith('/') ? 'listing' : 'other';
}

/** Makes the counts, all zero. */
export function createRequestCounts(): RequestCounts {
  const running = new Map<string, number>();
  const sockets = new Map<string, Set<Socket>>();
  let totals = zero();
  let log: LoggedRequest[] = [];
  const open = new Map<ServerResponse, LoggedRequest>();

  const settle = (target: DumpSiteCounters, res: ServerResponse, entry: LoggedRequest): void => {
    const status = res.headersSent ? String(res.statusCode) : 'none';
    entry.status = res.headersSent ? res.statusCode : null;
    target.byStatus[status] = (target.byStatus[status] ?? 0) + 1;
    if (status === '304') target.notModified += 1;
  };
  /** Answers whose client may have seen them already count, though their end has not come round here. */
  const answered = (): [ServerResponse, LoggedRequest][] => [...open].filter(([res]) => res.headersSent);

  const openSocket = (client: string, socket: Socket): void => {
    const own = sockets.get(client) ?? new Set();
    sockets.set(client, own);
    if (!own.has(socket)) {
      own.add(socket);
      socket.once('close', () => {
        own.delete(socket);
        if (own.size === 0 && sockets.get(client) === own) sockets.delete(client);
      });
    }
    totals.maxSockets = Math.max(totals.maxSockets, own.size);
  };

  return {
    counters() {
      const counters = structuredClone(totals);
      for (const [res, entry] of answered()) settle(counters, res, entry);
      return counters;
    },
    log() {
      for (const [res, entry] of answered()) entry.status = res.statusCode;
      return log.map((entry) => ({ ...entry }));
    },
    reset() {
      // What was answered before belongs to before.
      for (const [res] of answered()) open.delete(res);
      totals = zero();
      log = [];
      totals.maxConcurrent = Math.max(0, ...running.values());
      totals.maxSockets = Math.max(0, ...[...sockets.values()].map((own) => own.size));
    },
    begin(req, res) {
      const userAgent = req.headers['user-agent'] ?? '';
      const client = `${req.socket.remoteAddress} ${userAgent}`;
      const path = req.url ?? '/';
      const kind = requestKind(path);
      const method = req.method ?? 'GET';
      const concurrent = (running.get(client) ?? 0) + 1;
      running.set(client, concurrent);
      openSocket(client, req.socket);
      totals.requests += 1;
      totals.maxConcurrent = Math.max(totals.maxConcurrent, concurrent);
      totals.byKind[kind] += 1;
      const host = req.headers.host ?? '';
      const ofHost = totals.byHost[host] ?? {};
      totals.byHost[host] = { ...ofHost, [kind]: (ofHost[kind] ?? 0) + 1 };
      if (method === 'GET' && kind === 'data') totals.fileRequests += 1;
      const { range = null, 'if-range': ifRange } = req.headers;
      const entry: LoggedRequest = {
        ...{ method, path, kind, userAgent, status: null, range },
        ifRange: typeof ifRange === 'string' ? ifRange : null,
        beganMs: performance.now(),
        endedMs: null,
      };
      log.push(entry);
      if (log.length > LOG_LENGTH) log.shift();
      open.set(res, entry);
      res.once('close', () => {
        const left = (running.get(client) ?? 1) - 1;
        if (left === 0) running.delete(client);
        else running.set(client, left);
        entry.endedMs = performance.now();
        if (open.delete(res)) settle(totals, res, entry);
      });
      return concurrent;
    },
    refuse(why) {
      totals.refused[why] += 1;
    },
    addBytes(count) {
      totals.bytes += count;
    },
  };
}

function zero(): DumpSiteCounters {
  return {
    requests: 0,
    bytes: 0,
    maxConcurrent: 0,
    maxSockets: 0,
    byStatus: {},
    fileRequests: 0,
    byKind: {
      index: 0,
      status: 0,
      listing: 0,
      sums: 0,
      siteMatrix: 0,
      wikistats: 0,
      content: 0,
      data: 0,
      other: 0,
    },
    byHost: {},
    notModified: 0,
    refused: { connections: 0, agent: 0 },
  };
}
