import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hours, minutes, seconds } from '../../src/lib/index.ts';
import { EngineDown } from '../../src/seeding/engines/driver.ts';
import { eventually } from '../helpers/eventually.ts';
import { setupProgramBeside, VIEW } from '../helpers/program-beside.ts';

/*
 * Goal: what a program beside us stopped because of wrong bytes is served again as soon as they are right, and what is right is not
 * stopped by what was seen of it minutes ago.
 * Method: a program that only remembers, on a clock that is turned by hand; the real programs are in test/contract.
 */

const signal = new AbortController().signal;

const down = () => new EngineDown('It', 'http://127.0.0.1:1', 'it is started anew');

/** Two torrents, and a look that has asked for its views and is then held up by the first of them until `open`. */
function heldUp() {
  let isHeld = false;
  let opened = Promise.resolve();
  let open = (): void => {};
  const heldFile = { path: '' };
  const setup = setupProgramBeside(2, (disk) => ({
    async stat(path) {
      if (path === heldFile.path) {
        isHeld = true;
        await opened;
      }
      return disk.stat(path);
    },
  }));
  const { specs, beside, has, hash, dataDir, clock, calls } = setup;
  heldFile.path = specs[0]!.torrentFile;
  for (const { infoHash } of specs)
    has.set(infoHash, {
      ...VIEW,
      infoHash,
      savePath: join(dataDir, 'torrents'),
      state: 'seeding',
      isWhole: true,
    });
  // It is asked for its port once in each look.
  let looks = 0;
  const { peersPort } = beside.driver;
  beside.driver.peersPort = async (each) => {
    looks += 1;
    return peersPort(each);
  };
  return {
    ...setup,
    /** Until two seconds before the look that looks at the files of the first one again. */
    async untilSoon(): Promise<void> {
      await clock.advance(hours(1) - seconds(2) - clock.monotonicMs());
      await eventually(() => expect(looks).toBe(60));
      isHeld = false;
      opened = new Promise((resolve) => {
        open = resolve;
      });
    },
    async untilHeld(): Promise<void> {
      await clock.advance(hours(1) - clock.monotonicMs());
      await eventually(() => expect(isHeld).toBe(true));
    },
    /** The look that was held up and the next one are over. */
    async untilOver(): Promise<void> {
      const before = looks;
      open();
      await eventually(async () => {
        await clock.advance(minutes(1));
        expect(looks).toBeGreaterThan(before + 1);
      });
      expect(calls).toContain(`setUp ${hash(0)}`);
    },
  };
}

it.each([
  'unread',
  'not started',
])('leaves alone what a job adds and starts during a look that saw it %s', async (how) => {
  const look = heldUp();
  const { create, specs, has, hash, beside, calls, told, clock, turning } = look;
  has.delete(hash(1));
  const engine = create();
  await engine.start(specs.slice(0, 1));
  await look.untilSoon();
  // What it is told it does a moment later.
  let goOn: (() => void) | null = null;
  const later = (state: 'stopped' | 'seeding') => async () => {
    goOn = () => Object.assign(has.get(hash(1))!, { state, isWhole: true });
  };
  if (how === 'unread') beside.driver.readAgain = later('stopped');
  else beside.driver.start = later('seeding');
  const added = engine.add(specs[1]!, signal);
  await eventually(async () => {
    await clock.advance(10);
    expect(goOn).not.toBeNull();
  });
  await eventually(() => expect(calls.at(-1)).toBe(`look ${hash(1)}`));
  await look.untilHeld();
  goOn!();
  await turning(added);
  expect(has.get(hash(1))).toMatchObject({ state: 'seeding', isWhole: true });
  await look.untilOver();
  expect(told).toEqual([]);
  expect(calls).not.toContain(`stop ${hash(1)}`);
  await clock.advance(hours(2));
  expect(has.get(hash(1))?.state).toBe('seeding');
});

it('sees anew what it is about to stop', async () => {
  const look = heldUp();
  const { create, specs, has, hash, calls, told, clock, turning } = look;
  const engine = create();
  await engine.start(specs.slice(0, 1));
  // Later, or its own files would have to be looked at, too.
  await clock.advance(seconds(90));
  await turning(engine.add(specs[1]!, signal));
  await look.untilSoon();
  // It was started again, and had not read what it has when it was asked.
  Object.assign(has.get(hash(1))!, { state: 'downloading', isWhole: false });
  await look.untilHeld();
  Object.assign(has.get(hash(1))!, { state: 'seeding', isWhole: true });
  await look.untilOver();
  expect(told).toEqual([]);
  expect(calls).not.toContain(`stop ${hash(1)}`);
});

/** One torrent whose bytes are wrong, and which the program has stopped. */
async function condemned() {
  const setup = setupProgramBeside(1);
  const { create, specs, beside, hash, has, clock, problems, damaged } = setup;
  beside.spoiled.add(hash(0));
  const engine = create();
  await engine.start(specs);
  await eventually(async () => {
    await clock.advance(seconds(10));
    expect(damaged).toEqual([null]);
  });
  expect([...problems]).toEqual([[hash(0), 'seed_incomplete']]);
  expect(has.get(hash(0))).toMatchObject({ state: 'stopped', isWhole: false });
  const { contentRoot } = specs[0]!;
  const renew = () =>
    engine.renew({ infoHash: hash(0), path: join(contentRoot, 't0', 'dump.gz'), mtimeMs: 1 });
  const served = () =>
    eventually(async () => {
      await clock.advance(minutes(1));
      expect(has.get(hash(0))).toMatchObject({ state: 'seeding', isWhole: true });
      expect(problems.size).toBe(0);
    });
  return { ...setup, engine, renew, served };
}

it('what it finds wrong without saying where it reads again a day later, since it may have been a disk that was away', async () => {
  const { beside, hash, has, clock, problems, calls } = await condemned();
  const reads = () => calls.filter((call) => call === `read ${hash(0)}`).length;
  const before = reads();
  await clock.advance(hours(23));
  expect(reads()).toBe(before);
  beside.spoiled.delete(hash(0));
  await eventually(async () => {
    await clock.advance(minutes(10));
    expect(has.get(hash(0))).toMatchObject({ state: 'seeding', isWhole: true });
  });
  expect([...problems]).toEqual([]);
  expect(reads()).toBe(before + 1);
});

it('starts what it had stopped when the program has read it again and has every byte', async () => {
  const { has, hash, clock, calls, problems, served } = await condemned();
  await clock.advance(hours(3));
  expect([...problems.values()]).toEqual(['seed_incomplete']);
  expect(calls).not.toContain(`start ${hash(0)}`);
  Object.assign(has.get(hash(0))!, { isWhole: true });
  await served();
});

it('gives the program again what it has lost, and still does not start it when its bytes are wrong', async () => {
  const { has, hash, clock, calls, problems, beside, served, damaged } = await condemned();
  const adds = () => calls.filter((each) => each === `add ${hash(0)}`).length;
  has.clear();
  await clock.advance(minutes(2));
  await eventually(() => expect(has.get(hash(0))).toMatchObject({ state: 'stopped', isWhole: false }));
  await clock.advance(hours(1));
  expect([adds(), ...problems.values()]).toEqual([2, 'seed_incomplete']);
  expect(damaged).toHaveLength(1);
  expect(calls).not.toContain(`start ${hash(0)}`);
  has.clear();
  beside.spoiled.clear();
  await served();
});

it('does not start what a hand had stopped before its bytes were wrong, and says so', async () => {
  const { create, specs, has, hash, clock, problems, turning } = setupProgramBeside(1);
  const engine = create();
  await engine.start([]);
  await turning(engine.add(specs[0]!, signal));
  const view = has.get(hash(0))!;
  const isTold = (code: string) =>
    eventually(async () => {
      await clock.advance(minutes(1));
      expect([...problems]).toEqual([[hash(0), code]]);
    });
  expect(view.state).toBe('seeding');
  view.state = 'stopped';
  await isTold('stopped_by_hand');
  // Neither do the files, which are looked at every hour, start it.
  await clock.advance(hours(2));
  expect([view.state, ...problems.values()]).toEqual(['stopped', 'stopped_by_hand']);
  view.isWhole = false;
  await isTold('seed_incomplete');
  view.isWhole = true;
  await isTold('stopped_by_hand');
  await clock.advance(hours(2));
  expect(view.state).toBe('stopped');
  view.state = 'seeding';
  await eventually(async () => {
    await clock.advance(minutes(1));
    expect(problems.size).toBe(0);
  });
});

it.each([
  'before it lets go of it',
  'after it let go of it',
])('serves what was mended while the program went away, %s', async (when) => {
  const { beside, hash, has, problems, renew, served, turning, clock, damaged } = await condemned();
  beside.spoiled.clear();
  const { remove } = beside.driver;
  beside.driver.remove = async (infoHash, each) => {
    beside.isDown = when.startsWith('before');
    await remove(infoHash, each);
    beside.isDown = true;
  };
  await turning(renew());
  expect(beside.isDown).toBe(true);
  expect(has.size).toBe(when.startsWith('before') ? 1 : 0);
  await clock.advance(hours(5));
  expect(problems.has(hash(0))).toBe(true);
  beside.isDown = false;
  // Once more, when it is tried again.
  const { addStopped } = beside.driver;
  beside.driver.remove = remove;
  beside.driver.addStopped = async () => {
    beside.driver.addStopped = addStopped;
    throw down();
  };
  await served();
  expect(beside.driver.addStopped).toBe(addStopped);
  expect(damaged).toHaveLength(1);
});

it('reads it once more when another of its files was mended in the middle of the reading', async () => {
  const { has, hash, beside, renew, served, problems, clock, calls, turning, damaged } = await condemned();
  beside.isReading = true;
  await turning(renew());
  const view = has.get(hash(0))!;
  expect(view.state).toBe('checking');
  await renew();
  beside.isReading = false;
  beside.spoiled.clear();
  Object.assign(view, { state: 'stopped', isWhole: false });
  await eventually(async () => {
    await clock.advance(seconds(1));
    expect(damaged).toHaveLength(2);
  });
  expect([...problems.values()]).toEqual(['seed_incomplete']);
  await served();
  // At first, for the one and for the other.
  expect(calls.filter((each) => each === `read ${hash(0)}`)).toHaveLength(3);
});

it('does not read it again and again for what was mended before', async () => {
  const { has, hash, beside, renew, clock, calls, turning, problems, damaged } = await condemned();
  beside.isReading = true;
  await turning(renew());
  await renew();
  beside.isReading = false;
  Object.assign(has.get(hash(0))!, { state: 'stopped', isWhole: false });
  await eventually(async () => {
    await clock.advance(seconds(10));
    expect(damaged).toHaveLength(3);
  });
  await clock.advance(hours(3));
  expect([...problems.values()]).toEqual(['seed_incomplete']);
  expect(calls.filter((each) => each === `read ${hash(0)}`)).toHaveLength(3);
  expect(damaged).toHaveLength(3);
});

it('remembers that two were mended when the program goes away between the one and the other', async () => {
  const { renew, beside, served, turning, damaged } = await condemned();
  beside.driver.wrongFiles = async () => {
    // Read for the first one; the second comes next.
    beside.isDown = true;
    return ['t0/other.gz'];
  };
  await turning(Promise.all([renew(), renew()]));
  expect(damaged).toHaveLength(2);
  beside.isDown = false;
  beside.spoiled.clear();
  await served();
});

it('serves what was mended while it did not look itself', async () => {
  const { engine, specs, beside, renew, served } = await condemned();
  await engine.stop();
  beside.spoiled.clear();
  await renew();
  await engine.start(specs);
  await served();
});

it('does not take out what somebody else has added in the place of what was wrong', async () => {
  const { has, hash, calls, renew, problems, clock, turning } = await condemned();
  has.set(hash(0), { ...VIEW, infoHash: hash(0), savePath: '/home/me' });
  await turning(renew());
  expect(calls).not.toContain(`remove ${hash(0)}`);
  await eventually(async () => {
    await clock.advance(minutes(1));
    expect([...problems.values()]).toEqual(['torrent_elsewhere']);
  });
  Object.assign(has.get(hash(0))!, { state: 'seeding', isWhole: true });
  await eventually(async () => {
    await clock.advance(minutes(1));
    expect(problems.size).toBe(0);
  });
  expect(calls).not.toContain(`remove ${hash(0)}`);
});
