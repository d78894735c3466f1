// One worker process of plainjob: says it is ready, works from "go" on, and tells how far it is whenever it has nothing to do.
import { once } from 'node:events';
import { defineWorker } from 'plainjob';
import { openPlainjob, PLAINJOB_TYPE, quietLogger, systemMonotonicMs } from './queue-plainjob.ts';

/** What a worker process tells. */
export interface PlainjobReport {
  done: number;
  /** When its last job was marked done; see `systemMonotonicMs`. */
  lastDoneMs: number;
}

/** Its loop never lets a timer through while there are jobs, so this fires when it sleeps and costs nothing before. */
const REPORT_MS = 5;

const [, , path, pragmas] = process.argv;
if (path === undefined || pragmas === undefined || process.send === undefined)
  throw new Error('usage: forked as queue-plainjob-worker.ts <database> <pragmas as JSON>');

const report: PlainjobReport = { done: 0, lastDoneMs: 0 };
const { queue } = openPlainjob(path, JSON.parse(pragmas) as string[]);
const worker = defineWorker(PLAINJOB_TYPE, async () => {}, {
  queue,
  logger: quietLogger,
  onCompleted() {
    report.done += 1;
    report.lastDoneMs = systemMonotonicMs();
  },
});
const isLetGo = once(process, 'disconnect');
process.send(report);
await once(process, 'message');
const reporting = setInterval(() => {
  if (process.connected) process.send?.(report);
}, REPORT_MS);
const work = worker.start();
await isLetGo;
clearInterval(reporting);
await worker.stop();
await work;
queue.close();
