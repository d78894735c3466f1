import { describe, expect, it } from 'vitest';
import { hours } from '../lib/index.ts';
import { chooseActive, type RotatingTorrent, TURN_MS } from './rotation.ts';

/** Goal: the neediest are served, none flips, everybody gets a turn. */

const torrent = (infoHash: string, rest: Partial<RotatingTorrent> = {}): RotatingTorrent => ({
  infoHash,
  seeders: 3,
  state: 'new',
  sinceMs: 0,
  ...rest,
});

describe('chooseActive', () => {
  it('takes all when there is room for all', () => {
    expect(chooseActive([torrent('b'), torrent('a')], 2, 0)).toEqual(['a', 'b']);
    expect(chooseActive([], 2, 0)).toEqual([]);
    expect(chooseActive([torrent('b')], 0, 0)).toEqual([]);
  });

  it('takes those with the fewest seeders; unknown counts as none', () => {
    const torrents = [
      torrent('many', { seeders: 90 }),
      torrent('few', { seeders: 1 }),
      torrent('unknown', { seeders: null }),
      torrent('none', { seeders: 0 }),
    ];
    expect(chooseActive(torrents, 3, 0)).toEqual(['none', 'unknown', 'few']);
    expect(chooseActive([...torrents].reverse(), 3, 0)).toEqual(['none', 'unknown', 'few']);
  });

  it('lets a torrent finish its turn, and its rest, also when others need it more', () => {
    const served = torrent('served', { state: 'active', seeders: 50, sinceMs: 0 });
    const needy = torrent('needy', { seeders: 0 });
    expect(chooseActive([served, needy], 1, TURN_MS - 1)).toEqual(['served']);
    expect(chooseActive([served, needy], 1, TURN_MS)).toEqual(['needy']);
    const resting = { ...needy, state: 'resting' as const };
    const waiting = torrent('waiting', { seeders: 9 });
    expect(chooseActive([resting, waiting], 1, TURN_MS - 1)).toEqual(['waiting']);
    expect(chooseActive([resting, waiting], 1, TURN_MS)).toEqual(['needy']);
  });

  it('leaves no place empty for the sake of a rest', () => {
    const resting = torrent('resting', { state: 'resting', sinceMs: 0 });
    expect(chooseActive([resting, torrent('new')], 2, 1)).toEqual(['new', 'resting']);
  });

  it('changes places among equals: the longest served rests, the longest rested is served', () => {
    const equals = [
      torrent('a', { state: 'active', sinceMs: 0 }),
      torrent('b', { state: 'active', sinceMs: 10 }),
      torrent('c', { state: 'resting', sinceMs: 0 }),
      torrent('d', { state: 'resting', sinceMs: 10 }),
    ];
    expect(chooseActive(equals, 3, hours(7)).sort()).toEqual(['b', 'c', 'd']);
    expect(chooseActive(equals, 2, hours(7)).sort()).toEqual(['c', 'd']);
  });

  it('gives everybody a turn within days, and the needy more of them, without flipping', () => {
    const now = { ms: 0 };
    const torrents = Array.from({ length: 30 }, (_, index) =>
      torrent(String(index).padStart(2, '0'), { seeders: index < 20 ? 0 : index }),
    );
    const servedMs = new Map<string, number>();
    const lookMs = hours(1);
    for (; now.ms < hours(24 * 60); now.ms += lookMs) {
      const chosen = new Set(chooseActive(torrents, 5, now.ms));
      expect(chosen.size).toBe(5);
      for (const each of torrents) {
        const isActive = chosen.has(each.infoHash);
        if (isActive) servedMs.set(each.infoHash, (servedMs.get(each.infoHash) ?? 0) + lookMs);
        if (isActive === (each.state === 'active')) continue;
        if (each.state !== 'new') expect(now.ms - each.sinceMs).toBeGreaterThanOrEqual(TURN_MS);
        if (each.state === 'new' && !isActive) continue;
        each.state = isActive ? 'active' : 'resting';
        each.sinceMs = now.ms;
      }
    }
    expect([...servedMs.keys()]).toHaveLength(30);
    expect(servedMs.get('00')).toBeGreaterThan(3 * servedMs.get('29')!);
  });
});
