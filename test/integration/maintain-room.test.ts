import { expect, onTestFinished, test } from 'vitest';
import { createSystemState, type Db, STATE_KEYS } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import { hours } from '../../src/lib/index.ts';
import { recordKey } from '../../src/maintenance/care/records.ts';
import { createMaintenance, maintainDb, SINCE_KEY } from '../../src/maintenance/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { THRESHOLDS } from '../helpers/care.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/** The room as the app wires it. */
function setup({ walWarnSizeBytes = THRESHOLDS.walWarnSizeBytes } = {}): {
  db: Db;
  clock: FakeClock;
  room: ReturnType<typeof createMaintenance>;
  raised: string[];
  resolved: string[];
} {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock('2026-11-23T00:00:00Z');
  const bus = createBus({ log: silentLog });
  const raised: string[] = [];
  const resolved: string[] = [];
  bus.on('alert:raised', ({ key }) => raised.push(key));
  bus.on('alert:resolved', ({ key }) => resolved.push(key));
  const room = createMaintenance({
    db,
    dataDir,
    configPath: null,
    state: createSystemState(db),
    disk: createNodeDisk(),
    clock,
    bus,
    log: silentLog,
    sweepLeases: () => 2,
    config: {
      ...THRESHOLDS,
      walWarnSizeBytes,
      window: { fromMinute: 120, toMinuteExclusive: 360 },
      analyze: 'daily',
      integrityCheck: 'weekly',
      leaseSweep: 'hourly',
      keepFinishedJobsMs: hours(24),
      keepMetricsMs: hours(24),
    },
  });
  onTestFinished(() => room.stop());
  return { db, clock, room, raised, resolved };
}

test('schedules every kind of care, each as one job', () => {
  const { room } = setup();
  expect(room.schedules().map(({ name, cron }) => `${name} ${cron}`)).toEqual([
    'maintain_db:analyze daily',
    'maintain_db:integrity weekly',
    'maintain_db:lease_sweep hourly',
    'maintain_db:thresholds hourly',
    'maintain_db:retention 0 3 * * *',
    'maintain_db:vacuum 0 4 * * *',
  ]);
  for (const { name, request } of room.schedules()) expect(request().uniqueKey).toBe(name);
  expect(room.handlers.map(({ jobType }) => jobType.type)).toEqual([maintainDb.type]);
});

test('remembers since when it takes care, and misses a backup two days later', async () => {
  const { db, clock, room, raised } = setup();
  room.start();
  room.start();
  expect(createSystemState(db).get(SINCE_KEY)).toBe(String(Date.parse('2026-11-23T00:00:00Z')));
  expect(await room.care.check()).toEqual([]);
  await room.stop();
  await clock.advance(hours(48) + 1);
  expect((await room.care.check()).map(({ key }) => key)).toEqual(['database:backup']);
  expect(raised).toEqual(['database:backup']);
});

test('new statistics reach the connection of the main thread', async () => {
  const { db, room } = setup();
  db.sqlite.exec(
    'CREATE TABLE probe (few, many); CREATE INDEX probe_a ON probe (many); CREATE INDEX probe_b ON probe (few)',
  );
  const insert = db.sqlite.prepare('INSERT INTO probe VALUES (1, ?)');
  db.transaction(() => {
    for (let n = 0; n < 5000; n += 1) insert.run(n);
  });
  const plan = db.sqlite.prepare('EXPLAIN QUERY PLAN SELECT * FROM probe WHERE few = 1 AND many = 7');
  const detail = (): string => (plan.all() as [{ detail: string }])[0].detail;
  expect(detail()).toContain('probe_b');
  await room.care.run('analyze');
  expect(detail()).toContain('probe_a');
});

test('an alert has one owner: what the checkpointer and the rehearsal raise themselves is only told here', async () => {
  const { db, clock, room, raised, resolved } = setup({ walWarnSizeBytes: 1 });
  const rehearsal = { ok: false, at: 0, code: 'x', message: 'no room' };
  createSystemState(db).set('maintenance:last_rehearsal', JSON.stringify(rehearsal), clock.now());
  expect((await room.care.check()).map(({ key }) => key).sort()).toEqual([
    'database:wal',
    'rehearsal_failed',
  ]);
  expect(raised).toEqual([]);
  createSystemState(db).delete('maintenance:last_rehearsal');
  await room.care.check();
  expect(resolved).not.toContain('rehearsal_failed');
  expect(resolved).not.toContain('database:wal');
  // Their owners do: a look of the checkpointer ends what an earlier process left.
  await room.checkpointer.look();
  expect([...raised, ...resolved].filter((key) => key === 'database:wal')).toHaveLength(1);
});

test('whoever reads the outcome of a backup or a rehearsal reads what is written', () => {
  expect([recordKey('backup'), recordKey('rehearsal')]).toEqual([
    STATE_KEYS.lastBackup,
    STATE_KEYS.lastRehearsal,
  ]);
});
