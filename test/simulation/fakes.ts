import { createHash } from 'node:crypto';
import type { Catalog } from '../../src/catalog/index.ts';
import { assertProvable, dueOf } from '../../src/download/due.ts';
import { downloadDump, repairFile } from '../../src/download/index.ts';
import { handleDownloadDump } from '../../src/download/jobs/download-dump.ts';
import { judge } from '../../src/download/verdict.ts';
import { CorruptError, hours, Interrupted, PermanentError, UnavailableError } from '../../src/lib/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { pruneStorage } from '../../src/pruning/index.ts';
import { publishManifest } from '../../src/publishing/index.ts';
import { type AnyJobHandler, handleJob } from '../../src/queue/index.ts';
import { startSeeding } from '../../src/seeding/index.ts';
import { createTorrent } from '../../src/torrenting/index.ts';
import { place } from '../../src/torrenting/payload/content.ts';
import { selectFiles } from '../../src/torrenting/select-files.ts';
import { kindOf } from '../../src/torrenting/selection.ts';
import { proveRemote, uploadIa } from '../../src/upload/index.ts';
import { checkWebseeds, watchWebseeds } from '../../src/webseeds/index.ts';
import { hashOf } from './documents.ts';
import type { ProcessClock } from './leaping-clock.ts';
import { MINUTE } from './moments.ts';
import type { SimUpstream } from './upstream.ts';

/** The line to the world: all fetches share it, one after the other. */
export interface Line {
  bytesPerSecond: number;
  /** What one fetch costs beside its bytes, ms. */
  perFileMs: number;
  /** Epoch ms until which it is taken. */
  takenUntil: number;
}

/** Fetches end on whole half minutes, so that a year has not a moment of its own for each of its files. */
const GRID_MS = MINUTE / 2;

/**
 * Downloads without bytes: what upstream has at the end of a transfer is judged by the room's own judges, and written down by
 * the room's own hooks. Leases are long, since renewing them is the queue's business and a year has too many of them.
 */
export function fakeDownload(deps: {
  catalog: Catalog;
  clock: ProcessClock;
  upstream: SimUpstream;
  line: Line;
}): AnyJobHandler {
  const { catalog, clock, upstream, line } = deps;
  const real = handleDownloadDump({ catalog, log: silentLog } as Parameters<typeof handleDownloadDump>[0]);
  const down = (): UnavailableError => new UnavailableError('network', 'no complete answer (ECONNREFUSED)');
  const gone = (url: string): PermanentError =>
    new PermanentError('not_found', `dumps.wikimedia.org has no ${new URL(url).pathname}`);
  return {
    ...real,
    jobType: { ...downloadDump, leaseMs: hours(12) },
    async run({ dumpFileId }: { dumpFileId: Parameters<Catalog['dumpFile']>[0] }, { signal }) {
      const due = dueOf(catalog, dumpFileId);
      // Nothing to do: the room's own answer.
      if (due === null) return real.run({ dumpFileId }, { signal } as Parameters<typeof real.run>[1]);
      assertProvable(catalog, due);
      const { row, isReplacement } = due;
      if (!isReplacement && row.ourStatus !== 'downloading') catalog.markDownloading(dumpFileId);
      const begun = upstream.fetch(row.wikimediaUrl);
      if (begun.kind === 'down') throw down();
      if (begun.kind === 'missing') throw gone(row.wikimediaUrl);
      const takes = line.perFileMs + (begun.sizeBytes / line.bytesPerSecond) * 1000;
      line.takenUntil = Math.max(line.takenUntil, clock.now()) + takes;
      const until = Math.ceil(line.takenUntil / GRID_MS) * GRID_MS;
      await clock.fetch(until, signal);
      if (signal.aborted) throw new Interrupted();
      const ended = upstream.fetch(row.wikimediaUrl);
      if (ended.kind === 'down') throw down();
      if (ended.kind === 'missing') throw gone(row.wikimediaUrl);
      const { content } = ended;
      const digests = {
        md5: hashOf('md5', content),
        sha1: hashOf('sha1', content),
        sha256: hashOf('sha256', content),
      };
      const now = dueOf(catalog, dumpFileId);
      if (now === null) return real.run({ dumpFileId }, { signal } as Parameters<typeof real.run>[1]);
      const verdict = judge(now.facts, { ...digests, sizeBytes: ended.sizeBytes });
      if (verdict.kind === 'wrong')
        throw new CorruptError(
          'checksum_mismatch',
          `${row.filename}: ${verdict.what} should be ${verdict.expected} but is ${verdict.got}`,
        );
      return {
        ...digests,
        sizeBytes: ended.sizeBytes,
        verification: verdict.kind === 'proved' ? verdict.verification : 'structure-only',
        localPath: `dumps/${row.wikiDbName}/${row.runDate}/${row.filename}`,
        fetchedFromUrl: row.wikimediaUrl,
        pieceHashes: null,
        isReplacement: now.isReplacement,
      };
    },
  } as AnyJobHandler;
}

/** Torrents without files: the room's own choice of what belongs into one, and what is a gap. */
export function fakeTorrents(deps: {
  catalog: Catalog;
  regularTypes: readonly string[];
  historyTypes: readonly string[];
}): AnyJobHandler {
  const { catalog } = deps;
  return handleJob(createTorrent, {
    async run(input) {
      const selection = selectFiles({
        ...deps,
        ...input,
        pieceLengthBytes: 2 ** 24,
        alignFilesFromBytes: 2 ** 26,
      });
      const { content, leftOut } = place(selection, selection.included);
      const totalSizeBytes = content.reduce((sum, { dump }) => sum + dump.sizeBytes, 0);
      const infoHash = createHash('sha1').update(selection.name);
      for (const { dump, path } of content) infoHash.update(`${path} ${dump.sha1}\n`);
      return {
        ...{ name: selection.name, infoName: selection.infoName, ...kindOf(selection) },
        cycleDate: input.cycleDate,
        supplement: input.supplement,
        ...{ part: selection.part, hasMore: selection.hasMore },
        payloadVersion: selection.payloadVersion,
        infoHash: infoHash.digest('hex'),
        magnetLink: 'magnet:?',
        totalSizeBytes,
        fileCount: content.length,
        pieceLength: 16_777_216,
        pieceCount: Math.ceil(totalSizeBytes / 16_777_216),
        alignFilesFromBytes: selection.alignFilesFromBytes,
        torrentFilePath: `torrents/${selection.name}.torrent`,
        contentPath: selection.grouping === 'wiki_run' ? 'dumps' : 'torrents',
        trackers: [],
        webseeds: [],
        files: content.map(({ dump, path }) => ({
          ...{ dumpId: dump.id, pathInTorrent: path, sizeBytes: dump.sizeBytes },
          ...{ verification: dump.verification, md5: null, sha1: null, sha256: null },
        })),
        gaps: [
          ...selection.gaps,
          ...leftOut.map(({ dump, reason }) => ({
            ...{ wikiDbName: dump.wikiDbName, source: dump.source, runDate: dump.runDate },
            ...{ dumpType: dump.dumpType, filename: dump.filename, sizeBytes: dump.sizeBytes },
            ...{ state: 'not_included' as const, reason },
          })),
        ],
      };
    },
    record: (_input, { hasMore: _hasMore, ...output }) => catalog.recordTorrent(output),
    summarize: ({ name, infoHash }) => ({ name, infoHash }),
  });
}

/** Seeding and publishing that always work, and write down what the rooms would. */
export function fakeOutlets({ catalog }: { catalog: Catalog }): AnyJobHandler[] {
  return [
    handleJob(startSeeding, {
      run: async ({ torrentId }) => ({
        infoHash: catalog.torrent(torrentId)?.infoHash ?? '',
        ...{ peersPort: 6881, isSeeding: true, note: null },
      }),
      record: ({ torrentId }) => catalog.markSeeding(torrentId),
    }),
    handleJob(publishManifest, {
      run: async () => ({
        manifestSha256: String(catalog.torrents().length),
        torrents: catalog.torrents().map(({ id, infoHash }) => ({
          ...{ torrentId: id, infoHash, url: null, contentSha256: '', isNews: true },
        })),
        ...{ changeCount: 0, leftOut: [], writtenLocal: [], writtenRemote: [] },
      }),
      record(_input, { torrents, manifestSha256 }) {
        const known = new Set(torrents.map(({ torrentId }) => torrentId));
        for (const torrent of catalog.torrents())
          if (known.has(torrent.id) && torrent.publishedAt === null) catalog.markPublished(torrent.id, null);
        for (const { cycleDate, status } of catalog.cycles()) {
          const own = status === 'seeding' ? catalog.torrentsOfCycle(cycleDate) : [];
          if (own.length > 0 && own.every(({ id }) => known.has(id)))
            catalog.advanceCycle(cycleDate, 'published');
        }
        return { isCurrent: String(catalog.torrents().length) === manifestSha256 };
      },
      summarize: ({ manifestSha256 }) => ({ manifestSha256 }),
    }),
    handleJob(checkWebseeds, {
      run: async ({ torrentId }) => ({
        ...{ torrentId, infoHash: catalog.torrent(torrentId)?.infoHash ?? '' },
        ...{ isChanged: false, rows: [], webseeds: [], given: [], settled: [] },
      }),
    }),
    // Asked for by nobody here, but the pipeline waits for them.
    handleJob(uploadIa, { run: async () => ({ iaIdentifier: '', iaUrl: '' }) }),
    handleJob(pruneStorage, {
      run: () => Promise.reject(new Error('nothing is pruned here')),
    }),
    handleJob(watchWebseeds, { run: () => Promise.reject(new Error('nobody looks again here')) }),
    handleJob(repairFile, { run: () => Promise.reject(new Error('nothing rots here')) }),
    handleJob(proveRemote, { run: () => Promise.reject(new Error('nothing is archived here')) }),
  ];
}
