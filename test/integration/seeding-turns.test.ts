import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createSystemState } from '../../src/db/index.ts';
import { hours, minutes, seconds } from '../../src/lib/index.ts';
import { createTurnBook } from '../../src/seeding/turn-book.ts';
import { embeddedSeeder, specOf } from '../helpers/embedded-seeder.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { makePlainTorrent, type PlainTorrent } from '../helpers/plain-torrent.ts';
import { recordingLog } from '../helpers/seeding-bundle.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/*
 * Goal: more torrents than may be served at once are served in turn, and a thread that dies is replaced.
 * Method: the real thread and a clock that is turned by hand; whether a torrent is served, a handshake of BEP 3 says.
 */

function torrentsIn(contentRoot: string, names: string): PlainTorrent[] {
  return [...names].map((name) => {
    mkdirSync(join(contentRoot, name));
    writeFileSync(join(contentRoot, name, 'dump.gz'), randomBytes(1000));
    return makePlainTorrent({
      ...{ contentRoot, name, pieceLength: 2 ** 14, files: [{ path: 'dump.gz', sizeBytes: 1000 }] },
    });
  });
}

/** What a stranger who connects is answered with: a handshake, or a closed door. */
function isServed(port: number, infoHash: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.write(
        Buffer.concat([
          Buffer.from('\x13BitTorrent protocol\0\0\0\0\0\0\0\0', 'latin1'),
          Buffer.from(infoHash, 'hex'),
          Buffer.from('-XX0001-123456789012'),
        ]),
      );
    });
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    onTestFinished(() => void socket.destroy());
  });
}

/** A seeder with three torrents and two places. */
async function crowded(counts: Record<string, number | null>) {
  const contentRoot = temporaryFolder();
  const torrents = torrentsIn(contentRoot, 'abc');
  const clock = new FakeClock();
  const recorded = recordingLog();
  const room = embeddedSeeder({ clock, log: recorded.log, maxActiveTorrents: 2 });
  const specs = torrents.map((torrent) => ({ ...specOf(torrent), seeders: counts[torrent.name] ?? null }));
  const states = async (): Promise<Record<string, string>> =>
    Object.fromEntries(
      (await room.seeder.snapshot())
        .map(({ infoHash, state }) => [torrents.find((each) => each.infoHash === infoHash)!.name, state])
        .sort(),
    );
  const byName = (name: string): PlainTorrent => torrents.find((each) => each.name === name)!;
  const served = (name: string) => isServed(room.seeder.port()!, byName(name).infoHash);
  return { ...room, ...recorded, clock, specs, states, served, byName, contentRoot };
}

const signal = new AbortController().signal;

describe('more torrents than places', () => {
  it('serves those with the fewest seeders, and leaves the files of the others alone', async () => {
    const { seeder, specs, states, served, byName, contentRoot } = await crowded({ a: 5, b: 0, c: 9 });
    // Gone: whoever looked at it would complain.
    rmSync(join(contentRoot, 'c'), { recursive: true });
    await seeder.start(specs);
    expect(await states()).toEqual({ a: 'seeding', b: 'seeding', c: 'resting' });
    expect(await Promise.all(['a', 'b', 'c'].map(served))).toEqual([true, true, false]);
    expect((await seeder.snapshot()).find(({ infoHash }) => infoHash === byName('c').infoHash)).toMatchObject(
      {
        seeders: 9,
        problem: null,
      },
    );
  });

  it('changes places when a turn is over, and not before', async () => {
    const { seeder, specs, states, served, clock, next } = await crowded({ a: 0, b: 2, c: 9 });
    await seeder.start(specs);
    seeder.noteSeeders(new Map(specs.map(({ infoHash }, at) => [infoHash, [0, 50, 1][at]!])));
    await clock.advance(hours(6) - minutes(20));
    expect(await states()).toEqual({ a: 'seeding', b: 'seeding', c: 'resting' });
    const rests = next('a torrent rests, because others need to be seeded more');
    await clock.advance(minutes(20));
    await rests;
    await expect.poll(states).toEqual({ a: 'seeding', b: 'resting', c: 'seeding' });
    expect(await Promise.all(['a', 'b', 'c'].map(served))).toEqual([true, false, true]);
  });

  it('gives the place of a torrent that cannot be loaded, or is retired, to the next', async () => {
    const { seeder, specs, states, byName, contentRoot, problems } = await crowded({ a: 0, b: 1, c: 2 });
    rmSync(join(contentRoot, 'a', 'dump.gz'));
    await seeder.start(specs);
    expect(await states()).toEqual({ a: 'broken', b: 'seeding', c: 'seeding' });
    expect([...problems]).toEqual([[byName('a').infoHash, 'seed_file_missing']]);
    await seeder.remove(byName('a').infoHash);
    expect(problems.size).toBe(0);
    expect(await states()).toEqual({ b: 'seeding', c: 'seeding' });
  });

  it('lets a new one rest when all places are taken, and says so by not failing', async () => {
    const { seeder, specs, states, served } = await crowded({ a: 0, b: 0, c: 0 });
    await seeder.start(specs.slice(0, 2));
    await seeder.add(specs[2]!, signal);
    expect(await states()).toEqual({ a: 'seeding', b: 'seeding', c: 'resting' });
    await seeder.remove(specs[0]!.infoHash);
    await expect.poll(states).toEqual({ b: 'seeding', c: 'seeding' });
    expect(await served('c')).toBe(true);
  });
});

describe('restarts', () => {
  it('everybody has a turn, although no process lives until the end of one', async () => {
    const contentRoot = temporaryFolder();
    const torrents = torrentsIn(contentRoot, 'abc');
    const state = createSystemState(withDb());
    const clock = new FakeClock();
    const served: string[] = [];
    for (let start = 0; start < 6; start += 1) {
      const { seeder } = embeddedSeeder({ clock, maxActiveTorrents: 1, turns: createTurnBook(state) });
      await seeder.start(torrents.map(specOf));
      const now = (await seeder.snapshot()).filter(({ state: word }) => word === 'seeding');
      served.push(
        now.map(({ infoHash }) => torrents.find((each) => each.infoHash === infoHash)!.name).join(),
      );
      await clock.advance(hours(5));
      await seeder.stop();
    }
    expect([...served].slice(0, 3).sort()).toEqual(['a', 'b', 'c']);
    expect(served.slice(3)).toEqual(served.slice(0, 3));
  });
});

describe('a thread that dies', () => {
  it('is replaced after a wait that grows, and everything is served again', async () => {
    const { seeder, specs, states, clock, kill, next, entries } = await crowded({ a: 0, b: 1, c: 2 });
    await seeder.start(specs);
    const waits: unknown[] = [];
    for (const waitMs of [seconds(1), seconds(2), seconds(4)]) {
      const died = next('the seeding thread ended; starting another');
      await kill();
      await died;
      expect(seeder.port()).toBeNull();
      waits.push(entries.findLast(({ message }) => message.startsWith('the seeding thread ended'))?.fields);
      await clock.advance(waitMs - 1);
      expect(seeder.port()).toBeNull();
      const listens = next('listening for peers');
      await clock.advance(1);
      await listens;
      await expect.poll(states).toEqual({ a: 'seeding', b: 'seeding', c: 'resting' });
    }
    expect(waits).toMatchObject([{ delayMs: 1000 }, { delayMs: 2000 }, { delayMs: 4000 }]);
    expect(seeder.restarts()).toBe(3);
    // One that lived for a while was healthy.
    await clock.advance(minutes(2));
    const died = next('the seeding thread ended; starting another');
    await kill();
    await died;
    expect(entries.at(-1)?.fields).toMatchObject({ delayMs: 1000 });
  });

  it('is tried again with the same waits when the system has nothing left to start it with', async () => {
    const clock = new FakeClock();
    let refusals = 2;
    let launches = 0;
    const onLaunch = (): void => {
      launches += 1;
      if (launches > 1 && refusals-- > 0) throw new Error('spawn ENOMEM');
    };
    const { log, entries, next } = recordingLog();
    const { seeder, problems, told, kill } = embeddedSeeder({ clock, log, onLaunch });
    const [torrent] = torrentsIn(temporaryFolder(), 'a');
    await seeder.start([specOf(torrent!)]);
    const died = next('the seeding thread ended; starting another');
    await kill();
    await died;
    await clock.advance(seconds(1));
    expect([...problems]).toEqual([[null, 'seeder_not_started']]);
    await clock.advance(seconds(2));
    expect(launches).toBe(3);
    const listens = next('listening for peers');
    await clock.advance(seconds(4));
    await listens;
    expect(problems.size).toBe(0);
    expect(told.map(({ code }) => code)).toEqual(['seeder_not_started', null]);
    expect(entries.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      'the seeding thread ended; starting another',
      'Nothing is seeded: the seeding client cannot be started (Error: spawn ENOMEM); WikiSeed goes on trying.',
    ]);
    await expect.poll(async () => (await seeder.snapshot())[0]?.state).toBe('seeding');
  });

  it('is not replaced after a stop, whose goodbye has a deadline', async () => {
    const { seeder, specs, clock, states } = await crowded({});
    await seeder.start(specs);
    const stopped = seeder.stop();
    await stopped;
    await clock.advance(minutes(10));
    expect(seeder.restarts()).toBe(0);
    expect(await states()).toEqual({});
    await seeder.start([]);
    expect(Object.values(await states()).sort()).toEqual(['resting', 'seeding', 'seeding']);
  });
});

it('a torrent with a file that changed is broken until the file is as it was, which is told', async () => {
  const { seeder, specs, states, clock, byName, contentRoot, problems, damaged } = await crowded({
    a: 0,
    b: 1,
    c: 9,
  });
  const path = join(contentRoot, 'a', 'dump.gz');
  const bytes = readFileSync(path);
  writeFileSync(path, Buffer.concat([bytes, bytes]));
  await seeder.start(specs);
  expect(damaged).toEqual([{ infoHash: byName('a').infoHash, path }]);
  expect([...problems]).toEqual([[byName('a').infoHash, 'seed_file_changed']]);
  writeFileSync(path, bytes);
  utimesSync(path, 1_760_000_000, 1_760_000_000);
  await seeder.remove(byName('b').infoHash);
  // Nobody has looked at it yet.
  expect(problems.size).toBe(1);
  await clock.advance(minutes(5));
  await expect.poll(states).toEqual({ a: 'seeding', c: 'seeding' });
  expect(problems.size).toBe(0);
});
