import { join } from 'node:path';
import type { App } from '../app.ts';
import type { Torrent } from '../catalog/index.ts';
import { formatBytes } from '../lib/index.ts';
import { readMetainfo } from '../lib/metainfo.ts';
import { createNodeDisk } from '../ports/index.ts';
import type { Sandbox, SandboxCounters } from '../sandbox/index.ts';
import { counted } from './words.ts';

/** One stage of the pipeline, judged from the world and not from what the pipeline says of itself. */
export interface DemoStage {
  name: string;
  happened: boolean;
  detail: string;
}

/** What an inspection looks at. */
export interface DemoFacts {
  app: App;
  sandbox: Sandbox;
  /** Counters of the sandbox before the app started: what an earlier run left. */
  before: SandboxCounters;
  cycleDate: string;
  dataDir: string;
  pageUrl: string;
  /** What the sandbox offers for a date. */
  sizeBytes: number;
}

/** Goes through the stages in order; every judgement needs evidence outside the database. */
export async function inspectDemo(facts: DemoFacts): Promise<DemoStage[]> {
  const { app, sandbox, before, cycleDate, dataDir, sizeBytes, pageUrl } = facts;
  const disk = createNodeDisk();
  const after = sandbox.counters();
  const { catalog } = app;
  const wikis = catalog.wikis();
  const runs = catalog.runs(cycleDate);
  const files = catalog.dumpFiles(cycleDate);
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);

  let onDisk = 0;
  for (const file of files) {
    if (file.localPath === null) continue;
    const held = await disk.stat(join(dataDir, file.localPath));
    if (held?.sizeBytes === file.sizeBytes) onDisk += 1;
  }
  const fetched = [after.dumps, ...after.mirrors].map(
    (counted, at) => counted.fileRequests - ([before.dumps, ...before.mirrors][at]?.fileRequests ?? 0),
  );
  const atOnce = Math.max(...[after.dumps, ...after.mirrors].map(({ maxConcurrent }) => maxConcurrent));
  const sent = after.archive.puts - before.archive.puts;
  const filed = files.filter((file) => file.iaVerifiedAt !== null).length;

  const torrents = catalog.torrentsOfCycle(cycleDate);
  const torrentFiles = await Promise.all(torrents.map((t) => disk.stat(join(dataDir, t.torrentFilePath))));
  const seeding = await app.seeding();
  const seeded = torrents.filter((t) => seeding.torrents.some((s) => s.infoHash === t.infoHash));
  const seeders = await Promise.all(torrents.map((t) => countSeeders(sandbox.trackerUrl, t.infoHash)));
  const manifest = readManifest((await disk.readText(join(app.layout.publish, 'manifest.json'))) ?? '');
  const listed = torrents.filter((t) => manifest.infoHashes.has(t.infoHash));
  const archived = files.filter((f) => f.iaVerifiedAt !== null);
  const linked = archived.filter((f) => f.iaUrl !== null && manifest.archiveUrls.has(f.iaUrl));
  const published = await Promise.all(
    torrents.map(async (t) => (await fetch(`${sandbox.r2.publicBaseUrl}/torrents/${t.infoHash}.torrent`)).ok),
  );

  const thisRun = [pageUrl, sandbox.dumpsBaseUrl, ...sandbox.mirrors.map(({ baseUrl }) => baseUrl)];
  const roots = (await Promise.all(torrents.map((t) => askWebseeds(t, dataDir, thisRun)))).flat();

  const projects = new Set(wikis.map((w) => w.project)).size;
  const languages = new Set(wikis.map((w) => w.language)).size;
  const stage = (name: string, happened: boolean, detail: string): DemoStage => ({ name, happened, detail });
  return [
    stage(
      'discover',
      wikis.length > 0,
      `${counted(wikis.length, 'wiki')} in the site matrix: ${counted(projects, 'project')}, ${counted(languages, 'language')}`,
    ),
    stage(
      'find',
      runs.length > 0 && files.length > 0,
      `${counted(runs.length, 'run')} of ${cycleDate}; ${formatBytes(bytes)} of about ${formatBytes(sizeBytes)} offered are of the wanted types, in ${counted(files.length, 'file')}`,
    ),
    stage(
      'download',
      files.length > 0 && onDisk === files.length,
      `${onDisk} of ${counted(files.length, 'file')} held and verified, ${formatBytes(bytes)}; ${fetchedText(fetched, atOnce)}`,
    ),
    stage(
      'upload',
      files.length > 0 && filed === files.length && after.archive.files >= files.length,
      `${filed} of ${counted(files.length, 'file')} verified in ${counted(after.archive.items, 'Internet Archive item')}; ${sent} sent in this run`,
    ),
    stage('torrent', torrents.length > 0 && torrentFiles.every((f) => f !== null), torrentsText(torrents)),
    stage(
      'webseed',
      roots.every(({ isWorking }) => isWorking),
      roots.length === 0
        ? 'no torrent names an address of this run: they stand at those of an earlier one'
        : `${roots.filter(({ isWorking }) => isWorking).length} of ${counted(roots.length, 'address', 'addresses')} in ${counted(torrents.length, 'torrent')} give the bytes to whoever asks`,
    ),
    stage(
      'seed',
      torrents.length > 0 && seeded.length === torrents.length && seeders.every((n) => n > 0),
      `${seeded.length} of ${counted(torrents.length, 'torrent')} seeding on port ${seeding.port ?? '?'}; the tracker counts ${counted(Math.min(...seeders), 'seeder')}${seeders.length > 1 ? ' of each' : ''}`,
    ),
    stage(
      'publish',
      torrents.length > 0 &&
        listed.length === torrents.length &&
        linked.length === archived.length &&
        published.every(Boolean),
      `manifest with ${listed.length} of ${counted(torrents.length, 'torrent')} and ${linked.length} of ${counted(archived.length, 'Internet Archive address', 'Internet Archive addresses')}; ${counted(after.r2.objects, 'object')} in the S3 store, ${after.r2.puts - before.r2.puts} written in this run`,
    ),
  ];
}

/** The cycle's torrent in full, those of single wikis by name. */
function torrentsText(torrents: readonly Torrent[]): string {
  const whole = torrents.filter(({ grouping }) => grouping === 'cycle');
  const others = torrents.filter(({ grouping }) => grouping !== 'cycle');
  const parts = whole.map(
    (t) =>
      `${t.name}: ${counted(t.fileCount, 'file')}, ${counted(t.pieceCount, 'piece')} of ${pieceText(t.pieceLength)}, infohash ${t.infoHash}`,
  );
  if (others.length > 0)
    parts.push(
      `${counted(others.length, 'large wiki')} with one of its own: ${others.map(({ name }) => name).join(', ')}`,
    );
  return parts.join('; ');
}

/** Asks each address that the .torrent names for the beginning of its largest file, as a client would. */
async function askWebseeds(
  torrent: Torrent,
  dataDir: string,
  /** An earlier run had other ports, and nothing answers there any more. */
  thisRun: readonly string[],
): Promise<{ isWorking: boolean }[]> {
  const disk = createNodeDisk();
  const open = async (path: string, sizeBytes: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(sizeBytes);
    const file = await disk.open(path, 'read');
    await file.read(bytes, 0);
    await file.close();
    return bytes;
  };
  const torrentFile = join(dataDir, torrent.torrentFilePath);
  const { webseeds, files } = await readMetainfo(
    await open(torrentFile, (await disk.stat(torrentFile))?.sizeBytes ?? 0),
  );
  const [largest] = files.filter(({ isPadding }) => !isPadding).sort((a, b) => b.sizeBytes - a.sizeBytes);
  if (largest === undefined) return [];
  const path = [torrent.infoName, ...largest.path.split('/')];
  const wanted = await open(join(dataDir, torrent.contentPath, ...path), Math.min(largest.sizeBytes, 1000));
  return Promise.all(
    webseeds
      .filter((root) => thisRun.some((address) => root.startsWith(address)))
      .map(async (root) => {
        try {
          // Wikimedia refuses whoever does not say who it is.
          const headers = {
            range: `bytes=0-${wanted.length - 1}`,
            'user-agent': 'a BitTorrent client (demo@localhost)',
          };
          const answer = await fetch(`${root}${path.map(encodeURIComponent).join('/')}`, { headers });
          return {
            isWorking: answer.status === 206 && wanted.equals(Buffer.from(await answer.arrayBuffer())),
          };
        } catch {
          return { isWorking: false };
        }
      }),
  );
}

/** The infohashes and Internet Archive addresses a published manifest names; none when it cannot be read. */
function readManifest(text: string): { infoHashes: Set<string>; archiveUrls: Set<string> } {
  type Shape = { torrents: { infohash: string; files: { ia_url: string | null }[] }[] };
  try {
    const { torrents } = JSON.parse(text) as Shape;
    const urls = torrents.flatMap(({ files }) => files.map((file) => file.ia_url));
    return {
      infoHashes: new Set(torrents.map(({ infohash }) => infohash)),
      archiveUrls: new Set(urls.filter((url) => url !== null)),
    };
  } catch {
    return { infoHashes: new Set(), archiveUrls: new Set() };
  }
}

/** @param fetched requests for files at the dump site and at each of its mirrors */
function fetchedText([origin = 0, ...mirrors]: readonly number[], atOnce: number): string {
  const total = mirrors.reduce((sum, count) => sum + count, origin);
  if (total === 0) return 'nothing had to be fetched in this run';
  const shares = `${origin} at the dump site and ${total - origin} at ${counted(mirrors.length, 'mirror')}`;
  return `${counted(total, 'request')} for files in this run${mirrors.length === 0 ? '' : `, ${shares}`}, never more than ${atOnce} at once at one place`;
}

/** Asks the tracker (BEP 48) how many seeders it knows; 0 when it knows none or does not answer. */
async function countSeeders(announceUrl: string, infoHash: string): Promise<number> {
  const encoded = infoHash.replaceAll(/../g, '%$&');
  try {
    const response = await fetch(`${announceUrl.replace('announce', 'scrape')}?info_hash=${encoded}`);
    const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
    return Number(/8:completei(\d+)e/.exec(text)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Piece lengths are powers of two: `256 KiB`, `16 MiB`. */
function pieceText(bytes: number): string {
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`;
}
