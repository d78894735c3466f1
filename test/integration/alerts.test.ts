import { describe, expect, onTestFinished, test } from 'vitest';
import { createAlerts, FAMILY_MAX } from '../../src/alerts/index.ts';
import { type Db, openDb } from '../../src/db/index.ts';
import { createBus, type EventMap } from '../../src/events/index.ts';
import type { Log } from '../../src/ports/index.ts';
import { openAlerts, resolvedAlerts } from '../helpers/alerts.ts';
import { insertJob } from '../helpers/care.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/** A log that keeps `level message`. */
function recordingLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (_fields: object, message: string) =>
    void lines.push(`${level} ${message}`);
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return { log, lines };
}

function setup(db: Db = withDb(), { isOwner = true } = {}) {
  const clock = new FakeClock('2026-11-21T00:00:00Z');
  const { log, lines } = recordingLog();
  const bus = createBus({ log });
  const alerts = createAlerts({
    ...{ db, bus, clock, log, isOwner },
    tellThemselves: ['rehearse_restore'],
  });
  alerts.start();
  onTestFinished(() => alerts.stop());
  const raise = (key: string, severity: 'info' | 'warn' | 'error' = 'warn', message = key): void =>
    bus.emit('alert:raised', { key, severity, message, hint: null });
  return { db, clock, bus, alerts, lines, raise };
}

const failure = (jobId: number, isFinal = true): EventMap['job:attemptFailed'] => ({
  jobId,
  jobType: 'download_dump',
  attempt: 5,
  dumpId: null,
  cycleDate: null,
  code: 'http_404',
  message: 'gone everywhere',
  isFinal,
  nextAttemptAt: isFinal ? null : 1,
});

describe('the book', () => {
  test('raised again it counts up in one row and is quiet; worse and over are told', async () => {
    const { db, bus, clock, lines, raise } = setup();
    raise('database:wal', 'warn', 'large');
    await clock.advance(1000);
    raise('database:wal', 'warn', 'larger');
    await clock.advance(1000);
    raise('database:wal', 'error', 'far too large');
    raise('database:wal', 'error', 'far too large');
    raise('database:wal', 'warn', 'better');
    const start = Date.parse('2026-11-21T00:00:00Z');
    expect(openAlerts(db)).toEqual([
      expect.objectContaining({
        key: 'database:wal',
        severity: 'warn',
        message: 'better',
        count: 5,
        firstAt: start,
        lastAt: start + 2000,
        resolvedAt: null,
      }),
    ]);
    bus.emit('alert:resolved', { key: 'database:wal' });
    bus.emit('alert:resolved', { key: 'database:wal' });
    expect(openAlerts(db)).toEqual([]);
    expect(resolvedAlerts(db)).toEqual([
      expect.objectContaining({ key: 'database:wal', resolvedAt: start + 2000 }),
    ]);
    expect(lines).toEqual(['warn large', 'error worse than before: far too large', 'info an alert is over']);
    raise('database:wal');
    expect(openAlerts(db)[0]).toMatchObject({ count: 1 });
  });

  test('a second process goes on with what the first left open', () => {
    const db = withDb();
    const first = setup(db);
    first.raise('database:wal');
    first.alerts.stop();
    const second = setup(db);
    second.raise('database:wal');
    expect(second.lines).toEqual([]);
    expect(openAlerts(db)).toHaveLength(1);
    expect(openAlerts(db)[0]?.count).toBe(2);
    second.bus.emit('alert:resolved', { key: 'database:wal' });
    expect(openAlerts(db)).toEqual([]);
  });

  test('texts and families are bounded; the rest of a family is one row that ends with the last of it', () => {
    const { db, bus, raise } = setup();
    for (let n = 0; n < FAMILY_MAX + 30; n += 1) raise(`job:download_dump:${n}`, 'error', 'x'.repeat(5000));
    raise('job:upload_ia:1', 'error');
    const open = openAlerts(db);
    expect(open).toHaveLength(FAMILY_MAX + 2);
    expect(open.find(({ key }) => key === 'job:download_dump:and_more')?.count).toBe(30);
    expect(Math.max(...open.map(({ message }) => message.length))).toBe(1000);
    for (let n = 0; n < FAMILY_MAX + 30; n += 1)
      bus.emit('alert:resolved', { key: `job:download_dump:${n}` });
    expect(openAlerts(db).map(({ key }) => key)).toEqual(['job:upload_ia:1']);
  });
});

describe('a command beside the daemon', () => {
  /** Two processes on one file: each its own connection, bus and book. */
  function daemonAndCommand() {
    const daemon = setup();
    daemon.bus.emit('target:halted', {
      target: 'r2',
      kind: 'halted',
      code: 'bad_credentials',
      message: 'refused',
      hint: null,
      until: 1,
    });
    daemon.bus.emit('job:stuck', { ...failure(7), waitedMs: 60_000 });
    const other = openDb(daemon.db.path);
    onTestFinished(() => other.close());
    return { daemon, command: setup(other, { isOwner: false }) };
  }
  const keys = (db: Db): string[] =>
    openAlerts(db)
      .map(({ key }) => key)
      .sort();

  test('ends nothing that lives in the memory of the daemon', () => {
    const { daemon, command } = daemonAndCommand();
    command.alerts.stop();
    expect(keys(daemon.db)).toEqual(['stuck:7', 'target:r2']);
  });

  test('what it opened is ended by the daemon, and what it ended is opened again by the daemon', () => {
    const { daemon, command } = daemonAndCommand();
    command.raise('database:size', 'warn', 'large');
    daemon.raise('database:backup', 'warn', 'old');
    command.bus.emit('alert:resolved', { key: 'database:backup' });
    command.alerts.stop();
    expect(keys(daemon.db)).toEqual(['database:size', 'stuck:7', 'target:r2']);
    daemon.bus.emit('alert:resolved', { key: 'database:size' });
    expect(keys(daemon.db)).toEqual(['stuck:7', 'target:r2']);
    daemon.raise('database:backup', 'warn', 'old again');
    expect(keys(daemon.db)).toEqual(['database:backup', 'stuck:7', 'target:r2']);
    // It is told as new, since it was over in between.
    expect(daemon.lines.slice(-1)).toEqual(['warn old again']);
  });

  test('what it raised already is one row, and told only when it gets worse', () => {
    const { daemon, command } = daemonAndCommand();
    command.raise('database:size', 'error', 'large');
    const told = daemon.lines.length;
    daemon.raise('database:size', 'warn', 'large');
    expect(openAlerts(daemon.db).find(({ key }) => key === 'database:size')?.count).toBe(2);
    expect(daemon.lines.length).toBe(told);
  });

  test('resolving what is not open asks for no write lock', () => {
    const { daemon, command } = daemonAndCommand();
    command.db.sqlite.exec('BEGIN IMMEDIATE');
    daemon.db.sqlite.pragma('busy_timeout = 0');
    daemon.bus.emit('alert:resolved', { key: 'database:size' });
    expect(daemon.lines).not.toContain('warn alerts cannot be written now and will be later');
    command.db.sqlite.exec('COMMIT');
  });
});

describe('a database that cannot be written', () => {
  test('does not disturb the sender; what happened meanwhile is written later', async () => {
    const { db, bus, clock, lines, raise } = setup();
    raise('database:size');
    const other = openDb(db.path);
    other.sqlite.exec('BEGIN IMMEDIATE');
    db.sqlite.pragma('busy_timeout = 0');
    raise('database:wal', 'warn', 'while locked');
    raise('database:wal', 'warn', 'still locked');
    raise('database:backup');
    bus.emit('alert:resolved', { key: 'database:size' });
    bus.emit('alert:resolved', { key: 'database:backup' });
    // The lock was there: nothing is written, and somebody was told.
    expect(openAlerts(db).map(({ key }) => key)).toEqual(['database:size']);
    expect(lines).toContain('warn alerts cannot be written now and will be later');
    expect(lines).toContain('warn while locked');
    await clock.advance(30_000);
    expect(openAlerts(db).map(({ key }) => key)).toEqual(['database:size']);
    other.sqlite.exec('COMMIT');
    other.close();
    await clock.advance(30_000);
    expect(openAlerts(db)).toEqual([
      expect.objectContaining({ key: 'database:wal', count: 2, message: 'still locked' }),
    ]);
    expect(
      resolvedAlerts(db)
        .map(({ key }) => key)
        .sort(),
    ).toEqual(['database:backup', 'database:size']);
  });

  test('inside a transaction it waits for the end, and what is rolled back never was', () => {
    const { db, raise } = setup();
    db.transaction(() => {
      raise('database:wal');
      expect(openAlerts(db)).toEqual([]);
    });
    expect(openAlerts(db)).toHaveLength(1);
    expect(() =>
      db.transaction(() => {
        raise('database:size');
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(openAlerts(db)).toHaveLength(1);
  });
});

describe('what it listens to', () => {
  test('a job that failed for good, until a later job for the same subject completes', () => {
    const { db, bus } = setup();
    const jobId = insertJob(db, { status: 'failed' });
    bus.emit('job:attemptFailed', failure(jobId, false));
    expect(openAlerts(db)).toEqual([]);
    bus.emit('job:attemptFailed', failure(jobId));
    const [alert] = openAlerts(db);
    expect(alert).toMatchObject({ severity: 'error', key: expect.stringMatching(/^job:download_dump:\d+$/) });
    expect(alert?.message).toContain('gone everywhere');
    expect(alert?.hint).toContain(`wikiseed jobs retry ${jobId}`);
    // Another subject of the same type completes: this one is still failed.
    const done = { ...failure(insertJob(db, { status: 'completed' })), durationMs: 1 };
    bus.emit('job:completed', done);
    expect(openAlerts(db)).toHaveLength(1);
    const again = insertJob(db, { status: 'completed' });
    db.sqlite
      .prepare('UPDATE jobs SET unique_key = (SELECT unique_key FROM jobs WHERE id = ?) WHERE id = ?')
      .run(jobId, again);
    bus.emit('job:completed', { ...done, jobId: again });
    expect(openAlerts(db)).toEqual([]);
  });

  test('a job type that raises an alert of its own about its failure has no second row', () => {
    const { db, bus } = setup();
    bus.emit('job:attemptFailed', { ...failure(7), jobType: 'rehearse_restore' });
    expect(openAlerts(db)).toEqual([]);
  });

  test('a job that an operator cancelled needs nobody', () => {
    const { db, bus } = setup();
    bus.emit('job:attemptFailed', { ...failure(7), code: 'cancelled' });
    expect(openAlerts(db)).toEqual([]);
  });

  test('targets that stop and work again; handlers that do not stop', () => {
    const { db, bus } = setup();
    bus.emit('target:halted', {
      target: 'internet_archive',
      kind: 'halted',
      code: 'bad_credentials',
      message: 'refused',
      hint: 'Look at the keys.',
      until: Date.parse('2026-11-21T01:00:00Z'),
    });
    bus.emit('job:stuck', { ...failure(7), waitedMs: 60_000 });
    expect(openAlerts(db).map(({ key, hint }) => [key, hint])).toEqual([
      ['stuck:7', expect.stringContaining('A restart ends it')],
      ['target:internet_archive', 'Look at the keys.'],
    ]);
    // A site that is only out of reach heals by itself.
    const outage = { target: 'dumps', kind: 'unavailable', code: 'http_503', message: 'm' } as const;
    bus.emit('target:halted', { ...outage, hint: null, until: 1 });
    expect(openAlerts(db).map(({ key, severity }) => `${severity} ${key}`)).toContain('warn target:dumps');
    bus.emit('target:resumed', { target: 'dumps' });
    bus.emit('target:resumed', { target: 'internet_archive' });
    bus.emit('job:completed', { ...failure(7), durationMs: 1 });
    expect(openAlerts(db)).toEqual([]);
  });

  test('at a new start what went with the process is over, and what is still halted is not', () => {
    const db = withDb();
    const first = setup(db);
    for (const target of ['dumps', 'r2'])
      first.bus.emit('target:halted', {
        target,
        kind: 'halted',
        code: 'x',
        message: 'm',
        hint: null,
        until: 1,
      });
    first.bus.emit('job:stuck', { ...failure(7), waitedMs: 1 });
    first.raise('database:wal');
    first.alerts.stop();
    db.sqlite.prepare(`INSERT INTO system_state (key, value, updated_at) VALUES ('halt:r2', '{}', 0)`).run();
    setup(db);
    expect(
      openAlerts(db)
        .map(({ key }) => key)
        .sort(),
    ).toEqual(['database:wal', 'target:r2']);
  });

  test('after it is stopped it hears nothing', () => {
    const { db, alerts, raise } = setup();
    alerts.stop();
    alerts.stop();
    raise('database:wal');
    expect(openAlerts(db)).toEqual([]);
  });
});

describe('seeding', () => {
  const emit = (bus: ReturnType<typeof setup>['bus'], infoHash: string | null, code: string) =>
    bus.emit('seeding:problem', {
      infoHash,
      name: infoHash === null ? null : 'enwiki-20261120',
      code,
      message: code,
      hint: 'do',
    });

  test('a torrent and the program have an alert each, which ends with its trouble', () => {
    const { db, bus } = setup();
    emit(bus, 'aa', 'engine_downloads');
    emit(bus, 'bb', 'stopped_by_hand');
    emit(bus, null, 'engine_down');
    expect(
      openAlerts(db)
        .map(({ key, severity, message }) => `${key} ${severity} ${message}`)
        .sort(),
    ).toEqual([
      'seeding:aa error enwiki-20261120: engine_downloads',
      'seeding:bb warn enwiki-20261120: stopped_by_hand',
      'seeding:engine error engine_down',
    ]);
    bus.emit('seeding:problemOver', { infoHash: 'aa' });
    bus.emit('seeding:problemOver', { infoHash: null });
    expect(openAlerts(db).map(({ key }) => key)).toEqual(['seeding:bb']);
  });

  test('what a process left open is told again by the next one, or is over', () => {
    const { db, bus, alerts } = setup();
    emit(bus, null, 'engine_down');
    alerts.stop();
    setup(db);
    expect(openAlerts(db)).toEqual([]);
  });
});
