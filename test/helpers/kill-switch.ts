import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { STEPS_CHANNEL } from '../../src/lib/steps.ts';
import type { KillOrder, KillRecord } from './kill-points.ts';

/**
 * Loaded by `kill-preload.js` into a process before its program (`node --import`): counts named steps and database writes, and kills the process
 * where it was told to. A killed process has said so in the report, opened by its parent as descriptor 3; nothing runs
 * after the line.
 */
const REPORT_FD = 3;
const order = JSON.parse(process.env.WIKISEED_TEST_KILL ?? '{}') as KillOrder;

let writes = 0;
const steps = new Map<string, number>();

function report(record: KillRecord): void {
  writeSync(REPORT_FD, `${JSON.stringify(record)}\n`);
}

function die(record: KillRecord): void {
  report(record);
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way; this thread does nothing more until it comes.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function onStep(name: string): void {
  const count = (steps.get(name) ?? 0) + 1;
  steps.set(name, count);
  if (order.record === true) report({ kind: 'step', name, count, writes });
  const isDue =
    order.step === undefined
      ? (order.firstOf?.includes(name) ?? false)
      : order.step.name === name && order.step.count === count;
  if (isDue) die({ kind: 'killed', at: 'step', name, count, writes });
}

/** Called when a statement that changes something, or ends a transaction, has run. */
function onWrite(sql: string): void {
  writes += 1;
  if (order.record === true) report({ kind: 'write', count: writes, sql: sql.slice(0, 60) });
  if (order.write === writes)
    die({ kind: 'killed', at: 'write', name: sql.slice(0, 60), count: writes, writes });
}

const TRANSACTION = /^\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b/i;

type Runnable = Record<string, (...args: unknown[]) => unknown>;

function countWrites(): void {
  const database = new Database(':memory:');
  const statements = Object.getPrototypeOf(database.prepare('SELECT 1')) as Runnable;
  const databases = Object.getPrototypeOf(database) as Runnable;
  database.close();
  for (const method of ['run', 'get', 'all']) {
    const original = statements[method];
    if (original === undefined) throw new Error(`better-sqlite3 has no Statement.${method}`);
    statements[method] = function (this: Database.Statement, ...args: unknown[]) {
      const result = original.apply(this, args);
      if (!this.readonly || TRANSACTION.test(this.source)) onWrite(this.source);
      return result;
    };
  }
  const exec = databases.exec;
  if (exec === undefined) throw new Error('better-sqlite3 has no Database.exec');
  databases.exec = function (this: Database.Database, ...args: unknown[]) {
    const result = exec.apply(this, args);
    onWrite(String(args[0]));
    return result;
  };
}

countWrites();
subscribe(STEPS_CHANNEL, (message) => onStep((message as { name: string }).name));
process.on('exit', (code) => report({ kind: 'ended', code, writes }));
