import { at, DAY, dice, HOUR } from './moments.ts';

/** What the site does to a request instead of answering it, or to its answer. */
export type Mishap =
  | 'out of reach'
  | 'overloaded'
  | 'torn index'
  | 'torn status'
  | 'torn listing'
  | 'cut matrix';

/** When the site has bad days. Days as `YYYY-MM-DD`, times with `T`. */
export interface Weather {
  /** Nobody answers at all. */
  outages: readonly (readonly [from: number, until: number])[];
  /** 503 with Retry-After. */
  overloads: readonly (readonly [from: number, until: number])[];
  /** Of a day's answers the first ones are torn: so many. */
  tornIndexes: Readonly<Record<string, number>>;
  tornListings: Readonly<Record<string, number>>;
  /** A site matrix that lacks a third of all wikis. */
  cutMatrices: readonly string[];
  /** Share of `dumpstatus.json` that come torn. */
  tornStatus: number;
}

export const FAIR: Weather = {
  outages: [],
  overloads: [],
  tornIndexes: {},
  tornListings: {},
  cutMatrices: [],
  tornStatus: 0,
};

/** A year's weather: some things at fixed times, some by chance. */
export function yearOfWeather(seed: number): Weather {
  const throws = dice(seed, 'weather');
  const day = (month: number, from: number, to: number): string =>
    `2026-${String(month).padStart(2, '0')}-${String(throws.whole(from, to)).padStart(2, '0')}`;
  const overloads = Array.from({ length: 10 }, (_, index) => {
    const from = at(day(index + 2, 2, 26)) + 5 * HOUR;
    return [from, from + throws.whole(1, 9) * HOUR] as const;
  });
  return {
    outages: [
      [at('2026-02-10'), at('2026-02-12')],
      [at('2026-05-29T12:00'), at('2026-06-02T03:00')],
      [at(day(11, 3, 12)), at(day(11, 3, 12)) + DAY],
    ],
    overloads,
    tornIndexes: {
      [day(3, 2, 6)]: 1,
      [day(4, 21, 27)]: 2,
      [day(6, 8, 12)]: 4,
      [day(9, 3, 9)]: 6,
      '2026-10-25': 1,
    },
    tornListings: { [day(4, 8, 12)]: 1, [day(9, 10, 13)]: 5 },
    cutMatrices: ['2026-03-02', '2026-10-05'],
    tornStatus: 0.02,
  };
}
