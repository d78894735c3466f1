import { statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hours, minutes, seconds } from '../../src/lib/index.ts';
import { eventually } from '../helpers/eventually.ts';
import { setupProgramBeside, VIEW } from '../helpers/program-beside.ts';

/*
 * Goal: one torrent's trouble is no other's in a program beside us: what is read for hours, or cannot be read, holds nothing up; what is
 * retired is taken out before all else, and remembered until it is.
 * Method: a program that only remembers, on a clock that is turned by hand; the real programs are in test/contract.
 */

const signal = new AbortController().signal;

it('gives it all torrents at once, however long it reads them, and starts each when it is read', async () => {
  const { create, specs, states, beside, has, clock } = setupProgramBeside(5);
  beside.isReading = true;
  const engine = create();
  await engine.start(specs);
  // No time has passed: nobody was waited for.
  expect(await states(engine)).toBe('checking checking checking checking checking');
  for (const view of has.values()) Object.assign(view, { state: 'stopped', isWhole: true });
  await clock.advance(minutes(1));
  await eventually(async () => expect(await states(engine)).toBe(Array(5).fill('seeding').join(' ')));
});

it('lets the next one in while a job waits for one that is being read', async () => {
  const { create, specs, beside, states, hash, calls, turning } = setupProgramBeside(2);
  const engine = create();
  await engine.start([]);
  beside.isReading = true;
  const slow = engine.add(specs[0]!, signal);
  await eventually(() => expect(calls).toContain(`read ${hash(0)}`));
  beside.isReading = false;
  await turning(engine.add(specs[1]!, signal));
  expect(await states(engine)).toBe('checking seeding');
  await engine.remove(hash(0));
  await expect(slow).rejects.toMatchObject({ code: 'interrupted' });
});

it('takes out what is retired before it does anything else, in the middle of a look', async () => {
  const { create, specs, beside, hash, calls, has, turning } = setupProgramBeside(40);
  const engine = create();
  await engine.start(specs.slice(0, 1));
  let open = (): void => {};
  beside.hold = new Promise((resolve) => {
    open = resolve;
  });
  const rest = specs.slice(1).map((spec) => engine.add(spec, signal));
  await eventually(() => expect(calls.at(-1)).toContain('look '));
  const before = calls.length;
  const removed = engine.remove(hash(0));
  await new Promise(setImmediate);
  beside.hold = null;
  open();
  await removed;
  expect(has.has(hash(0))).toBe(false);
  // One call of another may slip in between its own; nearly forty were waiting.
  expect(calls.indexOf(`remove ${hash(0)}`) - before).toBeLessThan(5);
  await turning(Promise.all(rest));
  expect(has.size).toBe(39);
});

it('goes on with the others when one .torrent cannot be read, or its answer is no answer', async () => {
  const broken = new Set<string>();
  const { create, specs, states, problems, hash, beside, clock } = setupProgramBeside(4, (disk) => ({
    async open(path, mode) {
      if (broken.has(path)) throw Object.assign(new Error(`EACCES: ${path}`), { code: 'EACCES' });
      return disk.open(path, mode);
    },
  }));
  broken.add(specs[0]!.torrentFile);
  const { wantNothing } = beside.driver;
  beside.driver.wantNothing = async (torrent, each) => {
    if (torrent.infoHash === hash(1)) throw new TypeError('it said something strange');
    return wantNothing(torrent, each);
  };
  const engine = create();
  await engine.start(specs);
  await clock.advance(seconds(10));
  await eventually(async () => expect(await states(engine)).toBe('broken stopped seeding seeding'));
  expect([...problems]).toEqual([
    [hash(0), 'torrent_file_unreadable'],
    [hash(1), 'engine_failed_torrent'],
  ]);
});

it('does not say that a torrent is out when nobody answers, and takes it out as soon as somebody does', async () => {
  const { create, specs, beside, has, hash, clock } = setupProgramBeside(2);
  const engine = create();
  await engine.start(specs);
  beside.isDown = true;
  await expect(engine.remove(hash(0))).rejects.toMatchObject({
    code: 'seeding_not_ended',
    message: expect.stringContaining('nobody is there'),
  });
  beside.isDown = false;
  await clock.advance(minutes(1));
  await eventually(() => expect([...has.keys()]).toEqual([hash(1)]));
  await engine.remove(hash(0));
});

it('does not believe a program that was told and still has it', async () => {
  const { create, specs, beside, hash, clock } = setupProgramBeside(1);
  const engine = create();
  await engine.start(specs);
  beside.driver.remove = async () => {};
  const removed = expect(engine.remove(hash(0))).rejects.toMatchObject({ code: 'seeding_not_ended' });
  await eventually(async () => {
    await clock.advance(seconds(5));
    await removed;
  });
});

it('takes out at a start what was retired while the program or we were away, and nothing of the operator', async () => {
  const { create, specs, has, hash, dataDir, calls } = setupProgramBeside(4);
  const view = { ...VIEW, state: 'seeding', isWhole: true } as const;
  const ours = join(dataDir, 'torrents');
  has.set(hash(0), { ...view, infoHash: hash(0), savePath: ours });
  // The data directory had another name then; the operator has fetched one of ours for himself.
  has.set(hash(1), { ...view, infoHash: hash(1), savePath: '/old/torrents', labels: ['wikiseed'] });
  has.set(hash(2), { ...view, infoHash: hash(2), savePath: '/home/me', labels: ['linux'] });
  has.set(hash(3), { ...view, infoHash: hash(3), savePath: `${dataDir}-of-mine` });
  const engine = create();
  await engine.start(
    [],
    specs.map(({ infoHash }) => infoHash),
  );
  expect([...has.keys()]).toEqual([hash(2), hash(3)]);
  expect(calls.filter((each) => each.startsWith('remove'))).toHaveLength(2);
  await engine.remove(hash(2));
  expect(has.has(hash(2))).toBe(true);
});

it('does not believe that one is out whom a program does not name that was just started', async () => {
  const { create, has, hash, dataDir, clock, beside } = setupProgramBeside(3);
  const view = { ...VIEW, savePath: join(dataDir, 'torrents') };
  const engine = create();
  await engine.start([], [hash(0)]);
  await expect(engine.remove(hash(1))).rejects.toMatchObject({
    code: 'seeding_not_ended',
    message: expect.stringContaining('does not name it, but has only just begun to answer'),
  });
  // Now it has read what it has.
  for (const infoHash of [hash(0), hash(1)]) has.set(infoHash, { ...view, infoHash });
  await clock.advance(minutes(1));
  await eventually(() => expect(has.size).toBe(0));
  await engine.remove(hash(1));
  // It has answered for a minute: it knows.
  await engine.remove(hash(2));
  beside.isDown = true;
  await clock.advance(minutes(1));
  beside.isDown = false;
  await expect(engine.remove('aa'.repeat(20))).rejects.toMatchObject({ code: 'seeding_not_ended' });
});

it('knows the next time what was taken out when nobody waited for it any more, in the first minute, too', async () => {
  const { create, specs, beside, has, hash, clock } = setupProgramBeside(2);
  const engine = create();
  await engine.start(specs);
  let goOn = (): void => {};
  beside.hold = new Promise((resolve) => {
    goOn = resolve;
  });
  const removed = expect(engine.remove(hash(0))).rejects.toMatchObject({
    message: expect.stringContaining('has not answered yet'),
  });
  await clock.advance(seconds(5));
  await removed;
  beside.hold = null;
  goOn();
  await eventually(() => expect([...has.keys()]).toEqual([hash(1)]));
  await clock.advance(seconds(1));
  await engine.remove(hash(0));
});

it('takes out what nobody gave it in this process, even before a start', async () => {
  const { create, has, hash, dataDir } = setupProgramBeside(1);
  has.set(hash(0), { ...VIEW, infoHash: hash(0), savePath: join(dataDir, 'torrents') });
  await create().remove(hash(0));
  expect(has.size).toBe(0);
});

it('keeps what is wanted again', async () => {
  const { create, specs, beside, has, hash, clock, turning } = setupProgramBeside(1);
  const engine = create();
  await engine.start(specs);
  beside.isDown = true;
  await expect(engine.remove(hash(0))).rejects.toThrow();
  beside.isDown = false;
  await turning(engine.add(specs[0]!, signal));
  await clock.advance(hours(1));
  await eventually(() => expect(has.get(hash(0))?.state).toBe('seeding'));
});

it('tells one that it has already what it may give, and reads a .torrent only when it changed', async () => {
  let reads = 0;
  const { create, specs, calls, hash, clock, dataDir, has } = setupProgramBeside(1, (disk) => ({
    async open(path, mode) {
      reads += 1;
      return disk.open(path, mode);
    },
  }));
  const savePath = join(dataDir, 'torrents');
  has.set(hash(0), { ...VIEW, infoHash: hash(0), savePath, state: 'seeding', isWhole: true });
  const engine = create();
  await engine.start(specs);
  const setUps = () => calls.filter((each) => each === `setUp ${hash(0)}`).length;
  expect([setUps(), reads]).toEqual([1, 1]);
  await clock.advance(hours(1));
  await eventually(() => expect(setUps()).toBe(2));
  expect(reads).toBe(1);
  const { torrentFile } = specs[0]!;
  utimesSync(torrentFile, 1, statSync(torrentFile).mtimeMs / 1000 + 5);
  await clock.advance(hours(1));
  await eventually(() => expect(setUps()).toBe(3));
  expect(reads).toBe(2);
});
