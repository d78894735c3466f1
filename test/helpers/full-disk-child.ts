/**
 * Runs inside a namespace whose working directory is a small tmpfs: fills it up, sees the checkpoint refused, makes room and sees it done.
 * Prints one JSON object. Use: `node full-disk-child.ts <folder>`.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import { createCareThread, createCheckpointer } from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../../src/ports/index.ts';
import { fillWithJobs, THRESHOLDS, withCare } from './care.ts';

const folder = process.argv[2] as string;
const db = openDb(join(folder, 'db', 'jobs.db'));
migrateDb(db, { dataDir: null, now: new Date(0) });
db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
db.sqlite.pragma('wal_autocheckpoint = 0');
for (let n = 0; n < 5; n += 1) fillWithJobs(db, 1000);
const count = (): number => db.sqlite.prepare('SELECT count(*) FROM jobs').pluck().get() as number;
const before = count();

const filler = join(folder, 'filler');
let isFull = false;
try {
  for (;;) writeFileSync(filler, Buffer.alloc(65_536), { flag: 'a' });
} catch (error) {
  isFull = (error as { code?: string }).code === 'ENOSPC';
}

const clock = createSystemClock();
const bus = createBus({ log: silentLog });
const alerts: string[] = [];
bus.on('alert:raised', ({ key, message }) => alerts.push(`${key}: ${message}`));
bus.on('alert:resolved', ({ key }) => alerts.push(`over ${key}`));
const halts: string[] = [];
const checkpointer = createCheckpointer({
  databasePath: db.path,
  disk: createNodeDisk(),
  clock,
  bus,
  log: silentLog,
  config: THRESHOLDS,
  thread: createCareThread({ databasePath: db.path, clock }),
  onHalt: ({ code, scope }) => halts.push(`${code} ${scope}`),
});
checkpointer.start();
const { care } = withCare(db);
const refused = await care.run('checkpoint').then(
  () => null,
  (error: { code: string; scope: string; isNeverOwnFault: boolean; hint: string }) => ({
    name: (error as unknown as Error).name,
    code: error.code,
    scope: error.scope,
    isNeverOwnFault: error.isNeverOwnFault,
    hint: error.hint,
  }),
);
const lookWhenFull = await checkpointer.look();
const alertsWhenFull = [...alerts];
const readableWhenFull = count() === before;
rmSync(filler);
// By itself: the timer of the checkpointer, which waits for a few seconds after one failure.
const healing = new AbortController();
bus.on('alert:resolved', ({ key }) => {
  if (key === 'database:checkpoint') healing.abort();
});
await clock.sleep(30_000, healing.signal).catch(() => 'healed');
const healed = alerts.at(-1);
await checkpointer.stop();
const rowsAfter = count();
const integrity = db.sqlite.pragma('integrity_check', { simple: true });
const databaseBytes = statSync(db.path).size;
db.close();
process.stdout.write(
  `${JSON.stringify({ isFull, halts, refused, lookWhenFull, alertsWhenFull, readableWhenFull, healed, before, rowsAfter, integrity, databaseBytes })}\n`,
);
