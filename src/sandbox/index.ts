import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startArchive } from './archive.ts';
import type { ContentExportKind } from './content-export.ts';
import { startDumpSite } from './dump-site.ts';
import { createFaultList, type FaultList } from './faults.ts';
import { generateDumpTree } from './generator.ts';
import { type Mirror, startMirror } from './mirror-site.ts';
import { startR2 } from './r2.ts';
import type { DumpSiteCounters, LoggedRequest } from './request-counts.ts';
import { startTracker } from './tracker.ts';
import type { UpstreamScript } from './upstream/upstream-script.ts';

export {
  type Archive,
  type ArchiveCounters,
  type ArchiveKeys,
  type ArchiveOptions,
  defaultArchiveKeys,
  startArchive,
} from './archive.ts';
export type { ContentExportKind } from './content-export.ts';
export { type DumpSite, type DumpSiteOptions, startDumpSite } from './dump-site.ts';
export {
  createFaultList,
  type Fault,
  type FaultKind,
  type FaultList,
  type FaultSpec,
  type MirrorName,
  type SandboxServer,
} from './faults.ts';
export { type DumpTree, type DumpTreeOptions, generateDumpTree } from './generator.ts';
export { type Mirror, type MirrorOptions, startMirror } from './mirror-site.ts';
export { type R2, type R2Options, startR2 } from './r2.ts';
export type { DumpSiteCounters, LoggedRequest, RequestKind } from './request-counts.ts';
export {
  type DescribedRun,
  statusDocument,
  statusText,
  type WikiSplit,
  wikiSplits,
} from './status-documents.ts';
export { generateStatusWorld, type StatusWorld, type StatusWorldOptions } from './status-world.ts';
export { startTracker, type Tracker } from './tracker.ts';
export type { ContentScript, ContentShown } from './upstream/content-script.ts';
export type { MatrixFlags, MatrixScript, MatrixWiki } from './upstream/matrix-script.ts';
export type { HashChoice, JobChange, JobStatus, JobView, RunScript } from './upstream/run-script.ts';
export type { FileView, StatusDocument, StatusFile, StatusJob, SumsAlgorithm } from './upstream/run-state.ts';
export type { NewRun, UpstreamScript } from './upstream/upstream-script.ts';
export { chooseWikis, type SandboxWiki, siteMatrix, wikiCountMax } from './wiki-table.ts';

/** TCP ports of the servers, all on 127.0.0.1; the tracker's is UDP as well. */
export interface SandboxPorts {
  dumps: number;
  archive: number;
  r2: number;
  tracker: number;
  /** Of `mirror-1`, `mirror-2` …; of an earlier start there may be more than run now. */
  mirrors: number[];
}

/** A whole small world. */
export interface SandboxOptions {
  /** Everything lives here: dumps, archive, objects, `ports.json`. It may be used again by a later start. */
  dir: string;
  /** Default 1. */
  seed?: number;
  /** Wikis with dumps, default 8. */
  wikis?: number;
  /** Published bytes per run date over all wikis, default 16 MB. */
  sizeBytes?: number;
  /** YYYYMMDD; days from the 20th on are partial runs without history. */
  runDates: string[];
  /** Content exports of the runs of a 1st, default the current ones; they come on top of `sizeBytes`. */
  contentExports?: readonly ContentExportKind[];
  /** Mirrors of the dump site, default none. Those with an odd number have their tree in a folder, as mirror.accum.se has. */
  mirrors?: number;
  /** Upstream's clock in epoch ms, which scripted changes bear; default the machine's. */
  now?: () => number;
  /** How long an archive upload stays queued; default 300 ms, 0 for at once. */
  taskDelayMs?: number;
  /** Requests at a time per client at the dump site, default 3. */
  maxConnections?: number;
  /** Limit per connection at the dump site, not at its mirrors; null, the default, for none. */
  bytesPerSecond?: number | null;
  /** Shortest time between two writes of one object, default 1000 ms, 0 for none. */
  r2WriteIntervalMs?: number;
  /** Ports to try first; they win over those of an earlier start. */
  ports?: Partial<SandboxPorts>;
}

/** What all servers have counted since the start; `items`, `files` and `objects` are what is stored now. */
export interface SandboxCounters {
  dumps: DumpSiteCounters;
  mirrors: DumpSiteCounters[];
  archive: { puts: number; putBytes: number; items: number; files: number };
  r2: { puts: number; objects: number };
  tracker: { announces: number };
}

/** A running sandbox. */
export interface Sandbox {
  readonly ports: SandboxPorts;
  readonly dumpsBaseUrl: string;
  readonly sitematrixUrl: string;
  readonly wikistatsUrl: string;
  /** Each with its address, counters and log; their scripts are in `faults`, under their names. */
  readonly mirrors: readonly Mirror[];
  readonly iaS3Endpoint: string;
  readonly iaSiteUrl: string;
  readonly iaKeys: { access: string; secret: string };
  readonly r2: {
    endpoint: string;
    bucket: string;
    accessKeyId: string;
    secretAccessKey: string;
    publicBaseUrl: string;
  };
  readonly trackerUrl: string;
  readonly faults: FaultList;
  /** Changes what Wikimedia has, over time. */
  readonly upstream: UpstreamScript;
  counters(): SandboxCounters;
  /** The last 20,000 requests to the dump site, oldest first. */
  dumpRequests(): readonly LoggedRequest[];
  /** Counters and log of the dump site start at zero again. */
  resetDumpCounters(): void;
  /** How often each archive file (`<identifier>/<key>`) and each object was taken since the start. */
  accepted(): { archive: ReadonlyMap<string, number>; r2: ReadonlyMap<string, number> };
  /** Resolves when no archive upload is waiting for its task. */
  whenArchiveIdle(): Promise<void>;
  /** Runs the archive's waiting tasks now. */
  runArchiveTasks(): Promise<void>;
  /** Idempotent; cuts every connection and resolves when every server is really closed. */
  stop(): Promise<void>;
}

/**
 * Generates the dumps (or takes over equal ones) and starts every server.
 * @throws RangeError for options out of range; Error when `dir` holds foreign files where the dumps should go
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { dir } = options;
  await mkdir(dir, { recursive: true });
  const tree = await generateDumpTree({
    dir: join(dir, 'dumps'),
    seed: options.seed ?? 1,
    wikis: options.wikis ?? 8,
    sizeBytes: options.sizeBytes ?? 16_000_000,
    runDates: options.runDates,
    contentExports: options.contentExports ?? ['current'],
  });
  const wanted = { ...(await savedPorts(dir)), ...options.ports };
  const faults = createFaultList();
  const running: { stop(): Promise<void> }[] = [];
  const started = async <T extends { stop(): Promise<void> }>(server: Promise<T>): Promise<T> => {
    const ready = await server;
    running.push(ready);
    return ready;
  };
  const stopAll = async (): Promise<void> => {
    faults.clear();
    await Promise.all(running.map((server) => server.stop()));
  };
  try {
    const { maxConnections, bytesPerSecond, taskDelayMs, now } = options;
    const dumps = await started(
      startDumpSite({ root: tree.dir, faults, port: wanted.dumps, maxConnections, bytesPerSecond, now }),
    );
    const mirrors: Mirror[] = [];
    for (let number = 1; number <= (options.mirrors ?? 0); number += 1) {
      const [name, port] = [`mirror-${number}` as const, wanted.mirrors?.[number - 1]];
      const basePath = number % 2 === 1 ? '/mirror/wikimedia.org/dumps' : '';
      mirrors.push(await started(startMirror({ root: tree.dir, name, faults, port, basePath })));
    }
    const archive = await started(
      startArchive({ dir: join(dir, 'archive'), faults, port: wanted.archive, taskDelayMs }),
    );
    const r2 = await started(
      startR2({ dir: join(dir, 'r2'), faults, port: wanted.r2, writeIntervalMs: options.r2WriteIntervalMs }),
    );
    const tracker = await started(startTracker(wanted.tracker));
    const ports = {
      ...{ dumps: dumps.port, archive: archive.port, r2: r2.port, tracker: tracker.port },
      // A start with fewer mirrors forgets no address.
      mirrors: [...mirrors.map(({ port }) => port), ...(wanted.mirrors ?? []).slice(mirrors.length)],
    };
    await savePorts(dir, ports);
    const { endpoint, bucket, accessKeyId, secretAccessKey, publicBaseUrl } = r2;
    return {
      ports,
      dumpsBaseUrl: dumps.baseUrl,
      sitematrixUrl: dumps.sitematrixUrl,
      wikistatsUrl: dumps.wikistatsUrl,
      mirrors,
      iaS3Endpoint: archive.baseUrl,
      iaSiteUrl: archive.baseUrl,
      iaKeys: archive.keys,
      r2: { endpoint, bucket, accessKeyId, secretAccessKey, publicBaseUrl },
      trackerUrl: tracker.announceUrl,
      faults,
      upstream: dumps.upstream,
      dumpRequests: () => dumps.requestLog(),
      resetDumpCounters: () => dumps.resetCounters(),
      counters: () => ({
        dumps: dumps.counters(),
        mirrors: mirrors.map((mirror) => mirror.counters()),
        archive: archive.counters(),
        r2: r2.counters(),
        tracker: tracker.counters(),
      }),
      accepted: () => ({ archive: archive.accepted(), r2: r2.accepted() }),
      whenArchiveIdle: () => archive.whenIdle(),
      runArchiveTasks: () => archive.runTasks(),
      stop: stopAll,
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

/** Ports of the last start: torrents and status pages made then keep working addresses. */
async function savedPorts(dir: string): Promise<Partial<SandboxPorts>> {
  try {
    return JSON.parse(await readFile(join(dir, 'ports.json'), 'utf8')) as Partial<SandboxPorts>;
  } catch {
    // The first start, or a torn file: any ports will do.
    return {};
  }
}

async function savePorts(dir: string, ports: SandboxPorts): Promise<void> {
  await writeFile(join(dir, 'ports.json.tmp'), `${JSON.stringify(ports)}\n`);
  await rename(join(dir, 'ports.json.tmp'), join(dir, 'ports.json'));
}
