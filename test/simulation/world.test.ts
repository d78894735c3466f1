import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../helpers/with-db.ts';
import { at, DAY, MINUTE } from './moments.ts';
import { FAIR } from './weather.ts';
import { createWorld, type World } from './world.ts';

/*
 * Goal: the simulated world itself neither stands still nor spins without a word. Method: another connection takes the write lock of the
 * database while downloads end, as an sqlite3 shell would.
 */

const START = at('2026-01-02T06:00');

async function begin(): Promise<{ world: World; hold: () => () => void; held: () => number }> {
  const dataDir = temporaryFolder();
  const world = createWorld({
    ...{ seed: 1, wikis: 20, from: '2026-01-01', to: '2026-02-20', rates: {}, weather: FAIR, dataDir },
    ...{ traps: [], startsAt: START, sources: ['classic'], dumpCheck: '17 5 * * *' },
    line: { bytesPerSecond: 20e6, perFileMs: 60_000 },
  });
  onTestFinished(() => world.close());
  await world.start();
  const { sqlite } = world.db();
  const fetching = sqlite
    .prepare<[], number>(
      `SELECT count(*) FROM jobs WHERE job_type = 'download_dump' AND status = 'in_progress'`,
    )
    .pluck();
  for (let now = START; fetching.get() === 0; now += 10 * MINUTE) {
    expect(now).toBeLessThan(START + 3 * DAY);
    expect(await world.runUntil(now)).toBe(true);
  }
  sqlite.pragma('busy_timeout = 0');
  const other = new Database(sqlite.name);
  onTestFinished(() => void other.close());
  return {
    world,
    hold() {
      other.exec('BEGIN IMMEDIATE');
      return () => void other.exec('ROLLBACK');
    },
    held: () =>
      sqlite
        .prepare<[], number>(`SELECT count(*) FROM dumps WHERE our_status = 'downloaded'`)
        .pluck()
        .get() as number,
  };
}

test('a database that somebody else holds for a while does not stop the world', async () => {
  const { world, hold, held } = await begin();
  const release = hold();
  const before = held();
  expect(await world.runUntil(world.clock.now() + 40 * 60_000)).toBe(true);
  expect(held()).toBe(before);
  release();
  expect(await world.runUntil(world.clock.now() + DAY)).toBe(true);
  expect(held()).toBeGreaterThan(before);
});

test('one that stays unusable ends the test by name', async () => {
  const { world, hold } = await begin();
  const release = hold();
  await expect(world.runUntil(world.clock.now() + 3 * DAY)).rejects.toThrow(
    /since 2026-01-.*the database could not be written: database is locked/,
  );
  release();
});
