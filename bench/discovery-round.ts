// The daemon of the discovery benchmark: a process of its own, because memory and CPU are facts of a process.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../src/app.ts';
import { defaultConfig, noSecrets } from '../src/config/index.ts';
import { discoverWikis } from '../src/discovery/index.ts';
import { downloadDump } from '../src/download/index.ts';
import { type Clock, createSystemClock, silentLog } from '../src/ports/index.ts';

/** What the process is told when it starts, as JSON in its first argument. */
export interface RoundOrder {
  dataDir: string;
  dumpsBaseUrl: string;
  sitematrixUrl: string;
  sources: ('classic' | 'content_current')[];
  /** The day it is, ISO 8601: decides which cycle is open. */
  today: string;
  /** 1: only from the start until nothing is left to do; 2: and once more. */
  passes: 1 | 2;
}

/** What one pass cost, sent to the parent, which answers anything to begin the next one. */
export interface Pass {
  name: PassName;
  seconds: number;
  /** User and system time of all threads. */
  cpuSeconds: number;
  /** Longest time between two turns of the event loop; at rest about 1 ms, the resolution. */
  longestBlockMs: number;
  /** Most CPU time that the main thread took between two turns: what a busy machine adds to the block is not in it. */
  longestTurnMs: number;
  /** Highest resident memory of the process so far. */
  peakBytes: number;
  /** Highest resident memory when everything was loaded and nothing was done yet. */
  loadedBytes: number;
  /** Files that are expected, and wait to be downloaded. */
  files: number;
  /** Attempts of jobs that failed. */
  failures: number;
}

/**
 * start: from the first start of the daemon until nothing is left to do; again: list of wikis and looks at all sources once
 * more; restart: from a later start on, when everything is known and waits to be downloaded.
 */
export type PassName = 'start' | 'again' | 'restart';

/** The real clock, moved: the calendar of the cycles must not depend on the day of the benchmark. */
function movedClock(today: string): Clock {
  const real = createSystemClock();
  const offsetMs = Date.parse(today) - real.now();
  return { ...real, now: () => real.now() + offsetMs };
}

/**
 * Highest resident memory of this program. Not `maxRSS`, except where there is no /proc: on Linux that one begins with what
 * the parent held when it started us.
 */
function peakBytes(): number {
  const found =
    process.platform === 'linux'
      ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
      : null;
  return (found === null ? process.resourceUsage().maxRSS : Number(found[1])) * 1024;
}

/** CPU time of this thread, microseconds. */
function threadUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

const order = JSON.parse(process.argv[2] ?? 'null') as RoundOrder | null;
if (order === null || process.send === undefined)
  throw new Error('discovery-round.ts is started by discovery.bench.ts');
const base = defaultConfig();
const app = await createApp({
  config: {
    ...base,
    wikiseed: { ...base.wikiseed, dataDir: order.dataDir, contact: 'bench@localhost' },
    discovery: { ...base.discovery, ...order },
    download: { ...base.download, mirrors: [] },
    seeding: { ...base.seeding, port: 0, dht: false, listenHost: '127.0.0.1' },
    monitoring: { ...base.monitoring, port: 0 },
  },
  secrets: noSecrets(),
  clock: movedClock(order.today),
  log: silentLog,
});
// They are asked for and wait: the bytes are no part of the question.
app.operator.pause(`type:${downloadDump.type}`, 'benchmark');
let failures = 0;
app.bus.on('job:attemptFailed', () => {
  failures += 1;
});
const loadedBytes = peakBytes();

async function measure(name: PassName, begin: () => Promise<unknown>): Promise<void> {
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  // A few turns before and after, or a block at either end would not be seen.
  await sleep(20);
  loop.reset();
  let turnedUs = threadUs();
  let longestTurnUs = 0;
  const turns = setInterval(() => {
    const nowUs = threadUs();
    longestTurnUs = Math.max(longestTurnUs, nowUs - turnedUs);
    turnedUs = nowUs;
  }, 1);
  const startedMs = performance.now();
  const before = process.cpuUsage();
  await begin();
  await app.whenIdle();
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  await sleep(20);
  loop.disable();
  clearInterval(turns);
  const pass: Pass = {
    name,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    longestBlockMs: loop.max / 1e6,
    longestTurnMs: longestTurnUs / 1000,
    peakBytes: peakBytes(),
    loadedBytes,
    files: app.catalog
      .cycles()
      .reduce((sum, { cycleDate }) => sum + app.catalog.progress(cycleDate).filesExpected, 0),
    failures,
  };
  const isTold = new Promise((resolve) => process.once('message', resolve));
  process.send?.(pass);
  await isTold;
}

const isFirst = app.catalog.cycles().length === 0;
await measure(isFirst ? 'start' : 'restart', () => app.start());
// What the weekly look does; the daily one asks for less.
if (order.passes === 2) await measure('again', async () => app.queue.enqueue([discoverWikis.request({})]));
await app.stop();
process.disconnect();
