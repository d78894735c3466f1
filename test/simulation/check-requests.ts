import { isThere, runDateOf } from './documents.ts';
import { keyOf } from './history.ts';
import { DAY, dayOf } from './moments.ts';
import type { Request, SimUpstream } from './upstream.ts';

/** What one cycle cost upstream at one source. */
export interface Cost {
  cycleDate: string;
  source: 'classic' | 'content_current';
  requests: number;
  /** Days with a look at it on which upstream had nothing new, and the most requests for a look on one of them. */
  quietDays: number;
  mostInQuietLook: number;
  /** What was asked on that day, for people. */
  askedOnIt: string;
}

/** Adds up what was asked for each cycle; only cycles that were open, for quiet days. */
export function countRequests(
  upstream: SimUpstream,
  openUntil: (cycleDate: string) => number,
): { costs: Cost[]; matrix: number; unasked: Request[] } {
  const costs = new Map<string, Cost>();
  const days = new Map<string, { cost: Cost; from: number; requests: Request[] }>();
  const lastLook = new Map<string, number>();
  const firstDays = new Map<string, string>();
  const unasked: Request[] = [];
  /** By source, cycle and wiki: the days on which it was asked for on its own, as epoch ms, ascending. */
  const askedOn = new Map<string, number[]>();
  let matrix = 0;
  for (const request of upstream.requests) {
    if (request.asked === 'matrix') {
      matrix += 1;
      continue;
    }
    const [, cycleDate, content] =
      /^find_dumps:(\d{4}-\d{2}-\d{2}):(content_current)?/.exec(request.job ?? '') ?? [];
    if (cycleDate === undefined) {
      unasked.push(request);
      continue;
    }
    const source = content === undefined ? 'classic' : 'content_current';
    const key = `${cycleDate}/${source}`;
    const cost = costs.get(key) ?? {
      cycleDate,
      source,
      requests: 0,
      quietDays: 0,
      mostInQuietLook: 0,
      askedOnIt: '',
    };
    costs.set(key, cost);
    cost.requests += 1;
    const day = `${key}/${dayOf(request.at)}`;
    const ofWiki = `${key}/${request.wikiDbName}`;
    const own = askedOn.get(ofWiki);
    if (own === undefined) askedOn.set(ofWiki, [request.at]);
    else if (dayOf(own.at(-1) as number) !== dayOf(request.at)) own.push(request.at);
    if (!firstDays.has(key)) firstDays.set(key, day);
    const isGood = (request.status === 200 || request.status === 304) && !request.isTorn;
    const today = days.get(day);
    if (today !== undefined) today.requests.push(request);
    else if (firstDays.get(key) !== day && lastLook.has(key) && request.at < openUntil(cycleDate))
      days.set(day, { cost, from: lastLook.get(key) as number, requests: [request] });
    if (isGood && (request.asked === 'index' || request.asked === 'exports')) lastLook.set(key, request.at);
  }
  for (const { cost, from, requests } of days.values()) {
    const until = Math.max(...requests.map((request) => request.at));
    const isSpoiled = requests.some(({ status, isTorn }) => isTorn || status === 0 || status === 503);
    if (
      isSpoiled ||
      !upstream.isQuiet(cost.source, runDateOf(cost.source, cost.cycleDate), from - DAY / 2, until)
    )
      continue;
    cost.quietDays += 1;
    // Whoever waits for a hash reads the lists of sums of that run: four, and two of each file's own.
    const sums = requests.filter(({ asked }) => asked === 'sums').length;
    const waiting =
      cost.source === 'classic' ? upstream.unproved(runDateOf('classic', cost.cycleDate), until) : 0;
    const others = requests.filter((request) => {
      const times = askedOn.get(`${cost.cycleDate}/${cost.source}/${request.wikiDbName}`) ?? [];
      const before = times.findLast((time) => dayOf(time) < dayOf(request.at)) ?? 0;
      return !isExpected(upstream, cost, request, before);
    });
    // There are two on the day on which the list of wikis is read: a look of its own follows it.
    const looks = requests.filter(({ asked }) => asked === 'index' || asked === 'exports').length;
    // Once in thirty days three listings are read, to learn how long upstream keeps its runs.
    const sampled = Math.min(others.filter(({ asked }) => asked === 'wiki listing').length, 3);
    const count = (others.length - Math.min(sums, 6 * waiting) - sampled) / Math.max(1, looks);
    if (count <= cost.mostInQuietLook) continue;
    cost.mostInQuietLook = count;
    cost.askedOnIt = `${dayOf(until)}: ${others.map(({ asked, wikiDbName }) => `${asked} ${wikiDbName}`).join(', ')}`;
  }
  return { costs: [...costs.values()], matrix, unasked };
}

/**
 * Questions that are asked however quiet it is, each wiki's at most once a week (the whole cost of a cycle has a bound of its own):
 * whether a finished export was made anew, or was removed, which nothing else would tell, and whether a run that the index does
 * not show is there. Of an export that was begun, and that upstream does not end, every look asks.
 * @param before when this wiki was asked for on the last day before
 */
function isExpected(upstream: SimUpstream, cost: Cost, request: Request, before: number): boolean {
  const { source, cycleDate } = cost;
  const { asked, wikiDbName } = request;
  const run = upstream.runs.get(keyOf({ source, wikiDbName, runDate: runDateOf(source, cycleDate) }));
  const isHere = run !== undefined && isThere(run, request.at);
  if (source === 'classic') return !isHere && (asked === 'status' || asked === 'wiki listing');
  if (isHere) return asked === 'export';
  return (asked === 'export' || asked === 'wiki exports') && request.at - before >= 6 * DAY;
}
