import { describe, expect, test } from 'vitest';
import { hours } from '../../lib/index.ts';
import type { LastRun } from './records.ts';
import type { DatabaseStatistics } from './statistics.ts';
import { findTroubles, type Thresholds, TROUBLE_KEYS } from './troubles.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const MB = 1_000_000;

const THRESHOLDS: Thresholds = {
  walWarnSizeBytes: 50 * MB,
  walMaxSizeBytes: 100 * MB,
  databaseWarnSizeBytes: 5000 * MB,
  fragmentationWarnPercent: 10,
  vacuumFragmentationPercent: 20,
  pendingJobsWarn: 100_000,
  longJobWarnMs: hours(24),
  safetyMarginBytes: 5000 * MB,
};

const run = (facts: Partial<LastRun>): LastRun => ({
  at: NOW,
  ok: true,
  goodAt: NOW,
  message: null,
  ...facts,
});

/** A database in the best of health. */
const WELL: DatabaseStatistics = {
  at: NOW,
  path: '/data/db/jobs.db',
  fileBytes: 1000 * MB,
  walBytes: MB,
  freeDiskBytes: 1e12,
  pageSize: 4096,
  pageCount: 250_000,
  freePages: 0,
  fragmentationPercent: 0,
  autoVacuum: 'incremental',
  journalMode: 'wal',
  sqliteVersion: '3',
  schemaNumber: 1,
  tables: [],
  indexes: null,
  jobs: { byStatus: {}, oldestPendingAt: null, longestRunning: null, expiredLeases: 0 },
  last: {
    backup: run({}),
    rehearsal: run({}),
    integrity: run({}),
    analyze: null,
    vacuum: null,
    checkpoint: null,
    retention: null,
  },
  since: NOW - hours(10_000),
  newestGoodBackupAt: NOW,
};

/** `key severity` of what is found when these facts differ. */
const found = (facts: Partial<DatabaseStatistics>): string[] =>
  findTroubles({ ...WELL, ...facts }, THRESHOLDS).map(({ key, severity }) => `${severity} ${key}`);
const jobs = (facts: Partial<DatabaseStatistics['jobs']>): Partial<DatabaseStatistics> => ({
  jobs: { ...WELL.jobs, ...facts },
});
const running = (ms: number): Partial<DatabaseStatistics> =>
  jobs({ longestRunning: { id: 7, jobType: 'download_dump', startedAt: NOW - ms } });
const fragmented = (percent: number): Partial<DatabaseStatistics> => ({
  fragmentationPercent: percent,
  freePages: 50_000,
});

test('a healthy database has no troubles', () => {
  expect(found({})).toEqual([]);
});

describe('every limit, at its edge and one beyond', () => {
  const cases: [string, Partial<DatabaseStatistics>, string[]][] = [
    ['log at the first limit', { walBytes: 50 * MB }, []],
    ['log above it', { walBytes: 50 * MB + 1 }, ['warn database:wal']],
    ['log at the second', { walBytes: 100 * MB }, ['warn database:wal']],
    ['log above that', { walBytes: 100 * MB + 1 }, ['error database:wal']],
    ['size at the limit', { fileBytes: 5000 * MB }, []],
    ['size above it', { fileBytes: 5000 * MB + 1 }, ['warn database:size']],
    ['size at twice the limit', { fileBytes: 10_000 * MB }, ['warn database:size']],
    ['size above that', { fileBytes: 10_000 * MB + 1 }, ['error database:size']],
    ['fragmentation at the first limit', fragmented(10), []],
    ['fragmentation above it', fragmented(10.01), ['warn database:fragmentation']],
    ['fragmentation at the second', fragmented(20), ['warn database:fragmentation']],
    ['fragmentation above that', fragmented(20.01), ['error database:fragmentation']],
    ['much of very little', { fragmentationPercent: 90, freePages: 3906 }, []],
    ['much of little', { fragmentationPercent: 90, freePages: 3907 }, ['error database:fragmentation']],
    [
      'fragmentation of a file that cannot give back',
      { ...fragmented(20.01), autoVacuum: 'none' },
      ['error database:fragmentation', 'warn database:auto_vacuum'],
    ],
    ['waiting jobs at the limit', jobs({ byStatus: { pending: 100_000 } }), []],
    ['one more', jobs({ byStatus: { pending: 100_001 } }), ['warn database:pending_jobs']],
    ['a job of a day', running(hours(24)), []],
    ['a little longer', running(hours(24) + 1), ['warn database:long_job']],
    ['expired leases at the first limit', jobs({ expiredLeases: 10 }), []],
    ['one more', jobs({ expiredLeases: 11 }), ['warn database:stale_leases']],
    ['expired leases at the second limit', jobs({ expiredLeases: 50 }), ['warn database:stale_leases']],
    ['one more than that', jobs({ expiredLeases: 51 }), ['error database:stale_leases']],
    ['free space of twice the margin', { freeDiskBytes: 10_000 * MB }, []],
    ['less', { freeDiskBytes: 10_000 * MB - 1 }, ['warn database:free_space']],
    ['free space of the margin', { freeDiskBytes: 5000 * MB }, ['warn database:free_space']],
    ['less than the margin', { freeDiskBytes: 5000 * MB - 1 }, ['error database:free_space']],
    ['a backup of two days', { newestGoodBackupAt: NOW - hours(48) }, []],
    ['an older one', { newestGoodBackupAt: NOW - hours(48) - 1 }, ['warn database:backup']],
    ['a backup of a week', { newestGoodBackupAt: NOW - hours(168) }, ['warn database:backup']],
    ['older than that', { newestGoodBackupAt: NOW - hours(168) - 1 }, ['error database:backup']],
    ['no backup on the second day', { newestGoodBackupAt: null, since: NOW - hours(48) }, []],
    ['no backup after it', { newestGoodBackupAt: null, since: NOW - hours(49) }, ['warn database:backup']],
    ['no backup, and nobody has looked yet', { newestGoodBackupAt: null, since: null }, []],
    [
      'a failed rehearsal',
      { last: { ...WELL.last, rehearsal: run({ ok: false, message: 'no room' }) } },
      ['error rehearsal_failed'],
    ],
    [
      'a failed integrity check',
      { last: { ...WELL.last, integrity: run({ ok: false, message: 'page 7' }) } },
      ['error database:integrity'],
    ],
  ];
  test.each(cases)('%s', (_what, facts, expected) => {
    expect(found(facts)).toEqual(expected);
  });

  test('no key is missing from these cases, or from the list of keys', () => {
    const seen = new Set(cases.flatMap(([, , expected]) => expected.map((text) => text.split(' ')[1])));
    expect([...seen].sort()).toEqual([...TROUBLE_KEYS].sort());
  });
});

test('errors stand first, and each trouble says what to do', () => {
  const all = findTroubles(
    {
      ...WELL,
      walBytes: 60 * MB,
      fileBytes: 11_000 * MB,
      freeDiskBytes: 0,
      newestGoodBackupAt: NOW - hours(49),
    },
    THRESHOLDS,
  );
  expect(all.map(({ severity }) => severity)).toEqual(['error', 'error', 'warn', 'warn']);
  for (const { hint, message } of all) expect(`${hint}${message}`).not.toMatch(/undefined|NaN|null/);
});
