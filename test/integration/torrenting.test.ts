import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { DumpFile, DumpRun, Torrent, TorrentFacts } from '../../src/catalog/index.ts';
import { DumpFileId, JobId } from '../../src/lib/index.ts';
import { createNodeDisk, createSystemClock, type Disk, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import {
  type CreateTorrentInput,
  type CreateTorrentOutput,
  createTorrent,
  createTorrenting,
} from '../../src/torrenting/index.ts';
import { has } from '../helpers/needs.ts';

/*
 * Goal: two operators who hold the same dump files make the same torrent, and ordinary programs agree with us.
 * Method: real files in temporary data directories, the real job handler, a catalog in memory.
 * Independent checkers: sha1sum and friends, create-torrent, and a bencode reader of this file.
 */

const CYCLE = '2026-11-20';
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface FileSpec {
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
  source?: string;
}

const AA: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-pages-articles.xml.bz2',
  dumpType: 'pages-articles',
  sizeBytes: 700_001,
};
const NEWS: FileSpec = {
  wiki: 'enwikinews',
  language: 'en',
  project: 'wikinews',
  name: 'enwikinews-20261120-stub-meta-history.xml.gz',
  dumpType: 'stub-meta-history',
  sizeBytes: 3_100_000,
};
const HISTORY: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-pages-meta-history.xml.7z',
  dumpType: 'pages-meta-history',
  sizeBytes: 90_000,
  isHistory: true,
};
const EMPTY: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-redirect.sql.gz',
  dumpType: 'redirect',
  sizeBytes: 0,
};
const GONE: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-20261120-page.sql.gz',
  dumpType: 'page',
  sizeBytes: 10,
  ourStatus: 'failed',
};
const BROKEN_UPSTREAM: FileSpec = {
  ...GONE,
  name: 'aawiki-20261120-pagelinks.sql.gz',
  dumpType: 'pagelinks',
  wikimediaStatus: 'failed',
};
const EXPORT: FileSpec = {
  wiki: 'aawiki',
  language: 'aa',
  project: 'wikipedia',
  name: 'aawiki-2026-11-01-p1p9.xml.bz2',
  dumpType: 'content_current',
  sizeBytes: 5000,
  source: 'content_current',
  runDate: '2026-11-01',
};
const ALL = [AA, NEWS, HISTORY, EMPTY, GONE, BROKEN_UPSTREAM, EXPORT];

/** Bytes that depend on the name only: every operator downloads the same. */
function bytesOf(spec: FileSpec): Buffer {
  const out = Buffer.alloc(spec.sizeBytes);
  let block = createHash('sha256').update(spec.name).digest();
  for (let at = 0; at < out.length; at += block.length) {
    block.copy(out, at);
    block = createHash('sha256').update(block).digest();
  }
  return out;
}

interface Options {
  specs?: FileSpec[];
  baseUrl?: string;
  disk?: (disk: Disk) => Disk;
  pieceLengthBytes?: number;
  publicBaseUrl?: string | null;
  version?: string;
}

/** One operator: a data directory with held files, a catalog in memory, the room. */
function setup(options: Options = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'wikiseed-torrenting-'));
  folders.push(dataDir);
  const layout = createLayout(dataDir);
  const baseUrl = options.baseUrl ?? 'https://dumps.wikimedia.org';
  const rows = (options.specs ?? ALL).map((spec, index): DumpFile => {
    const bytes = bytesOf(spec);
    const runDate = spec.runDate ?? '20261120';
    const ourStatus = spec.ourStatus ?? 'downloaded';
    const place = layout.dumpFile({ wikiDbName: spec.wiki, runDate, filename: spec.name });
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
      verification: isHeld ? 'sha1' : null,
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
    };
  });
  const run = (
    id: number,
    wikiDbName: string,
    source: string,
    runDate: string,
    status: string,
    notices: object[],
  ): DumpRun => ({
    id,
    wikiDbName,
    source,
    runDate,
    status,
    cycleDate: CYCLE,
    notices: JSON.stringify(notices),
    lastGoodStatus: null,
    checkedAt: 1,
    finishedAt: 2,
  });
  const runs = [
    run(1, 'aawiki', 'classic', '20261120', 'finished', [
      { dumpType: 'all-titles', reason: `not offered by ${baseUrl}/aawiki/20261120/` },
    ]),
    run(2, 'zzwiki', 'classic', '20261120', 'absent', []),
  ];
  const torrents: Torrent[] = [];
  const recorded: TorrentFacts[] = [];
  const reopened: [string, string][] = [];
  const catalog = {
    dumpFile: (id: DumpFileId) => rows.find((row) => row.id === id) ?? null,
    dumpFiles: () => [...rows],
    reopenDumpFile: (id: DumpFileId, reason: string) => {
      const row = rows.find((candidate) => candidate.id === id)!;
      reopened.push([row.filename, reason]);
      Object.assign(row, { ourStatus: 'pending', localPath: null, verification: null, sha1: null });
    },
    runs: () => [...runs],
    wikis: () => [],
    torrents: () => torrents,
    recordTorrent: (facts: TorrentFacts) => {
      recorded.push(facts);
      torrents.push({ ...facts, id: recorded.length } as unknown as Torrent);
      return recorded.length as Torrent['id'];
    },
  };
  const disk = options.disk?.(createNodeDisk()) ?? createNodeDisk();
  const createRoom = () =>
    createTorrenting({
      catalog,
      disk,
      layout,
      clock: createSystemClock(),
      log: silentLog,
      config: {
        pieceLengthBytes: options.pieceLengthBytes ?? 2 ** 24,
        historyTypes: ['pages-meta-history', 'stub-meta-history'],
        trackers: ['udp://tracker.example.org:1337/announce', 'http://second.example.org/announce?a=1&b=2'],
        publicBaseUrl: options.publicBaseUrl ?? null,
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
    chosen.run(
      { cycleDate: CYCLE, variant: 'regular', ...input },
      {
        jobId: JobId.parse(1),
        attempt: 1,
        signal,
        clock: createSystemClock(),
        log: silentLog,
        cursor,
        progress: (state) => void progress.push(state),
      },
    );
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
    writeFileSync(place, bytesOf(spec));
    Object.assign(row, {
      ourStatus: 'downloaded',
      localPath: layout.relative(place),
      verification: 'sha1',
      sha1: createHash('sha1').update(bytesOf(spec)).digest('hex'),
    });
  };
  const progress: { doneBytes?: number; totalBytes?: number | null }[] = [];
  const root = join(layout.torrents, `wikimedia-dumps-${CYCLE}`);
  return {
    dataDir,
    layout,
    rows,
    runs,
    room,
    handler,
    make,
    another,
    fetchAgain,
    reopened,
    recorded,
    progress,
    root,
  };
}

type Operator = ReturnType<typeof setup>;

function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(path, bytes);
}

/** Every file below a folder, relative, with `/`. */
function tree(folder: string, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? tree(join(folder, entry.name), `${prefix}${entry.name}/`)
      : [`${prefix}${entry.name}`],
  );
}

type Bencoded = number | Buffer | Bencoded[] | Map<string, Bencoded>;

/** A bencode reader that shares no code with what it judges; also returns where the info dictionary lies. */
function readBencode(bytes: Buffer): { value: Bencoded; info: Buffer } {
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

function readTorrent(operator: Operator, name = `wikimedia-dumps-${CYCLE}`) {
  const { value, info } = readBencode(readFileSync(join(operator.layout.torrents, `${name}.torrent`)));
  const outer = value as Map<string, Bencoded>;
  const inner = outer.get('info') as Map<string, Bencoded>;
  const files = (inner.get('files') as Map<string, Bencoded>[]).map((file) => ({
    path: (file.get('path') as Buffer[]).map(String).join('/'),
    length: file.get('length') as number,
  }));
  return { outer, inner, info, files };
}

const text = (operator: Operator, name: string): string => readFileSync(join(operator.root, name), 'utf8');

describe('errors of create_torrent', () => {
  it('refuses a cycle without any verified file', async () => {
    const operator = setup({ specs: [GONE] });
    await expect(operator.make()).rejects.toMatchObject({ name: 'PermanentError', code: 'torrent_empty' });
    expect(existsSync(operator.layout.torrents)).toBe(false);
  });

  it.each([
    ['was changed', (path: string) => flipByte(path, 70_000), 'is damaged'],
    ['is shorter', (path: string) => truncateSync(path, 5), 'is damaged'],
    ['is missing', (path: string) => unlinkSync(path), 'is not there'],
  ])('sends a file that %s on the disk back to be fetched, and waits for it', async (_what, harm, reason) => {
    const operator = setup();
    const expected = (await makeWith({})).output.infoHash;
    const place = operator.layout.absolute(operator.rows[0]!.localPath!);
    harm(place);
    await expect(operator.make()).rejects.toMatchObject({
      name: 'Snooze',
      delayMs: 60_000,
      message: expect.stringContaining(AA.name),
    });
    expect(operator.reopened).toEqual([[AA.name, expect.stringContaining(reason)]]);
    expect(existsSync(operator.layout.torrents)).toBe(false);
    expect(existsSync(place)).toBe(false);
    // Still on its way: neither torrent goes on without it, and nothing is asked for twice.
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    operator.rows[0]!.ourStatus = 'downloading';
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(operator.reopened).toHaveLength(1);
    operator.fetchAgain(AA);
    expect((await operator.make()).infoHash).toBe(expected);
  });

  it('waits for a file on its way also after a restart, but goes on without one that was given up', async () => {
    const operator = setup();
    unlinkSync(operator.layout.absolute(operator.rows[0]!.localPath!));
    const snooze = (await operator.make().catch((error: unknown) => error)) as { cursor: unknown };
    const cursor = JSON.parse(JSON.stringify(snooze.cursor));
    const restarted = operator.another();
    await expect(restarted.make({}, undefined, cursor)).rejects.toMatchObject({ name: 'Snooze' });
    operator.rows[0]!.ourStatus = 'failed';
    const output = await restarted.make({}, undefined, cursor);
    expect(output.files.map((file) => file.pathInTorrent)).not.toContain(
      `compressed/aa/wikipedia/${AA.name}`,
    );
  });

  it('removes every name of damaged bytes, and builds the same torrent again over the new ones', async () => {
    const operator = setup();
    const first = await operator.make();
    operator.handler.record?.({ cycleDate: CYCLE, variant: 'regular' }, first);
    flipByte(join(operator.root, 'compressed/aa/wikipedia', AA.name), 3);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(tree(operator.root)).not.toContain(`compressed/aa/wikipedia/${AA.name}`);
    operator.fetchAgain(AA);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
    expect(readFileSync(join(operator.root, 'compressed/aa/wikipedia', AA.name))).toEqual(bytesOf(AA));
  });

  it('gives the last copy of a file, in the folder of a torrent, its name back', async () => {
    const operator = setup();
    const first = await operator.make();
    const place = operator.layout.absolute(operator.rows[0]!.localPath!);
    unlinkSync(place);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
    expect(readFileSync(place)).toEqual(bytesOf(AA));
    expect(operator.reopened).toEqual([]);
  });

  it('sends nothing back when the disk is not mounted or cannot be read', async () => {
    const operator = setup();
    rmSync(operator.layout.dumps, { recursive: true });
    mkdirSync(operator.layout.dumps);
    await expect(operator.make()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'dumps_folder_empty',
    });
    const other = setup();
    const place = other.layout.absolute(other.rows[0]!.localPath!);
    unlinkSync(place);
    mkdirSync(place);
    await expect(other.make()).rejects.toMatchObject({
      name: 'RetryableError',
      code: 'torrent_read_failed',
      message: expect.stringContaining(AA.name),
    });
    expect([...operator.reopened, ...other.reopened]).toEqual([]);
  });

  it('leaves out only the file whose name would fall together with others where case is ignored', async () => {
    const operator = setup({ specs: [AA, NEWS, { ...EMPTY, language: 'AA', name: 'other.gz' }] });
    const output = await operator.make();
    expect(output.files.map((file) => file.pathInTorrent)).toEqual([
      `compressed/aa/wikipedia/${AA.name}`,
      `compressed/en/wikinews/${NEWS.name}`,
    ]);
    expect(text(operator, 'STATUS.txt')).toContain(
      'aawiki other.gz: not included: its name and that of another file would be one where case is ignored',
    );
  });

  it.each(['..', '', 'a/b'])('leaves out only the file of the unsafe language %j', async (language) => {
    const operator = setup();
    operator.rows[0]!.language = language;
    const output = await operator.make();
    expect(output.files).toHaveLength(3);
    const status = JSON.parse(text(operator, 'STATUS.json'));
    expect(status.summary).toMatchObject({ included: 3, not_included: 1 });
    expect(text(operator, 'STATUS.txt')).toContain(
      `${AA.name}: not included: its language or project is not a safe folder name`,
    );
  });

  it('claims wrong bytes only of a file whose bytes were wrong', async () => {
    const operator = setup({
      specs: [
        AA,
        GONE,
        { ...GONE, name: 'aawiki-20261120-a.gz', ourStatus: 'pending' },
        { ...GONE, name: 'aawiki-20261120-b.gz', ourStatus: 'quarantined' },
      ],
    });
    await operator.make();
    const missing = 'not settled, or could not be fetched, before the cycle ended';
    expect(text(operator, 'STATUS.txt')).toContain(`missing          aawiki ${GONE.name}: ${missing}`);
    expect(text(operator, 'STATUS.txt')).toContain(
      `missing          aawiki aawiki-20261120-a.gz: ${missing}`,
    );
    expect(text(operator, 'STATUS.txt')).toContain(
      'quarantined      aawiki aawiki-20261120-b.gz: it was fetched, but its bytes never matched what Wikimedia published',
    );
  });

  it('stops hashing when its signal aborts', async () => {
    const operator = setup();
    const stop = new AbortController();
    stop.abort();
    await expect(operator.make({}, stop.signal)).rejects.toSatisfy((error) =>
      ['Interrupted', 'AbortError'].includes((error as Error).name),
    );
  });

  it('leaves a recorded torrent alone when its files would be others now', async () => {
    const operator = setup();
    const first = await operator.make();
    operator.handler.record?.({ cycleDate: CYCLE, variant: 'regular' }, first);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
    operator.rows.pop();
    await expect(operator.make()).rejects.toMatchObject({ name: 'PermanentError', code: 'torrent_is_final' });
    expect(tree(operator.root)).toContain(`compressed/aa/wikipedia/${EXPORT.name}`);
  });

  it('never removes a folder that holds the last copy of a file', async () => {
    const operator = setup();
    await operator.make();
    unlinkSync(operator.layout.absolute(operator.rows[0]!.localPath!));
    operator.rows.shift();
    await expect(operator.make()).rejects.toMatchObject({ code: 'torrent_folder_in_the_way' });
    expect(readFileSync(join(operator.root, 'compressed/aa/wikipedia', AA.name))).toEqual(bytesOf(AA));
  });
});

describe('create_torrent', () => {
  it('gives the infohash that create-torrent gives over the same tree', async () => {
    const operator = setup();
    const output = await operator.make();
    const { inner, files, info } = readTorrent(operator);
    expect(createHash('sha1').update(info).digest('hex')).toBe(output.infoHash);
    const { default: theirs } = (await import('create-torrent' as string)) as {
      default: (
        input: unknown[],
        options: object,
        done: (error: Error | null, bytes: Uint8Array) => void,
      ) => void;
    };
    const input = files.map((file) =>
      Object.assign(createReadStream(join(operator.root, file.path)), { fullPath: file.path }),
    );
    const bytes = await new Promise<Uint8Array>((resolve, reject) =>
      theirs(
        input,
        { name: output.name, pieceLength: output.pieceLength, filterJunkFiles: false },
        (error, made) => (error ? reject(error) : resolve(made)),
      ),
    );
    expect(
      createHash('sha1')
        .update(readBencode(Buffer.from(bytes)).info)
        .digest('hex'),
    ).toBe(output.infoHash);
    expect([...inner.keys()]).toEqual(['files', 'name', 'piece length', 'pieces']);
  });

  it('lists exactly the files of the folder, in byte order, with true piece hashes', async () => {
    const operator = setup();
    const output = await operator.make();
    const { inner, files } = readTorrent(operator);
    const paths = files.map((file) => file.path);
    expect(paths).toEqual([...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect([...paths].sort()).toEqual(tree(operator.root).sort());
    const all = Buffer.concat(files.map((file) => readFileSync(join(operator.root, file.path))));
    expect(all.length).toBe(output.totalSizeBytes);
    const pieces: Buffer[] = [];
    for (let at = 0; at < all.length; at += output.pieceLength) {
      pieces.push(
        createHash('sha1')
          .update(all.subarray(at, at + output.pieceLength))
          .digest(),
      );
    }
    expect(inner.get('pieces')).toEqual(Buffer.concat(pieces));
    expect(output).toMatchObject({
      pieceCount: pieces.length,
      pieceLength: 256 * 1024,
      fileCount: files.length,
      isHistory: false,
      grouping: 'cycle',
    });
    expect(operator.progress.at(-1)).toMatchObject({ doneBytes: all.length, totalBytes: all.length });
  });

  it('gives two operators the same bytes and the same infohash', async () => {
    const one = setup();
    const other = setup({
      specs: [...ALL].reverse(),
      baseUrl: 'http://127.0.0.1:9999',
      publicBaseUrl: 'https://seed.example.org',
      version: '9.9.9',
    });
    other.runs.reverse();
    other.rows.find((row) => row.filename === NEWS.name)!.ourStatus = 'uploaded';
    other.rows.find((row) => row.filename === GONE.name)!.ourStatus = 'pending';
    const [a, b] = [await one.make(), await other.make()];
    expect(tree(other.root)).toEqual(tree(one.root));
    for (const path of tree(one.root)) {
      expect(readFileSync(join(other.root, path)).equals(readFileSync(join(one.root, path))), path).toBe(
        true,
      );
    }
    expect(b.infoHash).toBe(a.infoHash);
    const payload = tree(other.root)
      .filter((path) => !path.startsWith('compressed/'))
      .map((path) => text(other, path))
      .join('\n');
    for (const secret of ['127.0.0.1', 'seed.example.org', '9.9.9', other.dataDir])
      expect(payload).not.toContain(secret);
  });

  it('makes another infohash when one byte of a dump differs', async () => {
    const one = setup();
    const other = setup({ specs: [{ ...AA, sizeBytes: AA.sizeBytes + 1 }, ...ALL.slice(1)] });
    expect((await other.make()).infoHash).not.toBe((await one.make()).infoHash);
  });

  it('links the stored copy instead of copying it, and protects the added files', async () => {
    const operator = setup();
    await operator.make();
    for (const row of operator.rows.filter((dump) => dump.localPath !== null && !dump.isHistory)) {
      const inTorrent = statSync(join(operator.root, 'compressed', row.language, row.project, row.filename));
      expect(inTorrent.ino).toBe(statSync(operator.layout.absolute(row.localPath!)).ino);
    }
    expect(statSync(join(operator.root, 'README.txt')).mode & 0o777).toBe(0o444);
  });

  it('parts history from the rest, and gives types of both lists to both torrents', async () => {
    const operator = setup();
    const history = await operator.make({ variant: 'history' });
    expect(history.files.map((file) => file.pathInTorrent)).toEqual([
      `compressed/aa/wikipedia/${HISTORY.name}`,
      `compressed/en/wikinews/${NEWS.name}`,
    ]);
    expect(history).toMatchObject({ isHistory: true, name: `wikimedia-dumps-history-${CYCLE}` });
    const regular = await operator.make();
    const paths = regular.files.map((file) => file.pathInTorrent);
    expect(paths).toContain(`compressed/en/wikinews/${NEWS.name}`);
    expect(paths).not.toContain(`compressed/aa/wikipedia/${HISTORY.name}`);
  });

  it('writes trackers in tiers, the own webseed as a root, and the date of the cycle', async () => {
    const operator = setup({ publicBaseUrl: 'https://seed.example.org/' });
    const output = await operator.make();
    const { outer } = readTorrent(operator);
    expect(String(outer.get('announce'))).toBe('udp://tracker.example.org:1337/announce');
    expect((outer.get('announce-list') as Buffer[][]).map((tier) => tier.map(String))).toEqual([
      ['udp://tracker.example.org:1337/announce'],
      ['http://second.example.org/announce?a=1&b=2'],
    ]);
    expect((outer.get('url-list') as Buffer[]).map(String)).toEqual(['https://seed.example.org/webseed/']);
    expect(outer.get('creation date')).toBe(Date.UTC(2026, 10, 20) / 1000);
    expect(String(outer.get('created by'))).toBe('WikiSeed 0.1.0');
    const magnet = new URL(output.magnetLink);
    expect(magnet.searchParams.get('xt')).toBe(`urn:btih:${output.infoHash}`);
    expect(magnet.searchParams.getAll('tr')).toEqual(output.trackers);
    expect(magnet.searchParams.getAll('ws')).toEqual(['https://seed.example.org/webseed/']);
    expect(magnet.searchParams.get('xl')).toBe(String(output.totalSizeBytes));
    expect(readTorrent(await makeWith({ publicBaseUrl: null })).outer.has('url-list')).toBe(false);
  });

  it('keeps the large list of files out of the stored result', async () => {
    const operator = setup();
    const output = await operator.make();
    expect(createTorrent.output.parse(output)).toEqual(output);
    expect(operator.handler.summarize?.(output)).toMatchObject({
      infoHash: output.infoHash,
      dumpFileCount: 4,
    });
    expect(operator.handler.summarize?.(output)).not.toHaveProperty('files');
    expect(createTorrent.request({ cycleDate: CYCLE, variant: 'history' })).toMatchObject({
      uniqueKey: `create_torrent:${CYCLE}:history`,
      cycleDate: CYCLE,
    });
  });
});

async function makeWith(options: Options): Promise<Operator & { output: CreateTorrentOutput }> {
  const operator = setup(options);
  return { ...operator, output: await operator.make() };
}

describe('after a crash at any point', () => {
  it('ends with the same torrent, whichever disk call was the last one', async () => {
    // Goal: no half-built folder survives. Method: the n-th changing disk call throws, then the job runs again untouched.
    const expected = (await setup().make()).infoHash;
    let fired = 0;
    for (let n = 1; n < 200; n += n < 6 ? 1 : 7) {
      let left = n;
      const failing = (disk: Disk): Disk => {
        const count =
          <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
          async (...args: A): Promise<R> => {
            left -= 1;
            if (left === 0) {
              fired += 1;
              throw new Error(`crash at change ${n}`);
            }
            return call(...args);
          };
        return {
          ...disk,
          makeDirectory: count(disk.makeDirectory),
          link: count(disk.link),
          rename: count(disk.rename),
          chmod: count(disk.chmod),
          removeTree: count(disk.removeTree),
          syncDirectory: count(disk.syncDirectory),
        };
      };
      const operator = setup({ disk: failing });
      const crashed = await operator.make().then(
        () => false,
        () => true,
      );
      expect((await operator.make()).infoHash).toBe(expected);
      expect(readdirSync(operator.layout.torrents).sort()).toEqual([
        `wikimedia-dumps-${CYCLE}`,
        `wikimedia-dumps-${CYCLE}.torrent`,
      ]);
      if (!crashed) break;
    }
    expect(fired).toBeGreaterThan(8);
  });

  it('keeps a folder that is right and replaces one that is not', async () => {
    const operator = setup();
    await operator.make();
    const before = statSync(join(operator.root, 'README.txt')).ino;
    await operator.make();
    expect(statSync(join(operator.root, 'README.txt')).ino).toBe(before);
    unlinkSync(join(operator.root, 'README.txt'));
    writeFileSync(join(operator.root, 'stray.txt'), 'x');
    await operator.make();
    expect(tree(operator.root)).not.toContain('stray.txt');
    expect(tree(operator.root)).toContain('README.txt');
  });
});

describe('the added files', () => {
  it.each([
    ['sha1sum', 'checksums.txt', []],
    ['md5sum', 'checksums.txt', []],
    ['sha256sum', 'checksums.txt', []],
    ['sha256sum', 'HASH.txt', []],
    ['sha1sum', 'HASH.txt', []],
    ['md5sum', 'HASH.txt', []],
    ['shasum', 'HASH.txt', ['-a', '256']],
  ])('satisfy %s -c %s', async (program, list, args) => {
    if (!has(program)) return;
    const operator = await makeWith({});
    const out = execFileSync(program, [...args, '-c', list], {
      cwd: operator.root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    for (const spec of [AA, NEWS, EMPTY, EXPORT])
      expect(out).toMatch(new RegExp(`${spec.name.replaceAll('.', '\\.')}: OK`));
    expect(out).not.toContain('FAILED');
    // A control: the same list must notice a changed file.
    const victim = join(operator.root, 'compressed/aa/wikipedia', AA.name);
    const bytes = readFileSync(victim);
    bytes[17] = bytes[17]! ^ 1;
    writeFileSync(victim, bytes);
    expect(spawnSync(program, [...args, '-c', list], { cwd: operator.root }).status).not.toBe(0);
  });

  it('has the checksum list of the seed document', async () => {
    const operator = await makeWith({ specs: [EMPTY] });
    const path = `compressed/aa/wikipedia/${EMPTY.name}`;
    expect(text(operator, 'checksums.txt')).toBe(`# WikiSeed Torrent Dump Checksums - 20 November 2026
# https://wikiseed.app
# Generated: 2026-11-20 00:00 UTC (the date of the dump cycle)
# WikiSeed version: 1.0 (of these files; see VERSION.txt)
# WikiSeed GitHub: https://github.com/WikiSeedProject/WikiSeed
# Check: sha1sum -c checksums.txt (or md5sum, sha256sum); each reads the lines of its own kind.

SHA1(${path})= da39a3ee5e6b4b0d3255bfef95601890afd80709
MD5(${path})= d41d8cd98f00b204e9800998ecf8427e
SHA256(${path})= e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
`);
    expect(text(operator, 'sources.txt')).toContain(`
Project: wikipedia
Language: aa
Wiki: aawiki
Source: https://dumps.wikimedia.org/aawiki/20261120/
Archive Source Page: none recorded
Status JSON: https://dumps.wikimedia.org/aawiki/20261120/dumpstatus.json
Archived Status JSON: none recorded
`);
  });

  it('say of every expected file whether it is inside, and why not', async () => {
    const operator = await makeWith({});
    const status = JSON.parse(text(operator, 'STATUS.json'));
    expect(status.summary).toEqual({
      included: 4,
      not_included: 0,
      failed_upstream: 1,
      missing: 1,
      quarantined: 0,
      not_offered: 1,
    });
    const states = Object.fromEntries(
      status.files.map((file: { filename: string; state: string }) => [file.filename, file.state]),
    );
    expect(states).toEqual({
      [AA.name]: 'included',
      [NEWS.name]: 'included',
      [EMPTY.name]: 'included',
      [EXPORT.name]: 'included',
      [GONE.name]: 'missing',
      [BROKEN_UPSTREAM.name]: 'failed_upstream',
    });
    expect(status.notOffered).toMatchObject([
      { wiki: 'aawiki', dumpType: 'all-titles', reason: 'not offered by /aawiki/20261120/' },
    ]);
    expect(text(operator, 'STATUS.txt')).toContain('absent           zzwiki 20261120 (classic)');
  });

  it('name the canonical place at Wikimedia, also of content exports', async () => {
    const operator = await makeWith({ baseUrl: 'http://127.0.0.1:1' });
    const { files } = JSON.parse(text(operator, 'HASH.json'));
    const addresses = Object.fromEntries(
      files.map((file: { filename: string; upstreamUrl: string }) => [file.filename, file.upstreamUrl]),
    );
    expect(addresses[AA.name]).toBe(`https://dumps.wikimedia.org/aawiki/20261120/${AA.name}`);
    expect(addresses[EXPORT.name]).toBe(
      `https://dumps.wikimedia.org/other/mediawiki_content_current/aawiki/2026-11-01/xml/bzip2/${EXPORT.name}`,
    );
  });

  it('give the licence of each project inside', async () => {
    const operator = await makeWith({});
    expect(text(operator, 'LICENSE.txt')).toMatch(/wikinews\n {2}Creative Commons Attribution 2\.5/);
    expect(text(operator, 'LICENSE.txt')).toMatch(
      /wikipedia\n {2}Creative Commons Attribution-ShareAlike 4\.0/,
    );
    expect(text(operator, 'README.txt')).toContain('20 November 2026; here are 4 files from 2 wikis');
    expect(text(operator, 'ARCHIVE_URLS.txt')).toContain('No archived copies');
    expect(JSON.parse(text(operator, 'ARCHIVE_URLS.json')).pages).toEqual([]);
  });
});
