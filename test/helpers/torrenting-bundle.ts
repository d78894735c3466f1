import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type {
  DumpFile,
  DumpRun,
  Replacement,
  Torrent,
  TorrentFacts,
  TorrentKind,
  Verification,
} from '../../src/catalog/index.ts';
import { DumpFileId, JobId, TorrentId } from '../../src/lib/index.ts';
import {
  type Clock,
  createNodeDisk,
  createSystemClock,
  type Disk,
  silentLog,
} from '../../src/ports/index.ts';
import { createLayout, createSpaceGuard, type Layout } from '../../src/storage/index.ts';
import {
  type CreateTorrentInput,
  type CreateTorrentOutput,
  createTorrenting,
  ofCycle,
  type TorrentBounds,
} from '../../src/torrenting/index.ts';
import { isOfKind } from '../../src/torrenting/selection.ts';
import { temporaryFolder } from './with-db.ts';

/*
 * What the tests of torrenting share: operators with the same dump files, and a bencode reader that judges the result.
 */

export const CYCLE = '2026-11-20';

export interface FileSpec {
  wiki: string;
  language: string;
  project: string;
  name: string;
  dumpType: string;
  sizeBytes: number;
  isHistory?: boolean;
  ourStatus?: DumpFile['ourStatus'];
  wikimediaStatus?: string;
  runDate?: string;
  source?: DumpFile['source'];
  verification?: Verification;
  /** Real content; default: bytes that depend on the name, as long as `sizeBytes`. */
  bytes?: Buffer;
}

export const AA: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-pages-articles.xml.bz2',
  dumpType: 'pages-articles',
  sizeBytes: 700_001,
};
export const NEWS: FileSpec = {
  wiki: 'enwikinews',
  language: 'en',
  project: 'wikinews',
  name: 'enwikinews-20261120-stub-meta-history.xml.gz',
  dumpType: 'stub-meta-history',
  sizeBytes: 3_100_000,
};
export const HISTORY: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-pages-meta-history.xml.7z',
  dumpType: 'pages-meta-history',
  sizeBytes: 90_000,
  isHistory: true,
};
export const EMPTY: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-redirect.sql.gz',
  dumpType: 'redirect',
  sizeBytes: 0,
};
export const GONE: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-page.sql.gz',
  dumpType: 'page',
  sizeBytes: 10,
  ourStatus: 'failed',
};
export const BROKEN_UPSTREAM: FileSpec = {
  ...GONE,
  name: 'aawiki-20261120-pagelinks.sql.gz',
  dumpType: 'pagelinks',
  wikimediaStatus: 'failed',
};
export const EXPORT: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-2026-11-01-p1p9.xml.bz2',
  dumpType: 'pages-meta-current',
  sizeBytes: 5000,
  source: 'content_current',
  runDate: '2026-11-01',
  verification: 'sha256-upstream',
};
export const ALL = [AA, NEWS, HISTORY, EMPTY, GONE, BROKEN_UPSTREAM, EXPORT];

/** Bytes that depend on the name only: every operator downloads the same. */
export function bytesOf(spec: FileSpec): Buffer {
  if (spec.bytes !== undefined) return spec.bytes;
  const out = Buffer.alloc(spec.sizeBytes);
  let block = createHash('sha256').update(spec.name).digest();
  for (let at = 0; at < out.length; at += block.length) {
    block.copy(out, at);
    block = createHash('sha256').update(block).digest();
  }
  return out;
}

/** SHA-1 of each piece, the last one short. */
export function pieceSha1s(bytes: Buffer, pieceLength: number): Buffer {
  const digests: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceLength)
    digests.push(
      createHash('sha1')
        .update(bytes.subarray(at, at + pieceLength))
        .digest(),
    );
  return Buffer.concat(digests);
}

interface Options {
  specs?: FileSpec[];
  baseUrl?: string;
  disk?: (disk: Disk) => Disk;
  clock?: Clock;
  pieceLengthBytes?: number;
  alignFilesFromBytes?: number;
  /** Piece length of the hashes that the downloads stored; default that of the setting. */
  storedPieceLengthBytes?: number;
  bounds?: TorrentBounds;
  uncompressed?: { maxFileSizeBytes: number; types: string[] };
  version?: string;
  /** Torrents that were recorded before, by an earlier version or another run. */
  recorded?: (rows: readonly DumpFile[]) => TorrentFacts[];
}

/** One operator: a data directory with held files, a catalog in memory, the room. */
export function setup(options: Options = {}) {
  const dataDir = temporaryFolder();
  const layout = createLayout(dataDir);
  const baseUrl = options.baseUrl ?? 'https://dumps.wikimedia.org';
  const rows = (options.specs ?? ALL).map((spec, index): DumpFile => {
    const bytes = bytesOf(spec);
    const runDate = spec.runDate ?? '20261120';
    const ourStatus = spec.ourStatus ?? 'downloaded';
    const place = layout.dumpFile({
      source: spec.source ?? 'classic',
      wikiDbName: spec.wiki,
      runDate,
      filename: spec.name,
    });
    const isHeld = ourStatus === 'downloaded';
    if (isHeld) {
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, bytes);
    }
    const digest = (algorithm: string) => (isHeld ? createHash(algorithm).update(bytes).digest('hex') : null);
    return {
      id: DumpFileId.parse(index + 1),
      project: spec.project,
      language: spec.language,
      wikiDbName: spec.wiki,
      source: spec.source ?? 'classic',
      runDate,
      cycleDate: CYCLE,
      dumpType: spec.dumpType,
      filename: spec.name,
      isHistory: spec.isHistory ?? false,
      sizeBytes: spec.sizeBytes,
      md5: digest('md5'),
      sha1: digest('sha1'),
      sha256: digest('sha256'),
      upstreamMd5: null,
      upstreamSha1: null,
      upstreamSha256: null,
      verification: isHeld ? (spec.verification ?? 'sha1') : null,
      wikimediaUrl: `${baseUrl}/${spec.wiki}/${runDate}/${spec.name}`,
      fetchedFromUrl: `${baseUrl}/mirror/${spec.name}`,
      localPath: isHeld ? layout.relative(place) : null,
      iaIdentifier: null,
      iaUrl: null,
      iaVerifiedAt: null,
      iaRefusedAt: null,
      archiveTodayUrl: null,
      wikimediaStatus: spec.wikimediaStatus ?? 'done',
      ourStatus,
      wikimediaDate: null,
      discoveredAt: index,
      downloadedAt: index * 1000,
      uploadedAt: null,
      errorMessage: isHeld ? null : `404 at ${baseUrl}`,
      failedAt: null,
      missingSince: null,
      verifiedAt: isHeld ? index * 1000 : null,
      storedMtimeMs: isHeld ? statSync(place).mtimeMs : null,
      damagedAt: null,
    };
  });
  const run = (
    id: number,
    wikiDbName: string,
    source: DumpRun['source'],
    runDate: string,
    status: DumpRun['status'],
    notices: object[],
  ): DumpRun => ({
    id,
    wikiDbName,
    source,
    runDate,
    status,
    cycleDate: CYCLE,
    notices: JSON.stringify(notices),
    mayChange: false,
    checkedAt: 1,
    finishedAt: 2,
  });
  const storedPieceLength = options.storedPieceLengthBytes ?? options.pieceLengthBytes ?? 2 ** 24;
  const storedPieces = new Map(
    rows
      .filter(({ localPath }) => localPath !== null)
      .map((row) => [
        row.id,
        {
          pieceLength: storedPieceLength,
          sha1s: pieceSha1s(readFileSync(layout.absolute(row.localPath!)), storedPieceLength),
        },
      ]),
  );
  const runs = [
    run(1, 'aawiki', 'classic', '20261120', 'finished', [
      { dumpType: 'all-titles', reason: `not offered by ${baseUrl}/aawiki/20261120/` },
    ]),
    run(2, 'zzwiki', 'classic', '20261120', 'absent', []),
  ];
  const recorded: TorrentFacts[] = options.recorded?.(rows) ?? [];
  const reopened: [string, string][] = [];
  /** Names of files whose repair was asked for. */
  const toRepair: string[] = [];
  const clock = options.clock ?? createSystemClock();
  const replacements = new Map<DumpFileId, Replacement>();
  const withId = (facts: TorrentFacts, index: number): Torrent =>
    ({
      ...{ alignFilesFromBytes: null, retiredAt: null, infoName: facts.name, part: 0, isUncompressed: false },
      ...{ scope: null, source: null, runDate: null, ...facts, id: index + 1 },
    }) as unknown as Torrent;
  const torrentsOf = (): Torrent[] => recorded.map(withId);
  const factsOf = (id: TorrentId): TorrentFacts => recorded[id - 1]!;
  const catalog = {
    cycle: () => ({ includesHistory: true }) as never,
    dumpFile: (id: DumpFileId) => rows.find((row) => row.id === id) ?? null,
    dumpFiles: () => [...rows],
    runFiles: (run: { wikiDbName: string; source: string; runDate: string }) =>
      rows.filter(
        (row) =>
          row.wikiDbName === run.wikiDbName && row.source === run.source && row.runDate === run.runDate,
      ),
    pieceHashes: (id: DumpFileId) => storedPieces.get(id) ?? null,
    reopenDumpFile: (id: DumpFileId, reason: string) => {
      const row = rows.find((candidate) => candidate.id === id)!;
      reopened.push([row.filename, reason]);
      Object.assign(row, { ourStatus: 'pending', localPath: null, verification: null, sha1: null });
    },
    recordDamaged: (id: DumpFileId, { sha1 }: { sha1: string }) => {
      const row = rows.find((candidate) => candidate.id === id);
      if (row?.sha1 !== sha1 || row.damagedAt !== null) return false;
      row.damagedAt = clock.now();
      return true;
    },
    recordSound: (id: DumpFileId, { sha1, storedMtimeMs }: { sha1: string; storedMtimeMs: number }) => {
      const row = rows.find((candidate) => candidate.id === id);
      if (row?.sha1 !== sha1) return false;
      Object.assign(row, { storedMtimeMs, damagedAt: null });
      return true;
    },
    runs: () => [...runs],
    wikis: () => [],
    replacements: () => replacements,
    torrents: torrentsOf,
    torrentsOfCycle: torrentsOf,
    torrentGaps: (id: TorrentId) => [...factsOf(id).gaps],
    torrentFiles: (id: TorrentId) =>
      factsOf(id).files.map(({ dumpId, md5 = null, sha1 = null, sha256 = null, ...file }) => ({
        dump: rows.find((row) => row.id === dumpId)!,
        unpacked: sha1 === null ? null : { md5, sha1, sha256 },
        ...file,
      })),
    carriedFiles: (_cycleDate: string, kind: TorrentKind) =>
      new Map(
        torrentsOf()
          .filter((torrent) => isOfKind(torrent, kind))
          .sort((a, b) => b.supplement - a.supplement || b.part - a.part)
          .flatMap(({ id }) => factsOf(id).files.map(({ dumpId }) => [dumpId, id] as const)),
      ),
    *prepareTorrent() {},
    recordTorrent: (facts: TorrentFacts) => {
      const known = recorded.findIndex(({ name }) => name === facts.name);
      if (known < 0) return TorrentId.parse(recorded.push(facts));
      recorded[known] = { ...facts, gaps: recorded[known]!.gaps };
      return TorrentId.parse(known + 1);
    },
  };
  const disk = options.disk?.(createNodeDisk()) ?? createNodeDisk();
  const createRoom = () =>
    createTorrenting({
      space: createSpaceGuard({ disk, dataDir, safetyMarginBytes: 0, maxSizeBytes: null }),
      catalog,
      disk,
      layout,
      clock,
      log: silentLog,
      askForRepair: (ids) =>
        void toRepair.push(...rows.filter(({ id }) => ids.includes(id)).map(({ filename }) => filename)),
      config: {
        pieceLengthBytes: options.pieceLengthBytes ?? 2 ** 24,
        alignFilesFromBytes: options.alignFilesFromBytes ?? 2 ** 26,
        regularTypes: ['page', 'pages-articles', 'pagelinks', 'redirect', 'stub-meta-history', 'all-titles'],
        historyTypes: ['pages-meta-history', 'stub-meta-history'],
        trackers: ['udp://tracker.example.org:1337/announce', 'http://second.example.org/announce?a=1&b=2'],
        ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
        ...(options.uncompressed === undefined ? {} : { uncompressed: options.uncompressed }),
        version: options.version ?? '0.1.0',
      },
    });
  const room = createRoom();
  const handler = room.handlers[0]!;
  const makeIn = (
    chosen: typeof handler,
    input: Partial<CreateTorrentInput> = {},
    signal = new AbortController().signal,
    cursor: unknown = null,
  ): Promise<CreateTorrentOutput> =>
    chosen.run(ofCycle(CYCLE, input), {
      jobId: JobId.parse(1),
      attempt: 1,
      signal,
      clock: createSystemClock(),
      log: silentLog,
      cursor,
      progress: (state) => void progress.push(state),
    });
  type Given = [input?: Partial<CreateTorrentInput>, signal?: AbortSignal, cursor?: unknown];
  const make = (...given: Given) => makeIn(handler, ...given);
  /** The same data directory after a restart. */
  const another = () => {
    const other = createRoom().handlers[0]!;
    return { make: (...given: Given) => makeIn(other, ...given) };
  };
  /** What a download does. */
  const fetchAgain = (spec: FileSpec): void => {
    const row = rows.find(({ filename }) => filename === spec.name)!;
    const place = layout.dumpFile(row);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, bytesOf(spec));
    Object.assign(row, {
      ourStatus: 'downloaded',
      localPath: layout.relative(place),
      verification: spec.verification ?? 'sha1',
      sha1: createHash('sha1').update(bytesOf(spec)).digest('hex'),
      storedMtimeMs: statSync(place).mtimeMs,
      damagedAt: null,
    });
    const sha1s = pieceSha1s(bytesOf(spec), storedPieceLength);
    storedPieces.set(row.id, { pieceLength: storedPieceLength, sha1s });
  };
  /** Makes a torrent and records it, as the queue does. */
  const makeAndRecord = async (
    input: Partial<CreateTorrentInput> = {},
    chosen: typeof make = make,
  ): Promise<CreateTorrentOutput> => {
    const output = await chosen(input);
    handler.record?.(ofCycle(CYCLE, input), output);
    return output;
  };
  const rowOf = (spec: FileSpec): DumpFile => rows.find(({ filename }) => filename === spec.name)!;
  /** A file that upstream finished, or that was fetched, only now. */
  const settle = (spec: FileSpec): void => {
    const { md5, sha1, sha256 } = Object.fromEntries(
      ['md5', 'sha1', 'sha256'].map((algorithm) => [
        algorithm,
        createHash(algorithm).update(bytesOf(spec)).digest('hex'),
      ]),
    );
    fetchAgain(spec);
    Object.assign(rowOf(spec), { md5, sha1, sha256, errorMessage: null });
  };
  const progress: { doneBytes?: number; totalBytes?: number | null }[] = [];
  const root = join(layout.torrents, `wikimedia-dumps-${CYCLE}`);
  return {
    dataDir,
    layout,
    catalog,
    disk,
    rows,
    runs,
    room,
    handler,
    make,
    another,
    makeAndRecord,
    fetchAgain,
    settle,
    rowOf,
    replacements,
    storedPieces,
    reopened,
    toRepair,
    recorded,
    progress,
    root,
  };
}

type Operator = ReturnType<typeof setup>;

/** Every file below a folder, relative, with `/`. */
export function tree(folder: string, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? tree(join(folder, entry.name), `${prefix}${entry.name}/`)
      : [`${prefix}${entry.name}`],
  );
}

type Bencoded = number | Buffer | Bencoded[] | Map<string, Bencoded>;

/** A bencode reader that shares no code with what it judges; also returns where the info dictionary lies. */
export function readBencode(bytes: Buffer): { value: Bencoded; info: Buffer } {
  let at = 0;
  let info: Buffer = Buffer.alloc(0);
  const item = (): Bencoded => {
    const sign = String.fromCharCode(bytes[at]!);
    if (sign === 'i') {
      const end = bytes.indexOf('e', at);
      const text = bytes.toString('latin1', at + 1, end);
      expect(text).toMatch(/^(0|-?[1-9]\d*)$/);
      at = end + 1;
      return Number(text);
    }
    if (sign === 'l') {
      const list: Bencoded[] = [];
      for (at += 1; bytes[at] !== 0x65; ) list.push(item());
      at += 1;
      return list;
    }
    if (sign === 'd') {
      const map = new Map<string, Bencoded>();
      let last = '';
      for (at += 1; bytes[at] !== 0x65; ) {
        const key = String(item());
        expect(key > last).toBe(true);
        last = key;
        const from = at;
        map.set(key, item());
        if (key === 'info') info = bytes.subarray(from, at);
      }
      at += 1;
      return map;
    }
    const colon = bytes.indexOf(':', at);
    const length = Number(bytes.toString('latin1', at, colon));
    at = colon + 1 + length;
    return bytes.subarray(colon + 1, at);
  };
  const value = item();
  expect(at).toBe(bytes.length);
  return { value, info };
}

export function readTorrent(operator: { layout: Layout }, name = `wikimedia-dumps-${CYCLE}`) {
  const { value, info } = readBencode(readFileSync(join(operator.layout.torrents, `${name}.torrent`)));
  const outer = value as Map<string, Bencoded>;
  const inner = outer.get('info') as Map<string, Bencoded>;
  const files = (inner.get('files') as Map<string, Bencoded>[]).map((file) => ({
    path: (file.get('path') as Buffer[]).map(String).join('/'),
    length: file.get('length') as number,
    isPadding: String(file.get('attr') ?? '') === 'p',
  }));
  return { outer, inner, info, files };
}

export const text = (operator: Operator, name: string): string =>
  readFileSync(join(operator.root, name), 'utf8');

export async function makeWith(options: Options): Promise<Operator & { output: CreateTorrentOutput }> {
  const operator = setup(options);
  return { ...operator, output: await operator.make() };
}
