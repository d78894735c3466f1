import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { Snooze } from '../../src/lib/index.ts';
import { createNodeDisk, type Log, silentLog } from '../../src/ports/index.ts';
import {
  type Bundle,
  breakOffAfter,
  CONTENT,
  expectStored,
  HASHES,
  hex,
  keptBytes,
  PATH,
  type Serve,
  serving,
  setup,
} from '../helpers/download-bundle.ts';

/**
 * Goal: bytes that we hold stay until better ones are proved, and what upstream says last decides. Method: upstream changes its
 * mind before, during and after a download; the process dies between rename and record.
 */

/** Opens like any file, and its first bytes are nowhere. */
const UNREADABLE = `/proc/${process.pid}/mem`;
const NEW = Buffer.alloc(2_700_000, 'another version ');
const hashesOf = (bytes: Buffer) => ({ md5: hex('md5', bytes), sha1: hex('sha1', bytes) });
const factsOf = (bytes: Buffer) => ({ sizeBytes: bytes.length, hashes: hashesOf(bytes) });
const caught = (work: Promise<unknown>) => work.catch((error: unknown) => error);

/** Upstream publishes the file anew: the next look finds it, and the server has it. */
function publish({ look, upstream }: Bundle, bytes: Buffer, etag = '"2-v2"'): void {
  upstream.serve = serving(bytes, etag);
  look(factsOf(bytes));
}

/** Held, with a second name in a torrent's folder, then published anew. */
async function setupReplaced(log: Log = silentLog, bytes = NEW) {
  const bundle = await setup({ log });
  await bundle.attempt();
  const torrentLink = join(dirname(bundle.paths.final), 'link-in-a-torrent');
  linkSync(bundle.paths.final, torrentLink);
  publish(bundle, bytes);
  expect(bundle.catalog.replacement(bundle.id)).toEqual({ kind: 'replaced', ...factsOf(bytes) });
  const expectOld = (): void => {
    for (const path of [torrentLink, bundle.paths.final]) {
      expect(readFileSync(path).equals(CONTENT)).toBe(true);
      expect(statSync(path).mode & 0o777).toBe(0o444);
    }
    expect(bundle.space.reservedBytes()).toBe(0);
    expect(bundle.catalog.replacement(bundle.id)).not.toBeNull();
  };
  return { ...bundle, torrentLink, expectOld };
}

test('the new version of a held file takes its place, and torrents keep the old bytes', async () => {
  const bundle = await setupReplaced();
  const oldInode = statSync(bundle.paths.final).ino;
  const statuses: string[] = [];
  bundle.state.onProgress = () => {
    statuses.push(bundle.row().ourStatus);
    expect(readFileSync(bundle.paths.final).equals(CONTENT)).toBe(true);
  };
  const output = await bundle.attempt();
  expect(output).toMatchObject({ isReplacement: true, verification: 'sha1', sizeBytes: NEW.length });
  expect(new Set(statuses)).toEqual(new Set(['downloaded']));
  expectStored(bundle, NEW);
  expect(bundle.catalog.replacement(bundle.id)).toBeNull();
  expect(readFileSync(bundle.torrentLink).equals(CONTENT)).toBe(true);
  expect(statSync(bundle.torrentLink).ino).toBe(oldInode);
  expect(bundle.seen).toHaveLength(2);
  // Done: nobody is asked again.
  await bundle.attempt();
  expect(bundle.seen).toHaveLength(2);
});

test.each([
  ['wrong bytes', 'checksum_mismatch', (_q, r) => r.end(Buffer.alloc(NEW.length, 9))],
  ['404', 'not_found', (_q, r) => r.writeHead(404).end()],
  ['403', 'forbidden', (_q, r) => r.writeHead(403).end()],
  ['the old file still', 'size_mismatch', serving(CONTENT)],
  ['a body that breaks off', 'truncated', breakOffAfter(1_200_000, NEW)],
] as [
  string,
  string,
  Serve,
][])('the old bytes stay after %s, and the row is as it was', async (_name, code, serve) => {
  const warned: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => void warned.push(fields), child: () => log };
  const bundle = await setupReplaced(log);
  const before = bundle.row();
  bundle.script.push(serve);
  const error = await caught(bundle.attempt());
  expect(error).toMatchObject({ code });
  expect(bundle.row()).toEqual(before);
  bundle.fail(error);
  expect(bundle.row()).toEqual(before);
  expect(warned).toContainEqual(expect.objectContaining({ code, dumpFileId: bundle.id }));
  bundle.expectOld();
});

test('a broken attempt at the new version goes on where it stopped', async () => {
  const bundle = await setupReplaced();
  bundle.script.push(breakOffAfter(1_500_000, NEW));
  await caught(bundle.attempt());
  expect(readFileSync(bundle.paths.final).equals(CONTENT)).toBe(true);
  expect(keptBytes(bundle)).toBe(1_500_000);
  await bundle.attempt();
  expect(bundle.seen[2]!.range).toBe(`bytes=1500000-${NEW.length - 1}`);
  expectStored(bundle, NEW);
});

test('a process that died between rename and record recognises the new bytes', async () => {
  const bundle = await setupReplaced();
  await bundle.dieBeforeRecord();
  expect(readFileSync(bundle.paths.final).equals(NEW)).toBe(true);
  expect(bundle.catalog.replacement(bundle.id)).not.toBeNull();
  const output = await bundle.attempt();
  expect(output.isReplacement).toBe(true);
  expect(bundle.seen).toHaveLength(2);
  expectStored(bundle, NEW);
  expect(bundle.catalog.replacement(bundle.id)).toBeNull();
});

test('between rename and record nothing is judged or repaired by what the row still says', async () => {
  const bundle = await setupReplaced();
  const output = await bundle.dieBeforeRecord();
  const asked = bundle.seen.length;
  const task = { signal: new AbortController().signal };
  expect(await bundle.room.held.verify(bundle.id, task)).toMatchObject({ state: 'gone' });
  expect(bundle.row().damagedAt).toBeNull();
  expect(await caught(bundle.room.held.repair(bundle.id, task))).toBeInstanceOf(Snooze);
  expect(readFileSync(bundle.paths.final).equals(NEW)).toBe(true);
  expect(bundle.seen).toHaveLength(asked);
  bundle.record(output);
  expectStored(bundle, NEW);
  expect(await bundle.room.held.repair(bundle.id, task)).toMatchObject({ state: 'sound' });
});

test('a repair and a download of one file do not run beside each other, whoever came first', async () => {
  const bundle = await setup();
  await bundle.attempt();
  const task = { signal: new AbortController().signal };
  chmodSync(bundle.paths.final, 0o644);
  writeFileSync(bundle.paths.final, Buffer.alloc(CONTENT.length, 'rot'));
  // While the repair asks upstream, upstream publishes anew, and the download of that begins.
  let snoozed: unknown = null;
  bundle.script.push((request, response) => {
    publish(bundle, NEW);
    bundle
      .attempt()
      .catch((error: unknown) => {
        snoozed = error;
      })
      .finally(() => serving(CONTENT)(request, response));
  });
  const outcome = await bundle.room.held.repair(bundle.id, task);
  expect(snoozed).toBeInstanceOf(Snooze);
  expect(outcome.state).not.toBe('sound');
  expect(bundle.row().sha1).toBe(HASHES.sha1);
  // The download is at it: the repair steps back, and a reading says nothing.
  let refused: unknown = null;
  let read: unknown = null;
  bundle.script.push((request, response) => {
    void caught(bundle.room.held.repair(bundle.id, task)).then(async (error) => {
      refused = error;
      read = await bundle.room.held.verify(bundle.id, task);
      serving(NEW, '"2-v2"')(request, response);
    });
  });
  await bundle.attempt();
  expect(refused).toBeInstanceOf(Snooze);
  expect(read).toMatchObject({ state: 'gone' });
  expectStored(bundle, NEW);
});

test('what is said of a download is by how much more is held after it', async () => {
  const bus = createBus({ log: silentLog });
  const said: number[] = [];
  bus.on('dumpFile:downloaded', ({ heldDeltaBytes }) => void said.push(heldDeltaBytes));
  const bundle = await setup({ bus });
  const complete = async () => {
    await bundle.attempt();
    const { id: dumpId } = bundle;
    bus.emit('job:completed', { jobId: 1, jobType: 'download_dump', dumpId } as never);
  };
  const held = () => bundle.catalog.heldSlice(0, 10).heldBytes;
  await complete();
  expect([held(), said]).toEqual([CONTENT.length, [CONTENT.length]]);
  // It was held already.
  await complete();
  expect(said.splice(0)).toEqual([CONTENT.length, 0]);
  publish(bundle, NEW);
  await complete();
  expect([held(), said.splice(0)]).toEqual([NEW.length, [NEW.length - CONTENT.length]]);
  // Upstream takes the next version back in the last moment: what we held is gone.
  publish(bundle, CONTENT, '"3-v3"');
  const output = await bundle.dieBeforeRecord();
  bundle.look(factsOf(NEW));
  bundle.record(output);
  bus.emit('job:completed', { jobId: 1, jobType: 'download_dump', dumpId: bundle.id } as never);
  expect([held(), said]).toEqual([0, [-NEW.length]]);
});

test('a file that was withdrawn is kept, and nothing is asked', async () => {
  const bundle = await setup();
  await bundle.attempt();
  bundle.look(null);
  expect(bundle.catalog.replacement(bundle.id)).toEqual({ kind: 'withdrawn' });
  const output = await bundle.attempt();
  expect(output.isReplacement).toBe(false);
  expect(bundle.seen).toHaveLength(1);
  expectStored(bundle);
});

test('upstream takes its new version back while we fetch it: the old bytes are right again', async () => {
  const bundle = await setupReplaced();
  bundle.state.onProgress = (doneBytes) => doneBytes === NEW.length && bundle.look({});
  await bundle.attempt();
  expect(bundle.catalog.replacement(bundle.id)).toBeNull();
  expect(readFileSync(bundle.torrentLink).equals(CONTENT)).toBe(true);
  expectStored(bundle);
});

test('upstream takes it back in the last moment: the row does not tell of bytes that are gone', async () => {
  const bundle = await setupReplaced();
  const output = await bundle.dieBeforeRecord();
  bundle.look({});
  bundle.record(output);
  expect(bundle.row()).toMatchObject({ ourStatus: 'pending', localPath: null, sha1: null });
  expect(readFileSync(bundle.paths.final).equals(NEW)).toBe(true);
  bundle.upstream.serve = serving(CONTENT, '"3-v3"');
  await bundle.attempt();
  expectStored(bundle);
});

test('a version that came out while we fetched an older one is fetched at once', async () => {
  const bundle = await setup();
  bundle.state.onProgress = (doneBytes) => {
    if (doneBytes < CONTENT.length) return;
    bundle.state.onProgress = () => {};
    publish(bundle, NEW);
  };
  expect(await bundle.attempt()).toMatchObject({ isReplacement: false, sizeBytes: NEW.length });
  expect(bundle.seen.map(({ range }) => range)).toEqual([null, null]);
  expectStored(bundle, NEW);
});

test('hashes that came out meanwhile judge the bytes that are here', async () => {
  const bundle = await setup({ file: { hashes: { md5: HASHES.md5 } } });
  bundle.state.onProgress = (doneBytes) => doneBytes === CONTENT.length && bundle.look({ hashes: HASHES });
  expect((await bundle.attempt()).verification).toBe('sha1');
  expect(bundle.seen).toHaveLength(1);
  expectStored(bundle);

  const other = await setup({ file: { hashes: { md5: HASHES.md5 } } });
  other.state.onProgress = (doneBytes) =>
    doneBytes === CONTENT.length && other.look({ hashes: { md5: HASHES.md5, sha1: '0'.repeat(40) } });
  await expect(other.attempt()).rejects.toMatchObject({ code: 'checksum_mismatch' });
});

test('a file that upstream changes again and again is left for later', async () => {
  const bundle = await setup();
  const versions = [1, 2, 3].map((version) => Buffer.alloc(100_000 + version, version));
  const changes = [...versions];
  bundle.state.onProgress = (doneBytes) => {
    const next = doneBytes === bundle.row().sizeBytes ? changes.shift() : undefined;
    if (next !== undefined) publish(bundle, next, `"v-${next.length}"`);
  };
  await expect(bundle.attempt()).rejects.toMatchObject({ name: 'RetryableError', code: 'upstream_changed' });
  expect(bundle.seen).toHaveLength(3);
  await bundle.attempt();
  expectStored(bundle, versions[2]);
});

test('bytes of an older version in the part file are not continued', async () => {
  const bundle = await setup();
  bundle.script.push(breakOffAfter(1_500_000));
  await caught(bundle.attempt());
  expect(existsSync(bundle.paths.part)).toBe(true);
  // The new version is longer, so that the old part would fit into it, and the server would continue it without a word.
  const longer = Buffer.concat([NEW, NEW]);
  publish(bundle, longer, '"1-v1"');
  await bundle.attempt();
  expect(bundle.seen[1]).toMatchObject({ range: null });
  expectStored(bundle, longer);
});

test('a row that is gone when its bytes are here leaves nothing behind', async () => {
  const bundle = await setup();
  bundle.state.onProgress = (doneBytes) => {
    if (doneBytes < CONTENT.length) return;
    bundle.state.onProgress = () => {};
    bundle.catalog.recordNotDownloaded(bundle.id, 'pending', 'set back');
    bundle.look(null);
  };
  await expect(bundle.attempt()).rejects.toMatchObject({ code: 'no_such_dump_file' });
  expect(existsSync(bundle.paths.part)).toBe(false);
  expect(existsSync(bundle.paths.final)).toBe(false);
});

test.each([
  ['of the right size', Buffer.alloc(CONTENT.length, 3)],
  ['of another size', Buffer.from('short')],
])('a stored file %s that is not what the row says stays until the right one is there', async (_name, wrong) => {
  const bundle = await setup();
  mkdirSync(dirname(bundle.paths.final), { recursive: true });
  writeFileSync(bundle.paths.final, wrong);
  chmodSync(bundle.paths.final, 0o444);
  for (const [serve, again] of [
    [breakOffAfter(1_000_000), false],
    [(_q, r) => r.writeHead(404).end(), false],
    [(_q, r) => r.writeHead(200).end(Buffer.alloc(CONTENT.length, 9)), true],
  ] as [Serve, boolean][]) {
    bundle.script.push(serve, ...(again ? [serve] : []));
    expect(await caught(bundle.attempt())).toBeInstanceOf(Error);
    expect(readFileSync(bundle.paths.final).equals(wrong)).toBe(true);
  }
  await bundle.attempt();
  // The third attempt could not go on where the first one stopped, and began anew.
  expect(bundle.seen).toHaveLength(5);
  expectStored(bundle);
});

test('a stored file that the disk cannot read is fetched anew', async () => {
  const disk = createNodeDisk();
  let lies = 0;
  const bundle = await setup({
    disk: {
      ...disk,
      async stat(path) {
        const facts = await disk.stat(path);
        if (facts === null || path !== bundle.paths.final || realpathSync(path) !== UNREADABLE) return facts;
        lies += 1;
        return { ...facts, isFile: true, sizeBytes: CONTENT.length };
      },
    },
  });
  mkdirSync(dirname(bundle.paths.final), { recursive: true });
  symlinkSync(UNREADABLE, bundle.paths.final);
  // The very error that a worn-out disk gives.
  expect(() => readSync(openSync(bundle.paths.final, 'r'), Buffer.alloc(1), 0, 1, 0)).toThrow('EIO');
  await bundle.attempt();
  expect(lies).toBe(1);
  expectStored(bundle);
});

const XML = gzipSync(`${'<mediawiki>'.repeat(5000)}</mediawiki>`);
const gzName = PATH.split('/').at(-1)!.replace('.xml.bz2', '.xml.gz');
/** Two days before its end a cycle takes files without a hash. */
const nearDeadline = (content: Buffer, hashes = {}) =>
  setup({
    content,
    deadlineMs: 24 * 3_600_000,
    file: { filename: gzName, hashes },
    url: (base) => `${base}/aawiki/20261120/${gzName}`,
  });
const pathOf = ({ layout, row }: Bundle) => layout.dumpFile(row());

test('at the end of its cycle a file without hash is taken when its structure is whole', async () => {
  const bundle = await nearDeadline(XML);
  expect(await bundle.attempt()).toMatchObject({ verification: 'structure-only', sha1: hex('sha1', XML) });
  expect(bundle.row()).toMatchObject({ ourStatus: 'downloaded', verification: 'structure-only' });
  expect(readFileSync(pathOf(bundle)).equals(XML)).toBe(true);
  // A hash that comes later proves it without another byte.
  bundle.look({ hashes: hashesOf(XML) });
  expect(bundle.row().verification).toBe('sha1');
});

test('one whose structure is broken is thrown away like one with a wrong hash', async () => {
  const bundle = await nearDeadline(XML);
  bundle.script.push(serving(Buffer.concat([XML.subarray(0, -8), Buffer.alloc(8)])));
  const error = await caught(bundle.attempt());
  expect(error).toMatchObject({ name: 'CorruptError', code: 'structure_broken' });
  expect(existsSync(pathOf(bundle))).toBe(false);
  expect(existsSync(bundle.layout.partialFile(bundle.row()))).toBe(false);
  bundle.fail(error);
  expect(bundle.row().ourStatus).toBe('quarantined');
  await bundle.attempt();
  expect(bundle.row().verification).toBe('structure-only');
});

test('a stored file without hash is recognised by its structure, and not when that is broken', async () => {
  const bundle = await nearDeadline(XML);
  mkdirSync(dirname(pathOf(bundle)), { recursive: true });
  writeFileSync(pathOf(bundle), XML);
  expect((await bundle.attempt()).verification).toBe('structure-only');
  expect(bundle.seen).toEqual([]);

  const other = await nearDeadline(XML);
  mkdirSync(dirname(pathOf(other)), { recursive: true });
  writeFileSync(pathOf(other), Buffer.alloc(XML.length));
  await other.attempt();
  expect(other.seen).toHaveLength(1);
  expect(readFileSync(pathOf(other)).equals(XML)).toBe(true);
});

test('a hash that upstream takes back before the end of the cycle is waited for, with the bytes kept', async () => {
  const bundle = await setup();
  bundle.state.onProgress = (doneBytes) => doneBytes === CONTENT.length && bundle.look({ hashes: {} });
  await expect(bundle.attempt()).rejects.toMatchObject({ code: 'snoozed' });
  expect(keptBytes(bundle)).toBe(CONTENT.length);
  bundle.state.onProgress = () => {};
  bundle.look({});
  await bundle.attempt();
  expect(bundle.seen).toHaveLength(1);
  expectStored(bundle);
});

test.each([
  ['content_current', '2026-11-01', 'dumps/aawiki/2026-11-01/'],
  ['content_history', '2026-11-01', 'dumps/aawiki/2026-11-01-history/'],
] as const)('a file of %s is stored in a folder of its own, proved by SHA-256', async (source, runDate, folder) => {
  const filename = 'aawiki-2026-11-01-p1p9.xml.bz2';
  const bundle = await setup({
    run: { source, runDate },
    file: { filename, hashes: { sha256: hex('sha256', CONTENT) } },
    url: (base) => `${base}/other/mediawiki_${source}/aawiki/${runDate}/xml/bzip2/${filename}`,
  });
  const output = await bundle.attempt();
  expect(output).toMatchObject({ verification: 'sha256-upstream', localPath: folder + filename });
  expect(readFileSync(bundle.layout.absolute(output.localPath)).equals(CONTENT)).toBe(true);
});
