import { describe, expect, it } from 'vitest';
import { hours } from '../lib/index.ts';
import { createRoster } from './roster.ts';
import { createTurnBook } from './turn-book.ts';

/** Goal: everybody gets a turn, also where the process is restarted more often than turns end. */

const DAY_MS = hours(24);

function memoryState() {
  const values = new Map<string, string>();
  return {
    get: (key: string) => values.get(key) ?? null,
    set: (key: string, value: string) => void values.set(key, value),
    delete: (key: string) => void values.delete(key),
    list: () => [],
  };
}

/** @returns when each was served first, by infohash, of 30 torrents in 5 places */
function live(options: { days: number; lifeMs: number; isCrashing: boolean }): Map<string, number> {
  const state = memoryState();
  const firstMs = new Map<string, number>();
  for (let startMs = 0; startMs < options.days * DAY_MS; startMs += options.lifeMs) {
    const roster = createRoster(5);
    const turns = createTurnBook(state);
    for (let n = 0; n < 30; n += 1) {
      const infoHash = String(n).padStart(40, '0');
      // Wall time; the monotonic clock begins anew with each life.
      const spec = { infoHash, torrentFile: '', contentRoot: '', seeders: n % 4 };
      roster.want(spec, 0, turns.waitedMs(infoHash, startMs));
    }
    for (let at = 0; at < options.lifeMs; at += hours(1)) {
      roster.settle(at);
      for (const infoHash of roster.waits(at)?.keys() ?? [])
        if (roster.get(infoHash)?.state === 'active' && !firstMs.has(infoHash))
          firstMs.set(infoHash, startMs + at);
      turns.keep(roster.waits(at), startMs + at);
    }
    if (!options.isCrashing) turns.keep(roster.waits(options.lifeMs), startMs + options.lifeMs);
  }
  return firstMs;
}

describe('turns over restarts', () => {
  it.each([
    [hours(5), false],
    [hours(5), true],
    [hours(2), true],
    [hours(9), false],
  ])('lives of %i ms, crashing %s: everybody is served within days', (lifeMs, isCrashing) => {
    const firstMs = live({ days: 10, lifeMs, isCrashing });
    expect(firstMs.size).toBe(30);
    expect(Math.max(...firstMs.values())).toBeLessThan(6 * DAY_MS);
  });

  it('says nothing while all have a place, and forgets what was kept', () => {
    const state = memoryState();
    const turns = createTurnBook(state);
    const roster = createRoster(2);
    for (const infoHash of ['a', 'b', 'c']) roster.want({ infoHash, torrentFile: '', contentRoot: '' }, 0);
    roster.settle(0);
    turns.keep(roster.waits(1000), 5000);
    expect(createTurnBook(state).waitedMs('c', 6000)).toBe(2000);
    expect(createTurnBook(state).waitedMs('a', 6000)).toBe(1000);
    // A clock that was wrong.
    expect(createTurnBook(state).waitedMs('a', 10)).toBe(0);
    roster.forget('c');
    turns.keep(roster.waits(2000), 7000);
    expect(createTurnBook(state).waitedMs('b', 9000)).toBe(0);
  });

  it('begins anew when what was kept is no order', () => {
    const state = memoryState();
    state.set('seeding:turns', '{"a":"b"}');
    expect(createTurnBook(state).waitedMs('a', 10)).toBe(0);
  });
});
