import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type R2,
  type R2Options,
  type Sandbox,
  startR2,
  startSandbox,
  startTracker,
} from '../../src/sandbox/index.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});
function freshFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'wikiseed-sandbox-'));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe('r2', () => {
  async function setup(more: Partial<R2Options> = {}): Promise<{ r2: R2; client: S3Client; dir: string }> {
    const dir = more.dir ?? freshFolder();
    const r2 = await startR2({ writeIntervalMs: 0, ...more, dir });
    const client = clientOf(r2, r2.secretAccessKey);
    cleanups.push(
      () => r2.stop(),
      () => client.destroy(),
    );
    return { r2, client, dir };
  }
  const clientOf = (r2: R2, secretAccessKey: string, accessKeyId = r2.accessKeyId): S3Client =>
    new S3Client({
      region: 'auto',
      endpoint: r2.endpoint,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts: 1,
    });
  const md5 = (text: string, form: 'hex' | 'base64'): string => createHash('md5').update(text).digest(form);
  const place = (r2: R2, Key: string) => ({ Bucket: r2.bucket, Key });

  test('stores, describes, reads, lists and deletes objects with the real SDK', async () => {
    const { r2, client } = await setup();
    const key = 'torrents/ünï code+1.torrent';
    const put = await client.send(
      new PutObjectCommand({
        ...place(r2, key),
        Body: 'torrent',
        ContentMD5: md5('torrent', 'base64'),
        ContentType: 'application/x-bittorrent',
        CacheControl: 'public, max-age=31536000, immutable',
        Metadata: { sha256: 'abc' },
      }),
    );
    expect(put.ETag).toBe(`"${md5('torrent', 'hex')}"`);
    const head = await client.send(new HeadObjectCommand(place(r2, key)));
    expect(head).toMatchObject({
      ContentLength: 7,
      ContentType: 'application/x-bittorrent',
      CacheControl: 'public, max-age=31536000, immutable',
      Metadata: { sha256: 'abc' },
      ETag: put.ETag,
    });
    const part = await client.send(new GetObjectCommand({ ...place(r2, key), Range: 'bytes=1-3' }));
    expect(await part.Body?.transformToString()).toBe('orr');
    expect(await (await fetch(`${r2.publicBaseUrl}/${encodeURIComponent(key)}`)).text()).toBe('torrent');
    await client.send(new PutObjectCommand({ ...place(r2, 'manifest.json'), Body: '{}' }));
    const list = await client.send(new ListObjectsV2Command({ Bucket: r2.bucket, MaxKeys: 1 }));
    expect([list.KeyCount, list.IsTruncated, list.Contents?.[0]?.Key]).toEqual([1, true, 'manifest.json']);
    const rest = await client.send(
      new ListObjectsV2Command({
        Bucket: r2.bucket,
        ContinuationToken: list.NextContinuationToken,
        Prefix: 'torrents/',
      }),
    );
    expect(rest.Contents?.[0]?.Key).toBe(key);
    await client.send(new DeleteObjectCommand(place(r2, key)));
    await expect(client.send(new HeadObjectCommand(place(r2, key)))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
    expect(r2.counters()).toEqual({ puts: 2, objects: 1 });
  });

  test('refuses wrong digests, keys, signatures and buckets', async () => {
    const { r2, client } = await setup();
    const body = { Body: 'x' };
    await expect(
      client.send(new PutObjectCommand({ ...place(r2, 'a'), ...body, ContentMD5: md5('y', 'base64') })),
    ).rejects.toMatchObject({ name: 'BadDigest' });
    await expect(client.send(new GetObjectCommand(place(r2, 'absent')))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
    await expect(
      client.send(new PutObjectCommand({ Bucket: 'other', Key: 'a', ...body })),
    ).rejects.toMatchObject({ name: 'NoSuchBucket' });
    await expect(
      client.send(new PutObjectCommand({ ...place(r2, 'a'), ...body, ChecksumAlgorithm: 'CRC32' })),
    ).rejects.toMatchObject({ name: 'NotImplemented' });
    const wrongSecret = clientOf(r2, 'wrong');
    await expect(
      wrongSecret.send(new PutObjectCommand({ ...place(r2, 'a'), ...body })),
    ).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    const wrongId = clientOf(r2, 'wrong', 'nobody');
    await expect(wrongId.send(new PutObjectCommand({ ...place(r2, 'a'), ...body }))).rejects.toMatchObject({
      name: 'InvalidAccessKeyId',
    });
    wrongSecret.destroy();
    wrongId.destroy();
    expect(r2.counters()).toEqual({ puts: 0, objects: 0 });
  });

  test('answers 429 to a second write of a key within the interval, and faults as scripted', async () => {
    const { r2, client } = await setup({ writeIntervalMs: 60_000 });
    const put = (Key: string) => client.send(new PutObjectCommand({ ...place(r2, Key), Body: 'x' }));
    await put('a');
    await expect(put('a')).rejects.toMatchObject({ $metadata: { httpStatusCode: 429 } });
    await put('b');
    const busy = r2.faults.add({
      server: 'r2',
      match: /^PUT .*\/c/,
      kind: 'status',
      status: 503,
      retryAfter: 1,
    });
    await expect(put('c')).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    await put('c');
    expect(busy.fired).toBe(1);
  });

  test('keeps objects over a restart', async () => {
    const first = await setup();
    await first.client.send(
      new PutObjectCommand({ ...place(first.r2, 'k'), Body: 'kept', ContentType: 'text/plain' }),
    );
    await first.r2.stop();
    const second = await setup({ dir: first.dir });
    const read = await second.client.send(new GetObjectCommand(place(second.r2, 'k')));
    expect([await read.Body?.transformToString(), read.ContentType]).toEqual(['kept', 'text/plain']);
  });
});

test('tracker answers an announce and tells the second peer of the first', async () => {
  const tracker = await startTracker();
  cleanups.push(() => tracker.stop());
  const announce = async (port: number): Promise<Buffer> => {
    const query = `info_hash=${'%aa'.repeat(20)}&peer_id=-XX0001-00000000${port}&port=${port}&uploaded=0&downloaded=0&left=0&compact=1&event=started`;
    return Buffer.from(await (await fetch(`${tracker.announceUrl}?${query}`)).arrayBuffer());
  };
  expect((await announce(6881)).toString('latin1')).toContain('8:intervali');
  const peer = Buffer.from([127, 0, 0, 1, 6881 >> 8, 6881 & 0xff]);
  expect((await announce(6882)).includes(peer)).toBe(true);
  expect(tracker.counters().announces).toBe(2);
});

describe('sandbox', { timeout: 60_000 }, () => {
  const options = { wikis: 2, sizeBytes: 100_000, runDates: ['20260101'], taskDelayMs: 0 };
  const start = async (dir: string): Promise<Sandbox> => {
    const sandbox = await startSandbox({ ...options, dir });
    cleanups.push(() => sandbox.stop());
    return sandbox;
  };

  test('starts everything, keeps its ports and its state over a restart', async () => {
    const dir = freshFolder();
    const first = await start(dir);
    const headers = { 'User-Agent': 'WikiSeed/0.1 (test)' };
    const listing = await fetch(`${first.dumpsBaseUrl}/enwiki/`, { headers });
    expect(await listing.text()).toContain('20260101/');
    const { access, secret } = first.iaKeys;
    const authorization = { Authorization: `LOW ${access}:${secret}`, 'x-archive-auto-make-bucket': '1' };
    await fetch(`${first.iaS3Endpoint}/item-one/f`, { method: 'PUT', body: 'x', headers: authorization });
    expect(first.counters()).toMatchObject({
      archive: { puts: 1, files: 1 },
      dumps: { requests: 1 },
      r2: { objects: 0 },
    });
    await first.stop();
    await first.stop();
    await expect(fetch(first.dumpsBaseUrl, { headers })).rejects.toThrow();
    const second = await start(dir);
    expect(second.ports).toEqual(first.ports);
    expect(JSON.parse(readFileSync(join(dir, 'ports.json'), 'utf8'))).toEqual(first.ports);
    expect(second.counters().archive).toMatchObject({ puts: 0, files: 1 });
    expect((await fetch(second.sitematrixUrl, { headers })).status).toBe(200);
  });

  test('takes another port when the saved one is in use', async () => {
    const dir = freshFolder();
    const first = await start(dir);
    await first.stop();
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(first.ports.dumps, '127.0.0.1', resolve));
    cleanups.push(() => new Promise<void>((resolve) => squatter.close(() => resolve())));
    const second = await start(dir);
    expect(second.ports.dumps).not.toBe(first.ports.dumps);
    expect(second.ports.archive).toBe(first.ports.archive);
    expect(existsSync(join(dir, 'dumps', 'enwiki'))).toBe(true);
  });

  test('leaves nothing behind that keeps a process alive', () => {
    const script = `
      const { startSandbox } = await import(process.argv[1]);
      const sandbox = await startSandbox({ ...${JSON.stringify(options)}, dir: process.argv[2] });
      await fetch(sandbox.iaSiteUrl + '/metadata/x');
      await sandbox.stop();
      console.log('stopped');`;
    const module = new URL('../../src/sandbox/index.ts', import.meta.url).href;
    const args = ['--input-type=module', '-e', script, module, freshFolder()];
    expect(execFileSync(process.execPath, args, { timeout: 50_000 }).toString()).toBe('stopped\n');
  });

  test('stops at once while responses are held', async () => {
    const sandbox = await start(freshFolder());
    const stall = sandbox.faults.add({ server: 'dumps', match: '/legal.html', kind: 'stall', atByte: 5 });
    const held = await fetch(`${sandbox.dumpsBaseUrl}/legal.html`, {
      headers: { 'User-Agent': 'WikiSeed/0.1 (test)' },
    });
    await stall.whenFired();
    await sandbox.stop();
    await expect(held.text()).rejects.toThrow();
  });
});
