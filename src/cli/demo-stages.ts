import { join } from 'node:path';
import type { App } from '../app.ts';
import { formatBytes } from '../lib/index.ts';
import { createNodeDisk } from '../ports/index.ts';
import type { Sandbox, SandboxCounters } from '../sandbox/index.ts';

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
}

/** Goes through the stages in order; every judgement needs evidence outside the database. */
export async function inspectDemo(facts: DemoFacts): Promise<DemoStage[]> {
  const { app, sandbox, before, cycleDate, dataDir } = facts;
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
  const fetched = after.dumps.fileRequests - before.dumps.fileRequests;
  const sent = after.archive.puts - before.archive.puts;
  const filed = files.filter((file) => file.iaVerifiedAt !== null).length;

  const torrents = catalog.torrentsOfCycle(cycleDate);
  const torrentFiles = await Promise.all(torrents.map((t) => disk.stat(join(dataDir, t.torrentFilePath))));
  const seeding = await app.seeding();
  const seeded = torrents.filter((t) => seeding.torrents.some((s) => s.infoHash === t.infoHash));
  const seeders = await Promise.all(torrents.map((t) => countSeeders(sandbox.trackerUrl, t.infoHash)));
  const manifest = (await disk.readText(join(app.layout.publish, 'manifest.json'))) ?? '';
  const published = await Promise.all(
    torrents.map(async (t) => (await fetch(`${sandbox.r2.publicBaseUrl}/torrents/${t.infoHash}.torrent`)).ok),
  );

  const projects = new Set(wikis.map((w) => w.project)).size;
  const languages = new Set(wikis.map((w) => w.language)).size;
  const stage = (name: string, happened: boolean, detail: string): DemoStage => ({ name, happened, detail });
  return [
    stage(
      'discover',
      wikis.length > 0,
      `${wikis.length} wikis in the site matrix: ${projects} projects, ${languages} languages`,
    ),
    stage(
      'find',
      runs.length > 0 && files.length > 0,
      `${runs.length} runs of ${cycleDate}, ${files.length} files wanted, ${formatBytes(bytes)}`,
    ),
    stage(
      'download',
      files.length > 0 && onDisk === files.length,
      `${onDisk} of ${files.length} files held and verified, ${formatBytes(bytes)}; ${fetched} requests for files in this run, never more than ${after.dumps.maxConcurrent} at once`,
    ),
    stage(
      'upload',
      files.length > 0 && filed === files.length && after.archive.files >= files.length,
      `${filed} of ${files.length} files verified in ${after.archive.items} Internet Archive items; ${sent} sent in this run`,
    ),
    stage(
      'torrent',
      torrents.length > 0 && torrentFiles.every((f) => f !== null),
      torrents
        .map(
          (t) =>
            `${t.name}: ${t.fileCount} files, ${t.pieceCount} pieces of ${pieceText(t.pieceLength)}, infohash ${t.infoHash}`,
        )
        .join('; '),
    ),
    stage(
      'seed',
      torrents.length > 0 && seeded.length === torrents.length && seeders.every((n) => n > 0),
      `${seeded.length} of ${torrents.length} torrents seeding on port ${seeding.port ?? '?'}; the tracker counts ${seeders.join(', ')} seeder(s)`,
    ),
    stage(
      'publish',
      torrents.length > 0 && torrents.every((t) => manifest.includes(t.infoHash)) && published.every(Boolean),
      `manifest with ${torrents.length} torrent(s); ${after.r2.objects} objects in the S3 store, ${after.r2.puts - before.r2.puts} written in this run`,
    ),
  ];
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
