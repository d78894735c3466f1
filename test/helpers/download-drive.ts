import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  HaltPipelineError,
  Interrupted,
  PermanentError,
  RetryableError,
  Snooze,
  UnavailableError,
  WikiSeedError,
} from '../../src/lib/index.ts';
import type { LoggedRequest } from '../../src/sandbox/index.ts';
import { type DownloadWorld, DUMP_NAME, DUMP_PATH, hash, type Life, PIECE_BYTES } from './download-world.ts';

/** How a job ended, and every error on the way. */
export interface Outcome {
  stored: boolean;
  errors: WikiSeedError[];
}

/** Counted attempts of a job, and rests on top of them, before somebody would have to look. */
const ATTEMPTS = 6;
const RESTS = 24;

/**
 * Does what the executor does: attempt after attempt, with the clock turned on as far as each error asks for, until the file is
 * recorded or the job is over.
 * @throws whatever is no classified error: a fault of the room itself
 */
export async function drive(world: DownloadWorld, life: Life): Promise<Outcome> {
  const errors: WikiSeedError[] = [];
  for (let counted = 1, rests = 0; ; ) {
    try {
      life.record(await attended(world, life.work(new AbortController().signal, counted)));
      return { stored: true, errors };
    } catch (error) {
      if (!(error instanceof WikiSeedError) || error.code === 'assertion') throw error;
      errors.push(error);
      const isCounted = !isUncounted(error);
      if (isCounted) counted += 1;
      else rests += 1;
      if (error instanceof PermanentError || counted > ATTEMPTS || rests > RESTS) {
        life.recordFailure(error);
        return { stored: false, errors };
      }
      await turnClock(world, waitOf(error));
    }
  }
}

function isUncounted(error: unknown): boolean {
  return [UnavailableError, HaltPipelineError, Snooze, Interrupted].some((kind) => error instanceof kind);
}

/** How long the queue waits after an error, at least. */
export function waitOf(error: WikiSeedError): number {
  if (error instanceof UnavailableError) return error.pauseMs ?? error.retryAfterMs ?? 60_000;
  if (error instanceof RetryableError) return error.retryAfterMs ?? 60_000;
  if (error instanceof HaltPipelineError) return error.pauseMs;
  return error instanceof Snooze ? error.delayMs : 0;
}

/** When the clock was turned, so that requests in the logs have their time by it. */
const turns = new WeakMap<DownloadWorld, { atMs: number; earliest: number; latest: number }[]>();

/** Turns the clock of a world on. */
export async function turnClock(world: DownloadWorld, ms: number): Promise<void> {
  const before = world.clock.now();
  const list = turns.get(world) ?? [{ atMs: 0, earliest: before, latest: before }];
  turns.set(world, list);
  // What happens while it is being turned is somewhere between.
  list.push({ atMs: performance.now(), earliest: before, latest: before + ms });
  await world.clock.advance(ms);
  const now = world.clock.now();
  list.push({ atMs: performance.now(), earliest: now, latest: now });
}

function clockAt(world: DownloadWorld, atMs: number, bound: 'earliest' | 'latest'): number {
  return turns.get(world)?.findLast((turn) => turn.atMs <= atMs)?.[bound] ?? world.clock.now();
}

/** Longest silence that is taken for anything but a stall, with some more. */
const SILENCE_MS = 61_000;
/** For each look at a body that trickles: what comes in 5 ms of the machine comes in so much of the clock. */
const TRICKLE_TURN_MS = 1000;

/**
 * Waits for an attempt. When every request that still runs is held by a stall, nothing moves but the clock: it is turned on until
 * the silence is noticed. While one trickles, the clock runs.
 */
export async function attended<T>(world: DownloadWorld, work: Promise<T>): Promise<T> {
  let isOver = false;
  const ended = work.finally(() => {
    isOver = true;
  });
  ended.catch(() => {});
  let quietSince = performance.now();
  let last = '';
  while (!isOver) {
    await Promise.race([ended.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 5))]);
    const now = stateOf(world);
    if (now.isTrickling) await turnClock(world, TRICKLE_TURN_MS);
    if (now.text !== last) {
      quietSince = performance.now();
      last = now.text;
    } else if (now.areStalled && performance.now() - quietSince > 40) {
      await turnClock(world, SILENCE_MS);
      quietSince = performance.now();
    }
  }
  return ended;
}

/** Waits until no site has a request of ours any more, as after a process has gone. */
export async function whenQuiet(world: DownloadWorld): Promise<void> {
  const isQuiet = (): boolean =>
    [world.origin, ...world.mirrors, world.spare].every((site) =>
      site.requestLog().every(({ endedMs }) => endedMs !== null),
    );
  for (const begin = performance.now(); !isQuiet(); ) {
    if (performance.now() - begin > 10_000) throw new Error('a request of a process that is gone goes on');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What moves: requests that began or ended, bytes that were counted. */
function stateOf(world: DownloadWorld): { text: string; areStalled: boolean; isTrickling: boolean } {
  const sites = [world.origin, ...world.mirrors, world.spare];
  const running = sites.flatMap((site) => site.requestLog().filter(({ endedMs }) => endedMs === null));
  const counts = sites.map((site) => {
    const { requests, bytes } = site.counters();
    return `${requests} ${bytes}`;
  });
  const fired = world.faults.all().filter((fault) => fault.fired > 0);
  const has = (kind: string): boolean => fired.some(({ spec }) => spec.kind === kind);
  return {
    text: `${counts.join(', ')}; ${running.length}; ${world.saved.doneBytes}`,
    areStalled: running.length > 0 && has('stall'),
    isTrickling: running.length > 0 && has('slow'),
  };
}

/** The file lies there byte for byte, is recorded by hashes that are made here, and nothing else is left of the work. */
export function expectStored(world: DownloadWorld): void {
  const { content, paths } = world;
  expect(hash('sha256', readFileSync(paths.final))).toBe(hash('sha256', content));
  expect(readFileSync(paths.final).equals(content)).toBe(true);
  expect(statSync(paths.final).mode & 0o777).toBe(0o444);
  expect(world.catalog.dumpFile(world.id)).toMatchObject({
    ...{ ourStatus: 'downloaded', localPath: `dumps${DUMP_PATH}`, sizeBytes: content.length },
    ...{ md5: hash('md5', content), sha1: hash('sha1', content), sha256: hash('sha256', content) },
  });
  const pieces: string[] = [];
  for (let start = 0; start < content.length; start += PIECE_BYTES)
    pieces.push(hash('sha1', content.subarray(start, start + PIECE_BYTES)));
  const recorded = world.catalog.pieceHashes(world.id);
  expect(recorded?.pieceLength).toBe(PIECE_BYTES);
  expect(recorded?.sha1s.toString('hex')).toBe(pieces.join(''));
  expect(filesIn(world)).toEqual([`dumps${DUMP_PATH}`]);
}

/** Nothing of the file is under its name or counted as held. Parts may wait for another attempt. */
export function expectNotStored(world: DownloadWorld): void {
  expect(existsSync(world.paths.final)).toBe(false);
  const row = world.catalog.dumpFile(world.id);
  expect(['pending', 'failed', 'quarantined']).toContain(row?.ourStatus);
  expect(row?.localPath ?? null).toBeNull();
  expect(filesIn(world).filter((path) => !path.startsWith('dumps/.partial/'))).toEqual([]);
}

function filesIn({ dataDir }: DownloadWorld): string[] {
  return readdirSync(dataDir, { recursive: true, encoding: 'utf8' })
    .filter((path) => !path.startsWith('db') && statSync(join(dataDir, path)).isFile())
    .toSorted();
}

/** What is left unsaid by an answer that asks for a rest. */
const REST_MS: Readonly<Record<number, number>> = { 403: 3_600_000, 429: 1000, 503: 1000 };
/** On a machine with much to do, what began together with a refused request may arrive so much later. */
const ON_THE_WAY_MS = 1000;

/** After any trouble of its own the origin has so much peace at least. */
const ORIGIN_PEACE_MS = 1000;

/**
 * No host was asked for what politeness forbids: at the origin one connection at a time for a file, and not at once again after it
 * failed; two at a time for each host, and none while a host rests that refused us.
 */
export function expectPolite(world: DownloadWorld): void {
  for (const site of [world.origin, ...world.mirrors, world.spare]) {
    expect(site.counters().maxConcurrent, 'connections to one host').toBeLessThanOrEqual(2);
    const log = site.requestLog().filter(({ path }) => path.endsWith(DUMP_NAME));
    if (site === world.origin) {
      expect(overlaps(log), 'one connection for a file at the origin').toEqual([]);
      expect(hurried(world, log), 'the origin was asked again at once after it failed').toEqual([]);
    }
    for (const refused of log) {
      const restMs = REST_MS[refused.status ?? 0];
      if (restMs === undefined || refused.endedMs === null) continue;
      const since = refused.endedMs;
      // A new process knows nothing of rests; what the error of the last one asked for, the queue has kept.
      const until = world.births.find((atMs) => atMs > since) ?? Number.POSITIVE_INFINITY;
      const resting = log.filter(
        ({ beganMs }) =>
          beganMs > since &&
          beganMs < until &&
          clockAt(world, beganMs, 'latest') < clockAt(world, since, 'earliest') + restMs,
      );
      // Of two requests at a time one may have been under way while the other was refused.
      const [first, ...disobedient] = resting;
      if (first !== undefined && first.beganMs > since + ON_THE_WAY_MS) disobedient.unshift(first);
      expect(disobedient, `asked again although it answered ${refused.status}`).toEqual([]);
    }
  }
}

/** What was asked for soon after an error of the server, or after a hang-up without an answer, by the same process. */
function hurried(world: DownloadWorld, log: readonly LoggedRequest[]): string[] {
  return log.flatMap((failed) => {
    const { status, endedMs } = failed;
    if (endedMs === null || (status !== null && status < 500)) return [];
    const until = world.births.find((atMs) => atMs > endedMs) ?? Number.POSITIVE_INFINITY;
    return log
      .filter(({ beganMs }) => beganMs > endedMs && beganMs < until)
      .filter(
        ({ beganMs }) =>
          clockAt(world, beganMs, 'latest') < clockAt(world, endedMs, 'earliest') + ORIGIN_PEACE_MS,
      )
      .map(({ range }) => `${range} after ${status ?? 'no answer'} to ${failed.range}`);
  });
}

function overlaps(log: readonly LoggedRequest[]): string[] {
  return log.flatMap((one, at) =>
    log
      .slice(at + 1)
      .filter((other) => other.beganMs < (one.endedMs ?? Number.POSITIVE_INFINITY))
      .map((other) => `${one.range} until ${one.endedMs}, ${other.range} from ${other.beganMs}`),
  );
}
