import { expect, test } from 'vitest';
import { temporaryFolder } from '../helpers/with-db.ts';
import { at, DAY } from './moments.ts';
import { FAIR } from './weather.ts';
import { createWorld } from './world.ts';

/**
 * Goal: when the line is the limit, work in the order of risk has a verified text of every project and language sooner than
 * work in the order of discovery.
 * Method: one and the same cycle of the simulated world, twice; the second time all downloads are of one priority.
 */
const SEED = Number(process.env.WIKISEED_YEAR_SEED ?? 1);
const WIKIS = 1000;
const BEGIN = at('2026-01-27T06:00');

/** Days after the beginning by which half, nearly all, and all wikis have one whole set of a text type. */
async function daysUntilCovered(
  isFirstInFirstOut: boolean,
): Promise<{ half: number; most: number; all: number }> {
  const world = createWorld({
    ...{
      seed: SEED,
      wikis: WIKIS,
      from: '2026-01-01',
      to: '2026-02-01',
      rates: {},
      weather: FAIR,
      traps: [],
    },
    dataDir: temporaryFolder(),
    startsAt: BEGIN,
    // 10 Mbit/s: the cycle's files take longer than upstream takes to make them.
    line: { bytesPerSecond: 1.25e6, perFileMs: 300 },
    sources: ['classic'],
    dumpCheck: 'daily',
    isFirstInFirstOut,
  });
  await world.start();
  await world.runUntil(BEGIN + 12 * DAY);
  const times = world
    .db()
    .sqlite.prepare(
      `SELECT min(at) FROM (SELECT wiki_db_name, dump_type, iif(count(*) = count(sha1), max(downloaded_at), NULL) AS at FROM dumps
         WHERE cycle_date = '2026-01-20' AND dump_type IN ('pages-articles', 'pages-meta-current', 'pages-meta-history') GROUP BY 1, 2)
        GROUP BY wiki_db_name ORDER BY 1`,
    )
    .pluck()
    .all() as (number | null)[];
  await world.stop();
  expect(times).not.toContain(null);
  const day = (share: number): number =>
    ((times[Math.ceil(times.length * share) - 1] as number) - BEGIN) / DAY;
  // Excluded, and not begun yet.
  expect(times).toHaveLength(WIKIS - 2);
  return { half: day(0.5), most: day(0.99), all: day(1) };
}

test('by risk every project and language is safe sooner than first in, first out', async () => {
  const byRisk = await daysUntilCovered(false);
  const firstComeFirstServed = await daysUntilCovered(true);
  const tell = ({ half, most, all }: typeof byRisk): string =>
    `half ${half.toFixed(2)}, 99 % ${most.toFixed(2)}, all ${all.toFixed(2)} days`;
  process.stdout.write(
    `a verified text of every wiki, by risk: ${tell(byRisk)}; first in, first out: ${tell(firstComeFirstServed)} (seed ${SEED})\n`,
  );
  expect(byRisk.all).toBeLessThan(firstComeFirstServed.all);
  expect(byRisk.half).toBeLessThan(firstComeFirstServed.half);
}, 300_000);
