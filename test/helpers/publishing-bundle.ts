import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createCatalog, type TorrentFacts } from '../../src/catalog/index.ts';
import { JobId, type TorrentId } from '../../src/lib/index.ts';
import { createNodeDisk, type ObjectStore, silentLog } from '../../src/ports/index.ts';
import { createPublishing, createS3ObjectStore, type PublishedManifest } from '../../src/publishing/index.ts';
import { type R2Options, startR2 } from '../../src/sandbox/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from './fake-clock.ts';
import { temporaryFolder, withDb } from './with-db.ts';

export const CYCLE = '2026-11-20';
export const hash = (algorithm: string, text: string): string =>
  createHash(algorithm).update(text).digest('hex');

/** The real catalog with one wiki of two files, the sandbox's object store behind the real S3 client, a clock that stands still. */
export async function publishingBundle(
  options: { r2?: Partial<R2Options> | null; secretAccessKey?: string; bucket?: string } = {},
) {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock();
  const catalog = createCatalog({ db, clock });
  const layout = createLayout(dataDir);
  const wiki = { project: 'wikipedia', language: 'aa', url: 'https://aa.wikipedia.org', name: 'Afar' };
  catalog.recordWikis([
    { wikiDbName: 'aawiki', ...wiki, isClosed: true, isPrivate: false, isFishbowl: false },
  ]);
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt: clock.now() + 1e9 });
  const names = ['aawiki-20261120-page.sql.gz', 'aawiki-20261120-all-titles.gz'];
  catalog.recordRun({
    wikiDbName: 'aawiki',
    cycleDate: CYCLE,
    runDate: '20261120',
    status: 'finished',
    notices: [],
    source: 'classic',
    listedNames: null,
    document: null,
    files: names.map((filename) => ({
      dumpType: filename.includes('page') ? 'page' : 'all-titles',
      filename,
      isHistory: false,
      sizeBytes: filename.length,
      hashes: { md5: hash('md5', filename), sha1: hash('sha1', filename) },
      wikimediaUrl: `https://dumps.wikimedia.org/aawiki/20261120/${filename}`,
      wikimediaStatus: 'done',
      wikimediaDate: null,
    })),
  });
  const files = catalog.dumpFiles(CYCLE);
  for (const { id, filename } of files) {
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      md5: hash('md5', filename),
      sha1: hash('sha1', filename),
      sha256: hash('sha256', filename),
      sizeBytes: filename.length,
      verification: 'sha1',
      localPath: `dumps/aawiki/20261120/${filename}`,
      fetchedFromUrl: `https://dumps.wikimedia.org/aawiki/20261120/${filename}`,
      pieceHashes: null,
    });
  }
  catalog.markScanned(CYCLE);
  catalog.sealIfSettled(CYCLE, { force: true });
  catalog.advanceCycle(CYCLE, 'torrented');
  mkdirSync(layout.torrents, { recursive: true });
  function addTorrent(
    name: string,
    supplement = 0,
    facts: Partial<TorrentFacts> = {},
  ): { id: TorrentId; infoHash: string; path: string } {
    const infoHash = hash('sha1', name);
    const path = join(layout.torrents, `${name}.torrent`);
    writeFileSync(path, `torrent ${name}`);
    const id = catalog.recordTorrent({
      name,
      grouping: 'cycle',
      cycleDate: CYCLE,
      isHistory: false,
      supplement,
      payloadVersion: '1.1',
      gaps: [],
      infoHash,
      magnetLink: `magnet:?xt=urn:btih:${infoHash}`,
      totalSizeBytes: 100,
      fileCount: 2,
      pieceLength: 16384,
      pieceCount: 1,
      torrentFilePath: `torrents/${name}.torrent`,
      contentPath: 'torrents',
      trackers: [],
      webseeds: [],
      files: files.map((file) => ({
        dumpId: file.id,
        pathInTorrent: `compressed/aa/wikipedia/${file.filename}`,
        sizeBytes: file.sizeBytes,
        verification: 'sha1',
      })),
      ...facts,
    });
    catalog.markSeeding(id);
    return { id, infoHash, path };
  }

  const r2 =
    options.r2 === null
      ? null
      : await startR2({ dir: join(dataDir, 'r2'), writeIntervalMs: 0, ...options.r2 });
  if (r2 !== null) onTestFinished(() => r2.stop());
  const real =
    r2 === null
      ? null
      : createS3ObjectStore({
          endpoint: r2.endpoint,
          bucket: options.bucket ?? r2.bucket,
          region: 'auto',
          accessKeyId: r2.accessKeyId,
          secretAccessKey: options.secretAccessKey ?? r2.secretAccessKey,
          clock,
        });
  const calls: string[] = [];
  const objectStore: ObjectStore | null = real && {
    ...real,
    head: (key, signal) => {
      calls.push(`head ${key}`);
      return real.head(key, signal);
    },
    put: (key, content, facts, signal) => {
      calls.push(`put ${key} ${facts.cacheControl}`);
      return real.put(key, content, facts, signal);
    },
  };
  const room = createPublishing({
    catalog,
    db,
    disk: createNodeDisk(),
    layout,
    clock,
    log: silentLog,
    objectStore,
    config: {
      publicBaseUrl: 'https://seed.example.org/',
      r2PublicBaseUrl: r2?.publicBaseUrl ?? null,
      version: '0.0.0',
    },
  });
  const handler = room.handlers[0]!;
  const publish = async (
    meanwhile = (): void => {},
    { signal, progress }: { signal: AbortSignal; progress: () => void } = {
      ...{ signal: new AbortController().signal, progress: () => {} },
    },
  ) => {
    const context = {
      jobId: JobId.parse(1),
      attempt: 1,
      signal,
      clock,
      log: silentLog,
      cursor: null,
      progress,
    };
    const output = await handler.run({}, context);
    meanwhile();
    const { isCurrent } = db.transaction(() => handler.record?.({}, output)) as PublishedManifest;
    const { writtenLocal, writtenRemote } = handler.jobType.output.parse(output) as Record<string, string[]>;
    return { writtenLocal, writtenRemote, isCurrent, summary: handler.summarize?.(output) };
  };
  const local = (name: string): string => readFileSync(join(layout.publish, name), 'utf8');
  const shares = () =>
    db.sqlite.prepare('SELECT * FROM shares ORDER BY subject, platform').all() as Record<string, unknown>[];
  return {
    catalog,
    clock,
    db,
    layout,
    r2,
    realStore: real,
    publish,
    addTorrent,
    local,
    calls,
    shares,
    files,
  };
}
