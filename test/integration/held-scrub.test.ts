// Goal: every held file is read again once in its period, the one read longest ago first, never faster than allowed; a run that is
// cut short goes on where it was; what is damaged is handed to repair at once, and again with every later run.
// Method: the job's handler over the real catalog, disk and threads, time by FakeClock.
import { statSync, utimesSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createNodeDisk, type Disk, type DiskFile } from '../../src/ports/index.ts';
import { contentOf, heldBundle, jobContext, PIECE } from '../helpers/held-bundle.ts';

const DAY = 24 * 3_600_000;
const PERIOD = 90 * DAY;
const name = (letter: string): string => `aawiki-20261120-${letter}.sql.gz`;
const [A, B, C] = ['a', 'b', 'c'].map(name) as [string, string, string];
const FILES = {
  [A]: contentOf(PIECE * 2, 1),
  [B]: contentOf(PIECE * 5, 2),
  [C]: contentOf(1000, 3),
};

/** Names in the order in which they were opened for reading. */
function watched(): { disk: Disk; opened: string[] } {
  const real = createNodeDisk();
  const opened: string[] = [];
  return {
    opened,
    disk: {
      ...real,
      open(path, mode) {
        opened.push(path.split('/').at(-1) as string);
        return real.open(path, mode);
      },
    },
  };
}

/** The real disk, with single calls of opened files replaced. */
function diskThat(change: (file: DiskFile) => Partial<DiskFile>): Disk {
  const real = createNodeDisk();
  return {
    ...real,
    async open(path, mode) {
      const file = await real.open(path, mode);
      return { ...file, ...change(file) };
    },
  };
}

type Bundle = Awaited<ReturnType<typeof heldBundle>>;

function scrubOf(bundle: Bundle, options: Parameters<Bundle['begin']>[0] = {}) {
  const room = bundle.begin({ scrub: { periodMs: PERIOD, readLimitBytesPerSecond: null }, ...options });
  const handler = room.handlers.find(({ jobType }) => jobType.type === 'scrub_files');
  if (handler === undefined) throw new Error('there is no such job');
  return {
    wanted: room.wanted,
    run: (cursor: unknown = null, signal?: AbortSignal) => {
      const { context, state } = jobContext(bundle.clock, cursor, signal);
      return { done: handler.run({}, context), state };
    },
  };
}

function readAt(bundle: Bundle, times: Record<string, number | null>): void {
  for (const [filename, at] of Object.entries(times))
    bundle.db.sqlite.prepare('UPDATE dumps SET verified_at = ? WHERE filename = ?').run(at, filename);
}

test('those come first whose reading is longest ago, and only what is due is read', async () => {
  const bundle = await heldBundle({ files: FILES });
  const now = bundle.clock.now();
  readAt(bundle, { [A]: now - PERIOD - 1, [B]: null, [C]: now - PERIOD - DAY });
  const { disk, opened } = watched();
  const scrub = scrubOf(bundle, { disk });
  expect(await scrub.run().done).toMatchObject({ files: 3, damaged: 0 });
  expect(opened).toEqual([B, C, A]);
  for (const filename of [A, B, C])
    expect(bundle.row(filename)).toMatchObject({ verifiedAt: now, damagedAt: null });
  expect(await scrub.run().done).toMatchObject({ files: 0, bytes: 0 });
  await bundle.clock.advance(PERIOD);
  expect(await scrub.run().done).toMatchObject({ files: 0 });
  await bundle.clock.advance(1);
  expect(await scrub.run().done).toMatchObject({ files: 3 });
  expect(opened).toHaveLength(6);
});

test('a damaged file is handed to repair at once, and again by every later run', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: null, [B]: null, [C]: null });
  bundle.rot(3, A);
  const scrub = scrubOf(bundle);
  expect(await scrub.run().done).toMatchObject({ files: 3, damaged: 1 });
  expect(scrub.wanted).toEqual([bundle.place(A).id]);
  // It is not read again for its own sake, but asked for.
  expect(await scrub.run().done).toMatchObject({ files: 0 });
  expect(scrub.wanted).toEqual([bundle.place(A).id, bundle.place(A).id]);
  expect(bundle.asked).toEqual([]);
});

test('it reads no faster than allowed', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: bundle.clock.now(), [B]: null, [C]: bundle.clock.now() });
  let readBytes = 0;
  const disk = diskThat((file) => ({
    read(target, at) {
      readBytes += target.length;
      return file.read(target, at);
    },
  }));
  // A piece in two seconds.
  const scrub = scrubOf(bundle, { disk, scrub: { periodMs: PERIOD, readLimitBytesPerSecond: PIECE / 2 } });
  let isDone = false;
  const done = scrub.run().done.finally(() => {
    isDone = true;
  });
  const read: number[] = [];
  for (let second = 0; second <= 8; second += 1) {
    // Whatever may be read by now was asked for before it waits for its time.
    await until(() => bundle.clock.waiting > 0 || isDone);
    read.push(readBytes / PIECE);
    await bundle.clock.advance(1000);
  }
  expect(read).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5]);
  expect(await done).toMatchObject({ files: 1 });
});

test('it waits while a torrent is being made', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: null, [B]: null, [C]: null });
  const { disk, opened } = watched();
  const scrub = scrubOf(bundle, { disk, yieldTo: ['create_torrent'] });
  const job = { jobId: 7, jobType: 'create_torrent', attempt: 1, dumpId: null, cycleDate: null };
  bundle.bus.emit('job:started', job);
  const { done, state } = scrub.run();
  await until(() => bundle.clock.waiting > 0);
  await bundle.clock.advance(60_000);
  expect(opened).toHaveLength(1);
  expect(state.doneBytes).toBe(0);
  bundle.bus.emit('job:completed', { ...job, durationMs: 1 });
  await bundle.clock.advance(5000);
  expect(await done).toMatchObject({ files: 3 });
});

test('cut short inside a file it goes on there, and still sees what was wrong before', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: bundle.clock.now(), [B]: null, [C]: bundle.clock.now() });
  bundle.rot(PIECE, B);
  const stop = new AbortController();
  const stopping = diskThat((file) => ({
    async read(target, at) {
      if (at === 3 * PIECE) {
        await until(() => first.state.doneBytes === at);
        stop.abort();
      }
      return file.read(target, at);
    },
  }));
  const first = scrubOf(bundle, { disk: stopping }).run(null, stop.signal);
  await expect(first.done).rejects.toMatchObject({ code: 'interrupted' });
  const cursor = first.state.cursor as { reading: { nextPiece: number; badPieces: number[] } };
  expect(cursor.reading).toMatchObject({ badPieces: [1] });
  // The thread may or may not have hashed the piece that was just being read.
  expect([3, 4]).toContain(cursor.reading.nextPiece);
  expect(bundle.row(B).damagedAt).toBeNull();

  const reads: number[] = [];
  const disk = diskThat((file) => ({
    read(target, at) {
      reads.push(at);
      return file.read(target, at);
    },
  }));
  const scrub = scrubOf(bundle, { disk });
  expect(await scrub.run(cursor).done).toMatchObject({ files: 1, damaged: 1 });
  expect(Math.min(...reads)).toBe(cursor.reading.nextPiece * PIECE);
  expect(scrub.wanted).toEqual([bundle.place(B).id]);

  // Of a file that was written to since then, nothing of that counts.
  readAt(bundle, { [B]: null });
  bundle.db.sqlite.prepare('UPDATE dumps SET damaged_at = NULL').run();
  const { path } = bundle.place(B);
  utimesSync(path, 1_796_000_000, statSync(path).mtimeMs / 1000 + 5);
  reads.length = 0;
  await scrub.run(cursor).done;
  expect(Math.min(...reads)).toBe(0);
});

test('a sound file that was read in two parts is sound', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: bundle.clock.now(), [B]: null, [C]: bundle.clock.now() });
  const { mtimeMs } = statSync(bundle.place(B).path);
  const reading = { id: bundle.place(B).id, nextPiece: 2, badPieces: [], unreadablePieces: [], mtimeMs };
  const cursor = { files: 0, bytes: 0, damaged: 0, skipped: [], reading };
  expect(await scrubOf(bundle).run(cursor).done).toMatchObject({ files: 1, damaged: 0 });
  expect(bundle.row(B)).toMatchObject({ damagedAt: null, verifiedAt: bundle.clock.now() });
});

test('a file that may not be opened is left out, and the others are read', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: null, [B]: null, [C]: null });
  const real = createNodeDisk();
  let refused = 0;
  const disk: Disk = {
    ...real,
    open(path, mode) {
      if (!path.endsWith(A)) return real.open(path, mode);
      refused += 1;
      return Promise.reject(Object.assign(new Error('EACCES'), { code: 'EACCES' }));
    },
  };
  const scrub = scrubOf(bundle, { disk });
  expect(await scrub.run().done).toMatchObject({ files: 2, damaged: 0 });
  expect(refused).toBe(1);
  expect(bundle.row(A)).toMatchObject({ verifiedAt: null, damagedAt: null });
});

test('after an hour it steps back and comes again with what it knows', async () => {
  const bundle = await heldBundle({ files: FILES });
  readAt(bundle, { [A]: null, [B]: null, [C]: null });
  const real = createNodeDisk();
  const disk: Disk = {
    ...real,
    async open(path, mode) {
      await bundle.clock.advance(40 * 60_000);
      return real.open(path, mode);
    },
  };
  const { done } = scrubOf(bundle, { disk }).run();
  await expect(done).rejects.toMatchObject({ code: 'snoozed', delayMs: 1000, cursor: { files: 2 } });
});

/** Other work goes on meanwhile; a thread has no event of its own here. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; !isTrue(); turn += 1) {
    if (turn > 100_000) throw new Error('it did not happen');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
