import { expect, test } from 'vitest';
import { createSystemState, STATE_KEYS } from '../../src/db/index.ts';
import { lookAtDisk, parseSavedStorage } from '../../src/storage/index.ts';
import { storageBundle } from '../helpers/storage-bundle.ts';

const MB = 1e6;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

const modes = (t: Awaited<ReturnType<typeof storageBundle>>) =>
  t.seen('storage:modeChanged').map(({ mode }) => mode);

test('at 90 % running downloads finish, none starts, no attempt is counted, and it goes on by itself', async () => {
  const t = await storageBundle();
  t.store('a', 10 * MB);
  await t.clock.advance(0);
  expect([...t.running.keys()]).toEqual(['a']);
  t.disk.freeBytes = 95 * MB;
  await t.clock.advance(500);
  expect(modes(t)).toEqual(['paused']);
  expect(t.queue.halts()).toMatchObject([{ target: 'storage', code: 'storage_paused', kind: 'halted' }]);
  t.store('b', 1 * MB);
  t.store('c', 1 * MB);
  await t.clock.advance(20 * MINUTE);
  // The one that ran was left alone, and whoever waits was never even taken.
  expect([...t.running.keys()]).toEqual(['a']);
  expect(t.seen('job:started')).toHaveLength(1);
  expect(t.alerts()).toMatchObject([
    {
      key: 'storage',
      severity: 'warn',
      message: expect.stringMatching(/nearly full, no download starts: 90\.5 % are used: 95 MB are free/),
      hint: expect.stringMatching(/start again by themselves at 89 %/),
    },
  ]);
  t.running.get('a')?.finish();
  await t.clock.advance(0);
  expect(t.row('a').status).toBe('completed');

  t.disk.freeBytes = 109 * MB;
  await t.clock.advance(10 * SECOND);
  expect(modes(t)).toEqual(['paused']);
  t.disk.freeBytes = 110 * MB;
  await t.clock.advance(10 * SECOND);
  expect(modes(t)).toEqual(['paused', 'cleaning']);
  expect(t.queue.halts()).toEqual([]);
  expect([...t.running.keys()]).toEqual(['b', 'c']);
  expect(t.row('b')).toMatchObject({ attempt: 1, status: 'in_progress' });
  expect(t.alerts()).toMatchObject([{ key: 'storage', severity: 'info' }]);
  t.disk.freeBytes = 165 * MB;
  await t.clock.advance(SECOND);
  expect(modes(t)).toEqual(['paused', 'cleaning', 'normal']);
  expect(t.alerts()).toEqual([]);
});

test('below the safety margin running downloads stop within a second, uncounted, and go on at once when there is room', async () => {
  const t = await storageBundle({ limits: { pauseThresholdPercent: 99.5, cleanupThresholdPercent: 99.2 } });
  for (const name of ['a', 'b', 'c', 'd']) t.store(name, 5 * MB);
  await t.clock.advance(0);
  expect([...t.running.keys()]).toEqual(['a', 'b', 'c']);
  const begunAt = t.clock.now();
  t.disk.freeBytes = 10 * MB - 1;
  await t.clock.advance(SECOND);
  expect(t.running.size).toBe(0);
  expect(modes(t)).toEqual(['hard_stop']);
  const given = t.seen('job:givenBack');
  expect(given.map(({ reason }) => reason)).toEqual(['halt', 'halt', 'halt']);
  for (const name of ['a', 'b', 'c'])
    expect(t.row(name)).toMatchObject({ status: 'pending', attempt: 0, lease_owner: null });
  expect(t.queue.halts()).toMatchObject([{ target: 'storage', code: 'storage_hard_stop' }]);
  expect(t.alerts()).toMatchObject([
    { key: 'storage', severity: 'error', hint: expect.stringMatching(/as soon as 11 MB are free/) },
  ]);
  expect(t.clock.now() - begunAt).toBeLessThanOrEqual(SECOND);

  await t.clock.advance(60 * MINUTE);
  expect(t.seen('job:started')).toHaveLength(3);
  t.disk.freeBytes = 11 * MB - 1;
  await t.clock.advance(10 * SECOND);
  expect(t.running.size).toBe(0);
  t.disk.freeBytes = 500 * MB;
  await t.clock.advance(10 * SECOND);
  expect(t.running.size).toBe(3);
  for (const job of [...t.running.values()]) job.finish();
  await t.clock.advance(0);
  for (const job of [...t.running.values()]) job.finish();
  await t.queue.whenIdle();
  for (const name of ['a', 'b', 'c', 'd'])
    expect(t.row(name)).toMatchObject({ status: 'completed', attempt: 1 });
  expect(t.alerts()).toEqual([]);
});

test('promises count as used: while they fill the room the others wait silently, and follow at once', async () => {
  const t = await storageBundle({ freeBytes: 300 * MB });
  t.store('large', 250 * MB);
  t.store('small', 1 * MB);
  await t.clock.advance(0);
  // 70 % are used and 25 % promised.
  expect([...t.running.keys()]).toEqual(['large']);
  expect(t.seen('storage:modeChanged')).toMatchObject([
    { mode: 'paused', isOnlyPromised: true, reservedBytes: 250 * MB, countedBytes: 700 * MB },
  ]);
  expect(await t.storage.usage()).toMatchObject({
    mode: 'paused',
    isOnlyPromised: true,
    reservedBytes: 250 * MB,
  });
  t.store('another', 1 * MB);
  await t.clock.advance(10 * MINUTE);
  // Nobody's trouble: no halt, no alert, nothing taken in vain but what was taken in the same moment.
  expect(t.queue.halts()).toEqual([]);
  expect(t.alerts()).toEqual([]);
  expect(t.seen('job:started').length).toBeLessThanOrEqual(2);
  expect(t.row('another').attempt).toBe(0);

  // It fails and gives its room back.
  let idle: unknown = null;
  void t.queue.whenIdle().then((report) => {
    idle = report;
  });
  t.running.get('large')?.finish();
  await t.clock.advance(0);
  expect([...t.running.keys()].sort()).toEqual(['another', 'small']);
  expect(idle).toBeNull();
  expect(t.row('small').attempt).toBe(1);
  expect(modes(t)).toEqual(['paused', 'normal']);
});

test('what only promises closed opens with the last of them, however near the threshold the disk is then', async () => {
  const t = await storageBundle({ freeBytes: 300 * MB });
  t.store('large', 195 * MB);
  await t.clock.advance(0);
  t.store('next', 1 * MB);
  // 89.5 % are used: below the threshold, and above where a real pause would end.
  t.disk.freeBytes = 105 * MB;
  t.running.get('large')?.written(194 * MB);
  await t.clock.advance(SECOND);
  t.store('large again', 10 * MB);
  t.running.get('large')?.finish();
  for (const [name, job] of t.running) if (name !== 'large') job.finish();
  await t.clock.advance(0);
  for (let round = 0; round < 3; round += 1) {
    for (const job of [...t.running.values()]) job.finish();
    await t.clock.advance(MINUTE);
  }
  expect(t.row('next').status).toBe('completed');
  expect(t.row('large again').status).toBe('completed');
  expect((await t.storage.usage()).mode).toBe('cleaning');
});

test('bytes that are on disk do not count twice', async () => {
  const t = await storageBundle({ freeBytes: 300 * MB });
  t.store('large', 120 * MB);
  await t.clock.advance(0);
  expect(modes(t)).toEqual([]);
  t.disk.freeBytes -= 120 * MB;
  t.running.get('large')?.written(120 * MB);
  await t.clock.advance(SECOND);
  expect(modes(t)).toEqual([]);
  expect(await t.storage.usage()).toMatchObject({ reservedBytes: 0, countedBytes: 820 * MB });
});

test('a disk that does not answer, hangs or talks nonsense stops the downloads, and is looked at again', async () => {
  const t = await storageBundle();
  t.store('a', 5 * MB);
  await t.clock.advance(0);
  t.disk.answer = () => Promise.reject(Object.assign(new Error('EIO: i/o error, statfs'), { code: 'EIO' }));
  await t.clock.advance(500);
  expect(t.running.size).toBe(0);
  expect(t.queue.halts()[0]?.message).toMatch(/could not be looked at: EIO/);
  await expect(t.storage.usage()).rejects.toMatchObject({ code: 'storage_unknown' });
  t.disk.answer = null;
  await t.clock.advance(10 * SECOND);
  expect(t.running.size).toBe(1);

  t.disk.answer = () => new Promise(() => {});
  await t.clock.advance(10_500);
  expect(t.running.size).toBe(0);
  expect(t.queue.halts()[0]?.message).toMatch(/does not answer/);
  const { looks } = t.disk;
  await t.clock.advance(10 * MINUTE);
  // Questions that hang are not piled up: each would hold a thread.
  expect(t.disk.looks).toBe(looks);
});

test('with max_size: a disk whose files cannot be asked about is noticed, without piling up, and is back by itself', async () => {
  const t = await storageBundle({ limits: { maxSizeBytes: 500 * MB } });
  while ((await t.storage.usage()).mode !== 'normal') await t.clock.advance(SECOND);
  t.store('a', 5 * MB);
  await t.clock.advance(0);
  expect([...t.running.keys()]).toEqual(['a']);
  const before = modes(t).length;
  // What a file system says of its size may come from memory, when none of its files answers any more.
  let answer = (): void => {};
  t.disk.hangs = new Promise((resolve) => {
    answer = resolve;
  });
  // Real calls of the system answer between the turns of the clock.
  while (t.disk.unanswered === 0) await t.clock.advance(100);
  await t.clock.advance(10 * SECOND);
  expect(t.running.size).toBe(0);
  expect(modes(t).slice(before)).toEqual(['hard_stop']);
  expect(t.queue.halts()[0]?.message).toMatch(/does not answer/);
  const { looks } = t.disk;
  await t.clock.advance(10 * MINUTE);
  expect(t.disk.looks).toBeGreaterThan(looks);
  expect(t.disk.unanswered).toBe(1);
  expect(modes(t).slice(before)).toEqual(['hard_stop']);

  t.disk.hangs = null;
  answer();
  for (let turns = 0; t.running.size === 0 && turns < 1000; turns += 1) await t.clock.advance(100);
  expect([...t.running.keys()]).toEqual(['a']);
  expect(modes(t).slice(before)).toEqual(['hard_stop', 'normal']);
});

test('with max_size: a disk that is full is noticed while its files are not answered about', async () => {
  const t = await storageBundle({ limits: { maxSizeBytes: 500 * MB } });
  while ((await t.storage.usage()).mode !== 'normal') await t.clock.advance(SECOND);
  t.store('a', 5 * MB);
  await t.clock.advance(0);
  // The next look is one that would also measure the part files.
  const turn = async (ms: number): Promise<void> => {
    for (let done = 0; done < ms; done += 100) {
      await t.clock.advance(100);
      // Real calls of the system answer between the turns of the clock.
      while (t.disk.open > 0) await new Promise(setImmediate);
      await t.clock.advance(0);
    }
  };
  for (const { asked } = t.disk; t.disk.asked === asked; ) await turn(100);
  await turn(1500);
  let answer = (): void => {};
  t.disk.hangs = new Promise((resolve) => {
    answer = resolve;
  });
  t.disk.freeBytes = 1 * MB;
  await t.clock.advance(SECOND);
  expect(t.disk.unanswered).toBe(1);
  expect(t.running.size).toBe(0);
  expect(t.queue.halts()[0]?.message).toMatch(/less than the safety margin is free/);
  answer();
});

test.each([
  'ENOSPC',
  'EDQUOT',
])('a write refused with %s stops everything, however much is said to be free, and is tried again when more is', async (code) => {
  const t = await storageBundle();
  for (const name of ['a', 'b']) t.store(name, 5 * MB);
  await t.clock.advance(0);
  t.running.get('a')?.refuseWrite(code);
  await t.clock.advance(0);
  expect(t.running.size).toBe(0);
  expect(modes(t)).toEqual(['hard_stop']);
  expect(t.alerts().find(({ key }) => key === 'storage')).toMatchObject({
    severity: 'error',
    message: expect.stringContaining(code),
    hint: expect.stringMatching(/quota or a file system without free inodes/),
  });
  expect(t.queue.halts().map(({ target }) => target)).toEqual(expect.arrayContaining(['storage', 'disk']));
  for (const name of ['a', 'b']) expect(t.row(name)).toMatchObject({ status: 'pending', attempt: 0 });
  await t.clock.advance(2 * MINUTE);
  expect(t.seen('job:started')).toHaveLength(2);
  t.disk.freeBytes += 2 * MB;
  await t.clock.advance(10 * SECOND);
  // Both halts are gone, long before their five minutes.
  expect(t.queue.halts()).toEqual([]);
  expect([...t.running.keys()].sort()).toEqual(['a', 'b']);
});

test('with nothing freed it is tried again after five minutes', async () => {
  const t = await storageBundle();
  t.store('a', 5 * MB);
  await t.clock.advance(0);
  t.running.get('a')?.refuseWrite('EDQUOT');
  await t.clock.advance(4 * MINUTE);
  expect(t.running.size).toBe(0);
  await t.clock.advance(70 * SECOND);
  expect(t.running.size).toBe(1);
});

test('a file that does not fit beside the margin waits for room and not for the clock', async () => {
  const t = await storageBundle({
    limits: { pauseThresholdPercent: 100, cleanupThresholdPercent: 99 },
    freeBytes: 100 * MB,
  });
  t.store('a', 91 * MB);
  await t.clock.advance(0);
  expect(t.queue.halts()).toMatchObject([{ target: 'storage', code: 'disk_full' }]);
  await t.clock.advance(30 * SECOND);
  expect(t.running.size).toBe(0);
  t.disk.freeBytes = 101 * MB;
  await t.clock.advance(10 * SECOND);
  expect(t.running.size).toBe(1);
  expect(t.row('a')).toMatchObject({ attempt: 1 });
});

test('a full disk at the start: nothing is taken, and a run until idle says why', async () => {
  const t = await storageBundle({
    freeBytes: 1 * MB,
    prepare: ({ db }) =>
      void db.sqlite
        .prepare(
          `INSERT INTO jobs (job_type, unique_key, params, status, priority, attempt, max_attempts, next_retry_at, created_at)
           VALUES ('store', 'store:old', '{"name":"old","sizeBytes":1}', 'pending', 100, 0, 5, 0, 0)`,
        )
        .run(),
  });
  await t.clock.advance(0);
  expect(t.seen('job:started')).toEqual([]);
  expect(await t.queue.whenIdle()).toMatchObject({
    halted: [{ target: 'storage', code: 'storage_hard_stop' }],
  });
  // An operator may lift the halt; nothing begins all the same, and it stands again.
  t.queue.resume({ kind: 'target', name: 'storage' });
  await t.clock.advance(10 * SECOND);
  expect(t.row('old')).toMatchObject({ status: 'pending', attempt: 0 });
  expect(t.queue.halts()).toHaveLength(1);
  t.disk.freeBytes = 800 * MB;
  await t.clock.advance(10 * SECOND);
  expect(t.running.size).toBe(1);
});

test('a pause by hand is the operator’s: room that is back does not end it', async () => {
  const t = await storageBundle({ freeBytes: 50 * MB });
  t.queue.pause({ kind: 'target', name: 'storage' }, null);
  t.store('a', 1 * MB);
  t.disk.freeBytes = 900 * MB;
  await t.clock.advance(MINUTE);
  expect(t.queue.halts()).toEqual([]);
  expect(t.running.size).toBe(0);
  t.queue.resume({ kind: 'all' });
  await t.clock.advance(0);
  expect(t.running.size).toBe(1);
});

test('a command beside the daemon sees what the daemon does, without reading the tree', async () => {
  const t = await storageBundle({ freeBytes: 300 * MB });
  t.store('large', 250 * MB);
  await t.clock.advance(SECOND);
  const saved = parseSavedStorage(createSystemState(t.db).get(STATE_KEYS.storage));
  expect(saved).toMatchObject({ mode: 'paused', isOnlyPromised: true, reservedBytes: 250 * MB });
  const limits = {
    ...{
      cleanupThresholdPercent: 85,
      pauseThresholdPercent: 90,
      safetyMarginBytes: 10 * MB,
      maxSizeBytes: null,
    },
  };
  const ask = (isDaemonRunning: boolean) =>
    lookAtDisk(
      { disk: { space: async () => ({ freeBytes: 300 * MB, totalBytes: 1000 * MB }) }, dataDir: t.dataDir },
      limits,
      { saved, isDaemonRunning, heldBytes: 7 },
    );
  expect(await ask(true)).toMatchObject({ mode: 'paused', isOnlyPromised: true, reservedBytes: 250 * MB });
  // What a daemon was promised that is gone does not count.
  expect(await ask(false)).toMatchObject({
    mode: 'normal',
    isOnlyPromised: false,
    reservedBytes: 0,
    since: null,
  });
  for (const text of [null, '', '{', '7', '{"mode":"odd"}', '{"mode":"paused"}'])
    expect(parseSavedStorage(text)).toBeNull();
});

test('a database that is full as well keeps nobody from stopping, and heals', async () => {
  const t = await storageBundle({ limits: { pauseThresholdPercent: 99.5, cleanupThresholdPercent: 99.2 } });
  t.store('a', 5 * MB);
  await t.clock.advance(0);
  t.db.sqlite.pragma('incremental_vacuum');
  // SQLite itself says "database or disk is full" for every page that is more.
  t.db.sqlite.exec(
    `CREATE TABLE filler (bytes BLOB);
     CREATE TRIGGER swell AFTER INSERT ON system_state BEGIN INSERT INTO filler VALUES (zeroblob(200000)); END`,
  );
  t.db.sqlite.pragma(`max_page_count = ${Number(t.db.sqlite.pragma('page_count', { simple: true }))}`);
  t.disk.freeBytes = 1;
  await t.clock.advance(SECOND);
  expect(t.running.size).toBe(0);
  expect(t.queue.halts().map(({ target }) => target)).toEqual(
    expect.arrayContaining(['storage', 'database']),
  );
  await t.clock.advance(MINUTE);
  t.db.sqlite.exec('DROP TRIGGER swell');
  t.db.sqlite.pragma('max_page_count = 1000000');
  t.disk.freeBytes = 900 * MB;
  await t.clock.advance(MINUTE);
  expect(t.queue.halts()).toEqual([]);
  expect([...t.running.keys()]).toEqual(['a']);
  expect(t.row('a')).toMatchObject({ attempt: 1, status: 'in_progress' });
});

test('what commands read is true again soon after a burst: promises that are over are not told for ever', async () => {
  const t = await storageBundle();
  const told = () => parseSavedStorage(createSystemState(t.db).get(STATE_KEYS.storage))?.reservedBytes;
  t.store('a', 10 * MB);
  await t.clock.advance(MINUTE);
  expect(told()).toBe(10 * MB);
  t.store('b', 5 * MB);
  await t.clock.advance(SECOND);
  for (const name of ['a', 'b']) t.running.get(name)?.finish();
  await t.clock.advance(MINUTE);
  expect(t.running.size).toBe(0);
  expect(told()).toBe(0);
});
