import { createFaultList, type FaultList, type MirrorName } from './faults.ts';
import { type RunningServer, startHttpServer } from './http-server.ts';
import { createRequestCounts, type DumpSiteCounters, type LoggedRequest } from './request-counts.ts';
import { answeredByFault } from './send-body.ts';
import { plain, SiteContent } from './site-content.ts';

/** What a mirror serves and how. */
export interface MirrorOptions {
  /** The tree of the dump site: a mirror has all of it, as far as its script says nothing else. */
  root: string;
  /** Its name in the fault list. */
  name: MirrorName;
  faults?: FaultList;
  port?: number | undefined;
  /** Where the tree begins, as `/mirror/wikimedia.org/dumps`; default '' for the top. */
  basePath?: string;
  /** Limit per connection; null, the default, for none. */
  bytesPerSecond?: number | null | undefined;
}

/** A running mirror. Its address ends without a slash. */
export interface Mirror extends RunningServer {
  readonly name: MirrorName;
  readonly faults: FaultList;
  counters(): DumpSiteCounters;
  /** The last 20,000 requests, oldest first; paths without the base path. */
  requestLog(): readonly LoggedRequest[];
  /** Counters and log start at zero again. */
  resetCounters(): void;
}

/**
 * Serves the files of a dump tree as mirrors do: no site matrix, no `index.json`, no limit of connections, any User-Agent, and
 * ETags of its own, because they are made of a server's own file times. Lags and lies are for its script.
 */
export async function startMirror(options: MirrorOptions): Promise<Mirror> {
  const { name, root, basePath = '', bytesPerSecond } = options;
  const faults = options.faults ?? createFaultList();
  const counts = createRequestCounts();
  const site = new SiteContent(
    { root, bytesPerSecond, etags: 'apache' },
    { name, index: null, faults, onBytes: counts.addBytes },
  );
  const server = await startHttpServer(options.port ?? 0, async (req, res) => {
    const path = req.url ?? '/';
    const isBelow = path.startsWith(`${basePath}/`);
    // Scripts and logs speak of paths of the tree.
    if (isBelow) req.url = path.slice(basePath.length);
    const concurrent = counts.begin(req, res);
    if (!isBelow) plain(res, 404, 'Not Found');
    else if (req.method !== 'GET' && req.method !== 'HEAD') plain(res, 405, 'Method Not Allowed');
    else if (!answeredByFault(faults, name, req, res, concurrent)) await site.answer(req, res);
  });
  return {
    ...server,
    baseUrl: `${server.baseUrl}${basePath}`,
    name,
    faults,
    counters: () => counts.counters(),
    requestLog: () => counts.log(),
    resetCounters: () => counts.reset(),
  };
}
