/**
 * Runs inside a namespace in which the data directory is a small tmpfs: a whole WikiSeed takes a cycle, somebody else fills the disk to its last
 * byte while a download is on its way, and frees it again. Prints one JSON object. Use: `node full-data-dir-child.ts <data_dir> <sandbox dir>`.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createApp } from '../../src/app.ts';
import { demoConfig } from '../../src/cli/demo-config.ts';
import { openDb } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { startSandbox } from '../../src/sandbox/index.ts';
import { judgeHeldFiles } from './held-files.ts';
import { shiftedClock } from './shifted-clock.ts';

const [dataDir = '', sandboxDir = ''] = process.argv.slice(2);
const CYCLE = '2026-11-20';
const sandbox = await startSandbox({
  ...{ dir: sandboxDir, wikis: 3, sizeBytes: 3_000_000, runDates: ['20261120'] },
  ...{ taskDelayMs: 0, r2WriteIntervalMs: 0 },
});
const { config, secrets } = demoConfig(sandbox, { dataDir, port: 0 });
const app = await createApp({
  config: {
    ...config,
    ia: { ...config.ia, verifyPollMs: [50] },
    storage: { ...config.storage, safetyMarginBytes: 1_000_000 },
  },
  secrets,
  clock: shiftedClock('2026-11-23T12:00:00Z'),
  log: silentLog,
});
const modeBecomes = (isIt: (mode: string) => boolean): Promise<void> =>
  new Promise((resolve) => {
    app.bus.on('storage:modeChanged', ({ mode }) => {
      if (isIt(mode)) resolve();
    });
  });
const judge = () =>
  judgeHeldFiles(app, { dataDir, upstreamDir: join(sandboxDir, 'dumps'), cycleDate: CYCLE });

const stall = sandbox.faults.add({
  server: 'dumps',
  match: /pages-articles\.xml\.bz2$/,
  kind: 'stall',
  atByte: 20_000,
});
await app.start();
await stall.whenFired();
const stopped = modeBecomes((mode) => mode === 'hard_stop');

const filler = join(dataDir, 'filler');
let isFull = false;
for (let blockBytes = 1 << 20; blockBytes >= 4096; ) {
  try {
    writeFileSync(filler, Buffer.alloc(blockBytes), { flag: 'a' });
  } catch (error) {
    isFull = (error as { code?: string }).code === 'ENOSPC';
    blockBytes >>= 1;
  }
}
const fullMs = performance.now();
await stopped;
// The database may be unable to say that the job went back, but its promise is gone.
while ((await app.storage()).reservedBytes > 0 && performance.now() - fullMs < 20_000) await nextTurn();
const stoppedAfterMs = Math.round(performance.now() - fullMs);
stall.remove();
stall.release();
const haltedWhenFull = app.queue.halts().map(({ target }) => target);
const alertWhenFull = app.queue.halts().find(({ target }) => target === 'storage')?.message ?? null;
const wrongWhenFull = judge().wrong.filter((words) => words.includes('other bytes'));

const back = modeBecomes((mode) => mode === 'normal');
rmSync(filler);
await back;
const whenHealed = async (): Promise<string[]> => {
  for (;;) {
    const { halted } = await app.whenIdle();
    // The database is tried again after ten seconds; until then it counts as halted.
    if (!halted.some(({ target }) => target === 'database')) return halted.map(({ target }) => target);
    await new Promise<void>((resolve) => {
      const forget = app.bus.on('target:resumed', () => {
        forget();
        resolve();
      });
    });
  }
};
const halted = await whenHealed();
const { wrong, files } = judge();
const attempts = [
  ...new Set(
    app.queries
      .jobs({ type: 'download_dump', page: 1, pageSize: 500 })
      .items.map(({ status, attempt }) => `${status} ${attempt}`),
  ),
];
const cycle = app.catalog.cycles()[0]?.status ?? null;
await app.stop();
await sandbox.stop();
const db = openDb(join(dataDir, 'db', 'jobs.db'));
const integrity = db.sqlite.pragma('integrity_check', { simple: true });
db.close();
process.stdout.write(
  `${JSON.stringify({ isFull, stoppedAfterMs, haltedWhenFull, alertWhenFull, wrongWhenFull, halted, wrong, files, attempts, cycle, integrity })}\n`,
);
process.exit(0);
