import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { days } from '../../src/lib/index.ts';
import { backupName, planBackupRetention, type Retainable } from '../../src/maintenance/index.ts';

/** Goal: retention keeps what it promises and never the last good backup goes, whatever lies there. Pure, so by property. */
const NOW = Date.UTC(2026, 10, 23, 2);
const KEEP = { daily: 7, weekly: 4, monthly: 12 };

const good = (madeAt: number): Retainable => ({
  name: backupName(madeAt),
  kind: 'backup',
  madeAt,
  state: 'verified',
});
const names = (plan: { keep: { backup: Retainable }[] }): string[] =>
  plan.keep.map(({ backup }) => backup.name);

const policy = fc.record({
  daily: fc.integer({ min: 1, max: 10 }),
  weekly: fc.integer({ min: 0, max: 6 }),
  monthly: fc.integer({ min: 0, max: 14 }),
});
const anyBackup = fc
  .record({
    madeAt: fc.integer({ min: NOW - days(500), max: NOW + days(40) }),
    state: fc.constantFrom('verified' as const, 'damaged' as const, 'unproven' as const),
    kind: fc.constantFrom(
      'backup' as const,
      'backup' as const,
      'before_migration' as const,
      'replaced' as const,
    ),
  })
  .map((facts) => ({ ...facts, name: `${facts.kind} ${backupName(facts.madeAt)}` }));
const anyBackups = fc.uniqueArray(anyBackup, { maxLength: 80, selector: ({ name }) => name });
const isGood = (backup: Retainable): boolean => backup.kind === 'backup' && backup.state === 'verified';
const newestOf = (backups: readonly Retainable[]): number => Math.max(...backups.map(({ madeAt }) => madeAt));

describe('properties', () => {
  test('each backup is kept or removed, never both, and everything has a reason', () => {
    fc.assert(
      fc.property(anyBackups, policy, (backups, keep) => {
        const plan = planBackupRetention(backups, keep, NOW);
        expect([...plan.keep, ...plan.remove].map(({ backup }) => backup.name).sort()).toEqual(
          backups.map(({ name }) => name).sort(),
        );
        expect(
          plan.keep.every(({ reasons }) => reasons.length > 0 && reasons.every((reason) => reason !== '')),
        ).toBe(true);
        expect(plan.remove.every(({ reason }) => reason !== '')).toBe(true);
      }),
    );
  });

  test('the newest good backup stays, of all and of those not dated in the future', () => {
    fc.assert(
      fc.property(anyBackups, policy, (backups, keep) => {
        const kept = planBackupRetention(backups, keep, NOW).keep.map(({ backup }) => backup);
        for (const group of [backups, backups.filter(({ madeAt }) => madeAt <= NOW)]) {
          const goodOnes = group.filter(isGood);
          if (goodOnes.length === 0) continue;
          expect(kept.filter(isGood).map(({ madeAt }) => madeAt)).toContain(newestOf(goodOnes));
        }
      }),
    );
  });

  test('good ones are bounded, and planning again removes nothing', () => {
    fc.assert(
      fc.property(anyBackups, policy, (backups, keep) => {
        const kept = planBackupRetention(backups, keep, NOW).keep.map(({ backup }) => backup);
        const most = keep.daily + keep.weekly + keep.monthly;
        expect(kept.filter(isGood).filter(({ madeAt }) => madeAt <= NOW).length).toBeLessThanOrEqual(most);
        expect(kept.filter(isGood).length).toBeLessThanOrEqual(2 * most);
        expect(planBackupRetention(kept, keep, NOW).remove).toEqual([]);
      }),
    );
  });

  test('a damaged or unproven one makes no good one go', () => {
    fc.assert(
      fc.property(anyBackups, policy, (backups, keep) => {
        const alone = planBackupRetention(backups.filter(isGood), keep, NOW);
        const among = planBackupRetention(backups, keep, NOW);
        expect(
          names(among)
            .filter((name) => names(alone).includes(name))
            .sort(),
        ).toEqual(names(alone).sort());
      }),
    );
  });
});

test('one a day for 400 days leaves 7 days, 4 weeks and 12 months, as it went along', () => {
  let backups: Retainable[] = [];
  for (let day = 400; day >= 0; day -= 1) {
    const now = NOW - days(day);
    backups = planBackupRetention([...backups, good(now)], KEEP, now).keep.map(({ backup }) => backup);
  }
  const dates = backups.map(({ madeAt }) => new Date(madeAt).toISOString().slice(0, 10));
  expect(dates).toEqual([
    // The last seven days; the Sundays before; the last days of the months before.
    ...['2026-11-23', '2026-11-22', '2026-11-21', '2026-11-20', '2026-11-19', '2026-11-18', '2026-11-17'],
    ...['2026-11-15', '2026-11-08'],
    ...['2026-10-31', '2026-09-30', '2026-08-31', '2026-07-31', '2026-06-30', '2026-05-31', '2026-04-30'],
    ...['2026-03-31', '2026-02-28', '2026-01-31', '2025-12-31'],
  ]);
});

test('other copies stay for their time, and longer while no good backup is younger', () => {
  const replaced: Retainable = { name: 'r', kind: 'replaced', madeAt: NOW - days(31), state: 'unproven' };
  const before: Retainable = {
    name: 'm',
    kind: 'before_migration',
    madeAt: NOW - days(89),
    state: 'unproven',
  };
  const damaged: Retainable = { name: 'd', kind: 'backup', madeAt: NOW - days(31), state: 'damaged' };
  const removedOf = (backups: Retainable[]): string[] =>
    planBackupRetention(backups, KEEP, NOW).remove.map(({ backup }) => backup.name);
  expect(removedOf([replaced, before, damaged])).toEqual([]);
  expect(removedOf([replaced, before, damaged, good(NOW - days(40))])).toEqual([]);
  expect(removedOf([replaced, before, damaged, good(NOW)]).sort()).toEqual(['d', 'r']);
});
