import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../helpers/with-db.ts';
import { checkTables } from './check.ts';
import { countRequests } from './check-requests.ts';
import { at, DAY } from './moments.ts';
import { YEAR_RATES } from './runs.ts';
import { yearOfWeather } from './weather.ts';
import { createWorld, HISTORY_MONTHS, HISTORY_TYPES, REGULAR_TYPES } from './world.ts';

/**
 * Goal: a year of cycles, each opened, sealed, torrented and published once, with every gap told as it was.
 * Method: the real rooms over a real database; the world is a model of Wikimedia that answers in its own formats at the time of a
 * clock that leaps. Bytes, hashing and swarms are faked by handlers of the same job types.
 * Faults: jobs of upstream's that fail, hang or are rerun, late and missing and wrong hashes, files replaced and renamed, runs
 * removed (some while they are fetched), torn documents, overloads, outages; wikis that come, close and vanish; the daemon is
 * down for three days and for five weeks, and is killed in the middle of a look.
 */
const SEED = Number(process.env.WIKISEED_YEAR_SEED ?? 1);
const WIKIS = Number(process.env.WIKISEED_YEAR_WIKIS ?? 80);
/** A machine that does other things too needs some two seconds for a wiki's year. */
const TIMEOUT_MS = 5 * 60_000 + WIKIS * 2_000;
const FROM = '2026-01-01';
const TO = '2026-12-20';
/** Late files of the last cycle may come until then. */
const END = at('2027-02-01');
const DOWNTIMES = [
  [at('2026-03-13T03:00'), at('2026-03-16T03:00')],
  [at('2026-07-12T10:00'), at('2026-08-16T10:00')],
] as const;
const KILLS = [
  { after: at('2026-04-22'), asked: 'index' },
  { after: at('2026-10-09'), asked: 'export' },
] as const;

test(
  `a year of ${WIKIS} wikis leaves no cycle out and no gap unexplained (seed ${SEED})`,
  async () => {
    const dataDir = temporaryFolder();
    // Of few wikis few statuses are asked for: more of them are torn, so that any is.
    const weather = { ...yearOfWeather(SEED), tornStatus: Math.max(0.02, Math.min(0.2, 8 / WIKIS)) };
    const world = createWorld({
      ...{ seed: SEED, wikis: WIKIS, from: FROM, to: '2027-01-20', rates: YEAR_RATES, weather, dataDir },
      traps: ['2026-03-20', '2026-06-01', '2026-11-20'],
      startsAt: at('2026-01-02T06:00'),
      line: { bytesPerSecond: 20e6, perFileMs: 1000 },
      sources: ['classic', 'content_current'],
      // Every third day: a year of daily looks takes three times as long, and shows nothing more.
      dumpCheck: '17 5 */3 * *',
    });
    const until = async (epochMs: number): Promise<void> => {
      for (const { after, asked } of KILLS) {
        if (after <= world.clock.now() || after > epochMs) continue;
        expect(await world.runUntil(after)).toBe(true);
        world.killAt(asked);
        expect(await world.runUntil(after + 4 * DAY)).toBe(false);
        await world.start();
      }
      expect(await world.runUntil(epochMs)).toBe(true);
    };
    await world.start();
    for (const [from, to] of DOWNTIMES) {
      await until(from);
      await world.stop();
      world.leaveAlone(to);
      await world.start();
    }
    await until(END);

    const { sqlite } = world.db();
    const { problems, figures } = checkTables(sqlite, {
      ...{ upstream: world.upstream, weather, from: FROM, to: TO, now: END },
      ...{ regularTypes: REGULAR_TYPES, historyTypes: HISTORY_TYPES, historyMonths: HISTORY_MONTHS },
      downtimes: DOWNTIMES,
      lookEvery: 3 * DAY,
    });
    const sealed = sqlite.prepare('SELECT sealed_at FROM cycles WHERE cycle_date = ?').pluck();
    const openUntil = (cycleDate: string): number => (sealed.get(cycleDate) as number | null) ?? END;
    const opened = sqlite.prepare('SELECT opened_at FROM cycles WHERE cycle_date = ?').pluck();
    const weeksOpen = (cycleDate: string): number =>
      Math.ceil((openUntil(cycleDate) - (opened.get(cycleDate) as number)) / (7 * DAY));
    const { costs, matrix, unasked } = countRequests(world.upstream, openUntil);
    const bounds = costs.map((cost) => ({
      cost,
      // Finished exports are read anew once a week: nothing else tells that one was made again.
      most: cost.source === 'classic' ? WIKIS + 200 : 2 * WIKIS * (1 + weeksOpen(cost.cycleDate)) + 500,
    }));
    const troubles = new Map<string, number>();
    for (const run of world.upstream.runs.values())
      for (const trouble of run.troubles)
        troubles.set(`${run.source} ${trouble}`, (troubles.get(`${run.source} ${trouble}`) ?? 0) + 1);
    process.stdout.write(
      `${[
        ...[...troubles].sort().map(([name, n]) => `upstream: ${name}: ${n}`),
        ...[...world.upstream.mishaps].map(([name, n]) => `requests: ${name}: ${n}`),
        ...[...figures].sort().map(([name, n]) => `${name}: ${n}`),
        ...bounds.map(
          ({ cost, most }) =>
            `requests for ${cost.cycleDate} ${cost.source}: ${cost.requests} of ${most}; ${cost.quietDays} quiet days, ${cost.mostInQuietLook} requests for a look at most`,
        ),
        `requests for the site matrix: ${matrix}`,
        `resources: ${(process.cpuUsage().user + process.cpuUsage().system) / 1e6} s of CPU, ${Math.round(performance.now() / 1000)} s, ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB at most`,
      ].join('\n')}\n`,
    );
    world.close();
    rmSync(dataDir, { recursive: true, force: true });

    expect(problems).toEqual([]);
    // What was to go wrong did.
    for (const mishap of [
      'out of reach',
      'overloaded',
      'torn index',
      'torn status',
      'torn listing',
      'cut matrix',
    ] as const)
      expect(world.upstream.mishaps.get(mishap), mishap).toBeGreaterThan(0);
    expect(world.upstream.removedWhileFetched.size).toBe(3);
    expect(unasked).toEqual([]);
    for (const { cost, most } of bounds) {
      expect(cost.requests, `${cost.cycleDate} ${cost.source}`).toBeLessThanOrEqual(most);
      expect(
        cost.mostInQuietLook,
        `${cost.cycleDate} ${cost.source}, quiet ${cost.askedOnIt}`,
      ).toBeLessThanOrEqual(3);
    }
    expect(costs.some(({ quietDays }) => quietDays > 0)).toBe(true);
  },
  TIMEOUT_MS,
);
