import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formatBytes } from '../../src/lib/index.ts';
import { createS3ObjectStore, Manifest, publishManifest } from '../../src/publishing/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { CYCLE, hash, publishingBundle as setup } from '../helpers/publishing-bundle.ts';

/**
 * Goal: readers find a manifest that names only what they can fetch, and publishing the same again writes nothing.
 * Method: the real catalog, the sandbox's object store over loopback behind the real S3 client, a clock that stands still.
 */

test('publishes torrents and manifests, objects before the manifests that name them', async () => {
  const { catalog, r2, publish, addTorrent, local, calls, shares, clock } = await setup();
  const torrent = addTorrent('wikimedia-dumps-2026-11-20');
  catalog.advanceCycle(CYCLE, 'seeding');
  await publish();

  const puts = calls.filter((call) => call.startsWith('put'));
  expect(puts).toEqual([
    `put torrents/${torrent.infoHash}.torrent public, max-age=86400`,
    `put manifests/${CYCLE}.json public, max-age=300`,
    'put manifest.txt public, max-age=300',
    'put manifest.json public, max-age=300',
  ]);
  // Every object was looked at before and after it was written.
  expect(calls.filter((call) => call === 'head manifest.json')).toHaveLength(2);

  const url = `${r2?.publicBaseUrl}/torrents/${torrent.infoHash}.torrent`;
  const manifest = Manifest.parse(JSON.parse(local('manifest.json')));
  expect(manifest).toMatchObject({
    version: '1.0',
    last_updated: '2026-11-21T00:00:00.000Z',
    torrents: [
      {
        name: 'wikimedia-dumps-2026-11-20',
        infohash: torrent.infoHash,
        url,
        cycle_date: CYCLE,
        size_bytes: 100,
      },
    ],
  });
  expect(manifest.torrents[0]?.files.map((file) => file.path_in_torrent)).toEqual([
    'compressed/aa/wikipedia/aawiki-20261120-all-titles.gz',
    'compressed/aa/wikipedia/aawiki-20261120-page.sql.gz',
  ]);
  expect(manifest.torrents[0]?.files[1]).toEqual({
    project: 'wikipedia',
    language: 'aa',
    dump_type: 'page',
    filename: 'aawiki-20261120-page.sql.gz',
    path_in_torrent: 'compressed/aa/wikipedia/aawiki-20261120-page.sql.gz',
    size_bytes: 27,
    md5: hash('md5', 'aawiki-20261120-page.sql.gz'),
    sha1: hash('sha1', 'aawiki-20261120-page.sql.gz'),
    sha256: hash('sha256', 'aawiki-20261120-page.sql.gz'),
    wikimedia_url: 'https://dumps.wikimedia.org/aawiki/20261120/aawiki-20261120-page.sql.gz',
    ia_url: null,
  });
  expect(local('manifest.txt')).toContain(`magnet:?xt=urn:btih:${torrent.infoHash}`);
  expect(local(`manifests/${CYCLE}.json`)).toBe(local('manifest.json'));
  expect(local(`torrents/${torrent.infoHash}.torrent`)).toBe('torrent wikimedia-dumps-2026-11-20');

  const fetched = await fetch(url);
  expect(await fetched.text()).toBe('torrent wikimedia-dumps-2026-11-20');
  expect(fetched.headers.get('content-type')).toBe('application/x-bittorrent');
  expect(await (await fetch(`${r2?.publicBaseUrl}/manifest.json`)).text()).toBe(local('manifest.json'));

  expect(shares()).toMatchObject([
    { subject: torrent.infoHash, platform: 'local', status: 'active', uploaded_at: clock.now() },
    { subject: torrent.infoHash, platform: 'r2', status: 'active', platform_url: url },
    { subject: 'manifest', platform: 'local', platform_url: 'https://seed.example.org/manifest.json' },
    { subject: 'manifest', platform: 'r2', content_sha256: hash('sha256', local('manifest.json')) },
  ]);
  expect(catalog.torrent(torrent.id)).toMatchObject({ publishedAt: clock.now(), torrentUrl: url });
  expect(catalog.cycle(CYCLE)?.status).toBe('published');
});

test('publishing the same again writes nothing, whatever the clock says', async () => {
  const { catalog, publish, addTorrent, calls, clock, r2, shares } = await setup();
  addTorrent('a');
  catalog.advanceCycle(CYCLE, 'seeding');
  await publish();
  const before = shares();
  calls.length = 0;
  await clock.advance(86_400_000);
  expect(await publish()).toMatchObject({ writtenLocal: [], writtenRemote: [] });
  expect(calls.filter((call) => call.startsWith('put'))).toEqual([]);
  expect(r2?.counters().puts).toBe(4);
  expect(shares().map((row) => row.uploaded_at)).toEqual(before.map((row) => row.uploaded_at));
});

test('an upload that was verified later changes every manifest that names the file', async () => {
  const { catalog, publish, addTorrent, clock, files, local } = await setup();
  addTorrent('a');
  await publish();
  await clock.advance(3_600_000);
  catalog.markUploading(files[0]!.id);
  catalog.recordUploaded(files[0]!.id, { iaIdentifier: 'x', iaUrl: 'https://archive.org/download/x/y' });
  const { writtenLocal, writtenRemote } = await publish();
  expect(writtenLocal).toEqual([`manifests/${CYCLE}.json`, 'manifest.txt', 'manifest.json']);
  expect(writtenRemote).toEqual(writtenLocal);
  expect(JSON.parse(local('manifest.json'))).toMatchObject({ last_updated: '2026-11-21T01:00:00.000Z' });
  expect(local('manifest.json')).toContain('https://archive.org/download/x/y');
  expect(local(`manifests/${CYCLE}.json`)).toBe(local('manifest.json'));
});

test('says so when the catalog learnt something while it published', async () => {
  const { publish, addTorrent, catalog, files } = await setup({ r2: null });
  addTorrent('a');
  expect((await publish(() => void addTorrent('b'))).isCurrent).toBe(false);
  expect((await publish()).isCurrent).toBe(true);
  const isUploaded = (): void => {
    catalog.markUploading(files[0]!.id);
    catalog.recordUploaded(files[0]!.id, { iaIdentifier: 'x', iaUrl: 'https://archive.org/download/x/y' });
  };
  expect((await publish(isUploaded)).isCurrent).toBe(false);
  expect((await publish()).isCurrent).toBe(true);
});

test('is one job, whoever asks, and keeps counts only', async () => {
  const { publish, addTorrent } = await setup({ r2: null });
  expect(publishManifest.request({})).toMatchObject({ uniqueKey: 'publish_manifest:all', cycleDate: null });
  addTorrent('a');
  expect((await publish()).summary).toEqual({
    manifestSha256: expect.any(String),
    torrentCount: 1,
    leftOutCount: 0,
    writtenLocalCount: 4,
    writtenRemoteCount: 0,
  });
});

test('without an object store the local part alone counts', async () => {
  const { catalog, publish, addTorrent, local, shares } = await setup({ r2: null });
  const { infoHash } = addTorrent('a');
  catalog.advanceCycle(CYCLE, 'seeding');
  await publish();
  expect(JSON.parse(local('manifest.json'))).toMatchObject({
    torrents: [{ url: `https://seed.example.org/torrents/${infoHash}.torrent` }],
  });
  expect(shares().map((row) => row.platform)).toEqual(['local', 'local']);
  expect(catalog.cycle(CYCLE)?.status).toBe('published');
});

test('leaves out a torrent whose file is gone, and does not call its cycle published', async () => {
  const { catalog, publish, addTorrent, local, clock } = await setup();
  const kept = addTorrent('a');
  const lost = addTorrent('b');
  catalog.advanceCycle(CYCLE, 'seeding');
  rmSync(lost.path);
  // Asking again would find the same: what is left out does not make it outdated.
  expect((await publish()).isCurrent).toBe(true);
  expect(JSON.parse(local('manifest.json')).torrents).toMatchObject([{ infohash: kept.infoHash }]);
  expect(catalog.torrent(lost.id)?.publishedAt).toBeNull();
  expect(catalog.cycle(CYCLE)?.status).toBe('seeding');
  writeFileSync(lost.path, 'torrent b');
  // One write a second for each key is all the store takes.
  await clock.advance(1_100);
  await publish();
  expect(catalog.cycle(CYCLE)?.status).toBe('published');
});

test.each([
  ['wrong keys', { secretAccessKey: 'wrong-secret' }, 'bad_credentials'],
  ['a missing bucket', { bucket: 'nowhere' }, 'no_such_bucket'],
])('%s halt publishing, tell no secrets, and leave the local part done', async (_name, options, code) => {
  const { publish, addTorrent, layout, catalog, shares } = await setup(options);
  addTorrent('a');
  catalog.advanceCycle(CYCLE, 'seeding');
  const error = await publish().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'HaltPipelineError', code, hint: expect.any(String) });
  expect(String(error)).not.toContain('wrong-secret');
  expect(existsSync(join(layout.publish, 'manifest.json'))).toBe(true);
  expect(shares()).toEqual([]);
  expect(catalog.cycle(CYCLE)?.status).toBe('seeding');
});

test('too many writes of one key are retried by the queue, not lost', async () => {
  const { publish, addTorrent, clock, r2 } = await setup({ r2: { writeIntervalMs: 3_600_000 } });
  addTorrent('a');
  await publish();
  addTorrent('b');
  await clock.advance(10_000);
  const error = await publish().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'UnavailableError', code: 'http_status' });
  expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(1_100);
  expect(r2?.counters().objects).toBe(5);
});

test('an object store that lost what it took is noticed', async () => {
  const { publish, addTorrent, r2 } = await setup();
  addTorrent('a');
  r2?.faults.add({ server: 'r2', match: /^HEAD .*torrent$/, kind: 'vanish' });
  await expect(publish()).rejects.toMatchObject({ name: 'RetryableError', code: 'object_not_verified' });
});

test('the manifest is valid when empty, and sorted by name', async () => {
  const { publish, addTorrent, local } = await setup({ r2: null });
  await publish();
  expect(Manifest.parse(JSON.parse(local('manifest.json')))).toEqual({
    version: '1.0',
    last_updated: '1970-01-01T00:00:00.000Z',
    torrents: [],
  });
  addTorrent('b');
  addTorrent('a');
  await publish();
  const { torrents } = Manifest.parse(JSON.parse(local('manifest.json')));
  expect(torrents.map((torrent) => torrent.name)).toEqual(['a', 'b']);
});

async function silentStore(timeouts?: { connectMs: number; inactivityMs: number }) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return createS3ObjectStore({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket: 'b',
    region: 'auto',
    accessKeyId: 'k',
    secretAccessKey: 's',
    clock: new FakeClock(),
    ...(timeouts === undefined ? {} : { timeouts }),
  });
}
const FACTS = { contentType: 'text/plain', cacheControl: 'no-store', sha256: '' };

test('gives up on a store that takes the connection and never answers', async () => {
  const store = await silentStore({ connectMs: 1000, inactivityMs: 100 });
  const expected = { name: 'UnavailableError', code: 'network' };
  await expect(store.head('a')).rejects.toMatchObject(expected);
  await expect(store.put('a', new Uint8Array(3), FACTS)).rejects.toMatchObject(expected);
}, 10_000);

test.each(['head', 'get', 'put'] as const)('ends %s at once when the signal aborts', async (method) => {
  const store = await silentStore();
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  const work =
    method === 'put'
      ? store.put('a', new Uint8Array(3), FACTS, stop.signal)
      : store[method]('a', stop.signal);
  await expect(work).rejects.toMatchObject({ name: 'Interrupted' });
});

test('names which torrent a supplement belongs to, for programs and for people', async () => {
  const { publish, addTorrent, local } = await setup({ r2: null });
  addTorrent('wikimedia-dumps-2026-11-20');
  addTorrent('wikimedia-dumps-2026-11-20-supplement-2', 2);
  await publish();
  expect(Manifest.parse(JSON.parse(local('manifest.json'))).torrents).toMatchObject([
    { name: 'wikimedia-dumps-2026-11-20', supplement: 0, supplements: null },
    {
      name: 'wikimedia-dumps-2026-11-20-supplement-2',
      ...{ supplement: 2, supplements: 'wikimedia-dumps-2026-11-20' },
    },
  ]);
  expect(local('manifest.txt').match(/^ {2}adds to.*$/gm)).toEqual([
    '  adds to   wikimedia-dumps-2026-11-20: files that came later (supplement 2)',
  ]);
});

test('torrents of runs and of unpacked files say what they are, and their bytes are counted once', async () => {
  const { publish, addTorrent, local, files } = await setup({ r2: null });
  const cycle = addTorrent('wikimedia-dumps-2026-11-20');
  const run = addTorrent('aawiki-20261120', 0, {
    ...{ grouping: 'wiki_run', infoName: 'aawiki', scope: 'aawiki', source: 'classic', runDate: '20261120' },
    ...{ contentPath: 'dumps', totalSizeBytes: 57 },
    files: files.map(({ id, filename, sizeBytes }) => ({
      ...{ dumpId: id, pathInTorrent: `20261120/${filename}`, sizeBytes, verification: 'sha1' },
    })),
  });
  const [page] = files;
  addTorrent('wikimedia-dumps-uncompressed-2026-11-20-part-2', 0, {
    ...{ isUncompressed: true, part: 2 },
    files: [
      {
        ...{ dumpId: page!.id, pathInTorrent: 'uncompressed/aa/wikipedia/aawiki-20261120-page.sql' },
        ...{ sizeBytes: 5000, verification: 'sha1', md5: 'm', sha1: 's', sha256: 'h' },
      },
    ],
  });
  await publish();
  const manifest = Manifest.parse(JSON.parse(local('manifest.json')));
  expect(manifest.torrents).toMatchObject([
    {
      ...{ name: 'aawiki-20261120', grouping: 'wiki_run', scope: 'aawiki', folder: 'aawiki', part: 0 },
      files: [{ path_in_torrent: `20261120/${files[0]!.filename}` }, {}],
    },
    {
      ...{ name: 'wikimedia-dumps-2026-11-20', grouping: 'cycle', scope: null, is_uncompressed: false },
      folder: 'wikimedia-dumps-2026-11-20',
    },
    {
      ...{ part: 2, is_uncompressed: true },
      files: [
        {
          // Of the bytes that it carries; where they come from is told by the address.
          ...{ size_bytes: 5000, md5: 'm', sha1: 's', sha256: 'h', ia_url: null },
          ...{ filename: page!.filename, wikimedia_url: page!.wikimediaUrl },
        },
      ],
    },
  ]);
  const text = local('manifest.txt');
  const held = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(text).toContain(`3 torrents, ${formatBytes(held + 5000)};`);
  expect(text).toContain('  part      2: one torrent could not hold all files');
  // Whole cycles have a block each, all others a line.
  expect(text.match(/^ {2}infohash.*$/gm)).toHaveLength(2);
  expect(text).toContain('Wiki by wiki, laid out as at Wikimedia, cycle 2026-11-20: the same files again\n');
  expect(text).toContain(`\n  aawiki-20261120  2 files  57 B  ${run.infoHash}\n`);
  expect(text.indexOf(cycle.infoHash)).toBeLessThan(text.indexOf(run.infoHash));
});
