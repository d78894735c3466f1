import { createFaultList, type FaultList } from './faults.ts';
import { type RunningServer, startHttpServer } from './http-server.ts';
import { createIndexDocument } from './index-document.ts';
import { createRequestCounts, type DumpSiteCounters, type LoggedRequest } from './request-counts.ts';
import { answeredByFault } from './send-body.ts';
import { plain, SiteContent } from './site-content.ts';
import { createUpstreamScript, type UpstreamScript } from './upstream/upstream-script.ts';

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
  /** Upstream's clock in epoch ms, which scripted changes bear; default the machine's. */
  now?: (() => number) | undefined;
}

/** A running dump site. */
export interface DumpSite extends RunningServer {
  readonly sitematrixUrl: string;
  /** Wikistats' size table as CSV. */
  readonly wikistatsUrl: string;
  readonly faults: FaultList;
  /** Changes what upstream has, over time; only for trees that were made here. */
  readonly upstream: UpstreamScript;
  counters(): DumpSiteCounters;
  /** The last 20,000 requests, oldest first. */
  requestLog(): readonly LoggedRequest[];
  /** Counters and log start at zero again. */
  resetCounters(): void;
}

/** Agents that the real site refuses: none at all, or a library's own name. */
const GENERIC_AGENT = /^\s*$|^(?:got|node|node-fetch|undici|curl|python-requests|axios|wget)\b/i;

/**
 * Serves a dump tree as dumps.wikimedia.org does, and the site matrix of its wikis at `/w/api.php`.
 * @see Wikimedia's dump server configuration for the limits; the numbers here are its numbers
 */
export async function startDumpSite(options: DumpSiteOptions): Promise<DumpSite> {
  const faults = options.faults ?? createFaultList();
  const counts = createRequestCounts();
  const index = createIndexDocument(options.root);
  const site = new SiteContent(options, { name: 'dumps', index, faults, onBytes: counts.addBytes });
  const server = await startHttpServer(options.port ?? 0, async (req, res) => {
    const concurrent = counts.begin(req, res);
    if (concurrent > (options.maxConnections ?? 3)) {
      counts.refuse('connections');
      res
        .writeHead(503, { 'Retry-After': '1', 'Content-Type': 'text/html' })
        .end('503 Service Temporarily Unavailable\n');
    } else if (GENERIC_AGENT.test(req.headers['user-agent'] ?? '')) {
      counts.refuse('agent');
      plain(res, 403, 'Please set a User-Agent that names your project and a contact.');
    } else if (req.method !== 'GET' && req.method !== 'HEAD') {
      plain(res, 405, 'Method Not Allowed');
    } else if (!answeredByFault(faults, 'dumps', req, res, concurrent)) {
      await site.answer(req, res);
    }
  });
  return {
    ...server,
    stop: async () => {
      await server.stop();
      await index.close();
    },
    sitematrixUrl: `${server.baseUrl}/w/api.php?action=sitematrix&format=json`,
    wikistatsUrl: `${server.baseUrl}/wikistats.csv`,
    faults,
    upstream: createUpstreamScript({ root: options.root, now: options.now ?? Date.now, index }),
    counters: () => counts.counters(),
    requestLog: () => counts.log(),
    resetCounters: () => counts.reset(),
  };
}
