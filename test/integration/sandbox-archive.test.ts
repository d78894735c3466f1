import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type Archive,
  type ArchiveOptions,
  defaultArchiveKeys,
  startArchive,
} from '../../src/sandbox/index.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are checked field by field, which is what the tests are for.
type Json = any;

const LOW = { Authorization: `LOW ${defaultArchiveKeys.access}:${defaultArchiveKeys.secret}` };
const MAKE = { 'x-archive-auto-make-bucket': '1' };
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function setup(more: Partial<ArchiveOptions> = {}): Promise<Archive & { dir: string }> {
  const dir = more.dir ?? mkdtempSync(join(tmpdir(), 'wikiseed-archive-'));
  const archive = await startArchive({ taskDelayMs: 0, ...more, dir });
  cleanups.push(
    () => rmSync(dir, { recursive: true, force: true }),
    () => archive.stop(),
  );
  return { ...archive, dir };
}
const put = (archive: Archive, path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(`${archive.baseUrl}/${path}`, {
    method: 'PUT',
    body,
    headers: { ...LOW, ...headers },
  });
const read = async (archive: Archive, path: string, headers: Record<string, string> = LOW): Promise<Json> =>
  (await fetch(`${archive.baseUrl}${path}`, { headers })).json();
const md5 = (text: string, form: 'hex' | 'base64' = 'hex'): string =>
  createHash('md5').update(text).digest(form);

/** A request through node:http, which can expect 100-continue and break off. */
function raw(
  archive: Archive,
  headers: Record<string, string | number>,
  send: (req: ReturnType<typeof request>) => void,
) {
  return new Promise<{ status: number; isContinued: boolean; text: string }>((resolve, reject) => {
    let isContinued = false;
    const req = request(`${archive.baseUrl}/item-raw/file.bin`, {
      method: 'PUT',
      headers: { ...LOW, ...headers },
    });
    req.once('continue', () => {
      isContinued = true;
      req.end('body');
    });
    req.once('error', reject);
    req.once('response', async (res: IncomingMessage) => {
      let text = '';
      for await (const piece of res) text += String(piece);
      resolve({ status: res.statusCode ?? 0, isContinued, text });
    });
    send(req);
  });
}

describe('archive', () => {
  test('takes a file into a new item and shows it with its hashes and decoded metadata', async () => {
    const archive = await setup();
    const response = await put(archive, 'item-one/a/b%20c.txt', 'hello', {
      ...MAKE,
      'Content-MD5': md5('hello'),
      'x-archive-meta00-collection': 'test_collection',
      'x-archive-meta00-subject': 'dumps',
      'x-archive-meta01-subject': 'wiki',
      'x-archive-meta00-title': 'uri(Wikip%C3%A9dia%20%28fr%29)',
      'x-archive-meta00-dump--date': '20260101',
      'x-archive-filemeta00-sha256': 'abc',
    });
    expect(response.status).toBe(200);
    const item = await read(archive, '/metadata/item-one');
    expect(item.metadata).toMatchObject({
      identifier: 'item-one',
      mediatype: 'data',
      collection: 'test_collection',
      subject: ['dumps', 'wiki'],
      title: 'Wikipédia (fr)',
      dump_date: '20260101',
    });
    const sha1 = createHash('sha1').update('hello').digest('hex');
    expect(item.files[0]).toMatchObject({
      name: 'a/b c.txt',
      size: '5',
      md5: md5('hello'),
      sha1,
      source: 'original',
      crc32: '3610a686',
      sha256: 'abc',
    });
    expect(item.tasks).toBeUndefined();
    // Metadata is read at creation only.
    await put(archive, 'item-one/second', 'x', { ...MAKE, 'x-archive-meta00-title': 'Other' });
    expect((await read(archive, '/metadata/item-one/metadata/title')).result).toBe('Wikipédia (fr)');
    expect(archive.counters()).toEqual({ puts: 2, putBytes: 6, items: 1, files: 2 });
  });

  test('shows a file only after its task has run', async () => {
    const archive = await setup({ taskDelayMs: 3_600_000 });
    await put(archive, 'item-two/f', 'data', MAKE);
    const before = await read(archive, '/metadata/item-two');
    expect(before.files.map((f: { name: string }) => f.name)).not.toContain('f');
    expect(before.tasks).toHaveLength(1);
    const tasks = '/services/tasks.php?identifier=item-two&summary=1&history=0&catalog=0';
    expect((await read(archive, tasks)).value.summary.queued).toBe(1);
    expect((await fetch(`${archive.baseUrl}/download/item-two/f`)).status).toBe(404);
    await archive.runTasks();
    await archive.whenIdle();
    const after = await read(archive, '/metadata/item-two');
    expect(after.tasks).toBeUndefined();
    expect(after.files[0].name).toBe('f');
    expect((await read(archive, tasks)).value.summary).toEqual({
      queued: 0,
      running: 0,
      error: 0,
      paused: 0,
    });
  });

  test('downloads over a redirect, with ranges', async () => {
    const archive = await setup();
    await put(archive, 'item-dl/f.txt', '0123456789', MAKE);
    const url = `${archive.baseUrl}/download/item-dl/f.txt`;
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(302);
    const part = await fetch(url, { headers: { Range: 'bytes=2-4' } });
    expect([part.status, await part.text()]).toEqual([206, '234']);
  });

  test('refuses wrong keys, missing length, unknown buckets and wrong digests', async () => {
    const archive = await setup();
    const code = async (response: Response) => [
      response.status,
      /<Code>(\w+)</.exec(await response.text())?.[1],
    ];
    const wrong = (pair: string) =>
      fetch(`${archive.baseUrl}/item-x/f`, {
        method: 'PUT',
        body: 'x',
        headers: { Authorization: `LOW ${pair}` },
      });
    expect(await code(await wrong('nobody:x'))).toEqual([403, 'InvalidAccessKeyId']);
    expect(await code(await wrong(`${defaultArchiveKeys.access}:x`))).toEqual([403, 'SignatureDoesNotMatch']);
    expect(await code(await put(archive, 'item-x/f', 'x'))).toEqual([404, 'NoSuchBucket']);
    expect(await code(await put(archive, 'x/f', 'x', MAKE))).toEqual([400, 'InvalidBucketName']);
    expect(await code(await put(archive, 'item-x/f', 'x', { ...MAKE, 'Content-MD5': md5('y') }))).toEqual([
      400,
      'BadDigest',
    ]);
    expect((await put(archive, 'item-x/f', 'x', { ...MAKE, 'Content-MD5': md5('x', 'base64') })).status).toBe(
      200,
    );
    expect(await code(await put(archive, 'ITEM-X/f', 'x', MAKE))).toEqual([409, 'BucketAlreadyExists']);
    expect(
      await code(await put(archive, 'item-x/f', 'x', { 'x-archive-simulate-error': 'SlowDown' })),
    ).toEqual([503, 'SlowDown']);
    const chunked = await raw(archive, { ...MAKE, 'Transfer-Encoding': 'chunked' }, (req) => req.end('x'));
    expect(chunked.status).toBe(411);
  });

  test('answers 100-continue only when it wants the body', async () => {
    const archive = await setup();
    const expectHeaders = { Expect: '100-continue', 'Content-Length': 4 };
    const refused = await raw(archive, expectHeaders, (req) => req.flushHeaders());
    expect([refused.status, refused.isContinued]).toEqual([404, false]);
    const taken = await raw(archive, { ...expectHeaders, ...MAKE }, (req) => req.flushHeaders());
    expect([taken.status, taken.isContinued]).toEqual([200, true]);
  });

  test('answers what clients ask before and around an upload', async () => {
    const archive = await setup();
    expect(await read(archive, '/metadata/absent-item')).toEqual({});
    expect((await read(archive, '/?check_limit=1&accesskey=a&bucket=b')).over_limit).toBe(0);
    expect((await read(archive, '/services/check_identifier.php?output=json&identifier=new')).code).toBe(
      'available',
    );
    await put(archive, 'item-new/f', 'x', MAKE);
    expect(
      (await read(archive, '/services/check_identifier.php?output=json&identifier=ITEM-new')).code,
    ).not.toBe('available');
    expect((await read(archive, '/services/user.php?op=whoami')).success).toBe(true);
    expect((await read(archive, '/services/user.php?op=whoami', {})).success).toBe(false);
  });

  test('changes metadata by patch and deletes files', async () => {
    const archive = await setup();
    await put(archive, 'item-md/f', 'x', { ...MAKE, 'x-archive-meta00-title': 'Old' });
    const patch = async (steps: unknown): Promise<Json> =>
      (
        await fetch(`${archive.baseUrl}/metadata/item-md`, {
          method: 'POST',
          body: new URLSearchParams({
            '-target': 'metadata',
            '-patch': JSON.stringify(steps),
            ...defaultArchiveKeys,
          }),
        })
      ).json();
    expect((await patch([{ op: 'replace', path: '/title', value: 'New' }])).success).toBe(true);
    expect((await patch([{ op: 'replace', path: '/title', value: 'New' }])).error).toContain('no changes');
    expect((await read(archive, '/metadata/item-md/metadata/title')).result).toBe('New');
    await put(archive, 'item-md/f', 'changed', { 'x-archive-keep-old-version': '1' });
    const names = (await read(archive, '/metadata/item-md')).files.map((f: { name: string }) => f.name);
    expect(names).toEqual(expect.arrayContaining(['f', 'history/files/f.~1~']));
    const gone = await fetch(`${archive.baseUrl}/item-md/f`, { method: 'DELETE', headers: LOW });
    expect(gone.status).toBe(204);
    expect(archive.counters().files).toBe(1);
  });

  test('keeps items over a restart and goes on with waiting tasks', async () => {
    const first = await setup({ taskDelayMs: 3_600_000 });
    await put(first, 'item-keep/f', 'kept', MAKE);
    await first.stop();
    const second = await setup({ dir: first.dir, taskDelayMs: 1 });
    await second.whenIdle();
    expect((await read(second, '/metadata/item-keep')).files[0]).toMatchObject({
      name: 'f',
      md5: md5('kept'),
    });
    expect(await (await fetch(`${second.baseUrl}/download/item-keep/f`)).text()).toBe('kept');
  });

  test('keeps nothing of an upload that broke off', async () => {
    const archive = await setup();
    const cut = archive.faults.add({ server: 'ia', match: 'PUT /item-raw', kind: 'reset', atByte: 3 });
    await expect(
      raw(archive, { ...MAKE, 'Content-Length': 10 }, (req) => req.write('123456')),
    ).rejects.toThrow();
    expect(cut.fired).toBe(1);
    expect(await read(archive, '/metadata/item-raw')).toEqual({});
    expect(archive.counters()).toMatchObject({ puts: 0, items: 0 });
    await archive.stop();
    expect(readdirSync(join(archive.dir, 'incoming'))).toEqual([]);
  });
});

describe('faults of the archive', () => {
  test('slow-down and spam carry their reason in the Resource', async () => {
    const archive = await setup();
    const slow = archive.faults.add({
      server: 'ia',
      match: 'PUT',
      kind: 'slow-down',
      message: 'bucket_tasks_queued exceeds bucket_ration',
    });
    const spam = archive.faults.add({ server: 'ia', match: 'PUT', kind: 'spam' });
    const first = await put(archive, 'item-f/f', 'x', MAKE);
    expect([first.status, await first.text()]).toEqual([
      503,
      expect.stringContaining('bucket_tasks_queued exceeds'),
    ]);
    const second = await put(archive, 'item-f/f', 'x', MAKE);
    expect([second.status, await second.text()]).toEqual([
      503,
      expect.stringContaining('appears to be spam'),
    ]);
    expect([slow.fired, spam.fired]).toEqual([1, 1]);
  });

  test('over-limit, dark, task-error and late-loss show in what is read', async () => {
    const archive = await setup();
    const over = archive.faults.add({ server: 'ia', match: 'check_limit', kind: 'over-limit', times: 1 });
    expect((await read(archive, '/?check_limit=1&bucket=b')).over_limit).toBe(1);
    const red = archive.faults.add({ server: 'ia', match: '/item-red/', kind: 'task-error' });
    await put(archive, 'item-red/f', 'x', MAKE);
    expect(
      (await read(archive, '/services/tasks.php?identifier=item-red&summary=1')).value.summary.error,
    ).toBe(1);
    const loss = archive.faults.add({ server: 'ia', match: '/item-loss/', kind: 'late-loss' });
    await put(archive, 'item-loss/f', 'x', MAKE);
    expect((await read(archive, '/metadata/item-loss')).files[0].md5).not.toBe(md5('x'));
    const dark = archive.faults.add({ server: 'ia', match: 'GET /metadata/item-loss', kind: 'dark' });
    expect((await read(archive, '/metadata/item-loss')).is_dark).toBe(true);
    expect([over.fired, red.fired, loss.fired, dark.fired]).toEqual([1, 1, 1, 1]);
  });

  test('stall holds the answer to an upload until it is released', async () => {
    const archive = await setup();
    const stall = archive.faults.add({ server: 'ia', match: 'PUT /item-st', kind: 'stall' });
    const answer = put(archive, 'item-st/f', 'x', MAKE);
    await stall.whenFired();
    expect(archive.counters().files).toBe(0);
    stall.release();
    expect((await answer).status).toBe(200);
  });
});
