import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import { isAbort, WikiSeedError } from '../../src/lib/index.ts';
import type { FaultKind, FaultSpec } from '../../src/sandbox/index.ts';
import {
  attended,
  drive,
  expectNotStored,
  expectPolite,
  expectStored,
  turnClock,
  waitOf,
  whenQuiet,
} from './download-drive.ts';
import { type DownloadWorld, hash, openDownloadWorld } from './download-world.ts';
import { createMachine, createMortalDisk, type Death, flush, type Machine } from './mortal-disk.ts';
import { seededRandom } from './seeded-random.ts';

/** Something that goes wrong at a source; places are shares of the file. */
interface Trouble {
  /** 0 is the origin, everything else one of the mirrors there are. */
  source: number;
  kind: FaultKind;
  at: number;
  /** How far a lie goes on behind its place, a share too. */
  length: number;
  times: number;
  after: number;
  mask: number;
  /** What it says of other ranges, sizes and times. */
  shift: number;
  isLastingWhole: boolean;
}

/** How one process ends: it may do all it wants, is stopped, or dies at a call to the disk. */
interface LifePlan {
  end: 'by itself' | 'stopped' | Death;
  /** Of stopping: a share of the file. */
  at: number;
  /** Of dying. */
  calls: number;
  share: number;
  /** What the next process finds saved with the job. */
  cursor: 'saved' | 'older' | 'none';
  /** Passes before the next one, in seconds. */
  pauseSeconds: number;
}

export interface History {
  sizeBytes: number;
  segmentBytes: number;
  mirrors: number;
  contentSeed: number;
  hashes: 'all' | 'md5' | 'sha1' | 'sha256';
  /** Time passes while bytes come. */
  isSlow: boolean;
  troubles: Trouble[];
  lives: LifePlan[];
  /** In the end all troubles are over, and a day has passed. */
  heals: boolean;
}

/** Slow enough for the hashing threads to keep up, so that what they did is saved on the way. */
const SLOW_BYTES_PER_SECOND = 3_000_000;

const LARGE = 1024 * 1024;
/** Even: `fc.double` would nearly always give something next to 0. */
const share = fc.noBias(fc.nat({ max: 9999 })).map((part) => part / 10_000);

/** Sizes around everything that has a border, and segments of all kinds. */
const sizes = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      sizeBytes: fc.integer({ min: 1, max: 3000 }),
      segmentBytes: fc.integer({ min: 64, max: 2000 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      // From a mebibyte on mirrors go before the origin.
      sizeBytes: fc.integer({ min: LARGE, max: LARGE + 300_000 }),
      segmentBytes: fc.constantFrom(50_001, 65_536, 100_000, 131_072, 400_000, 2_000_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(65_536, 131_072, 262_144),
        fc.integer({ min: 4, max: 5 }),
        fc.integer({ min: -1, max: 1 }),
      )
      .map(([segmentBytes, count, off]) => ({
        sizeBytes: Math.max(LARGE, segmentBytes * count) + off,
        segmentBytes,
      })),
  },
);

const KINDS = [
  ...([
    'lie',
    'lie',
    'lie',
    'corrupt',
    'truncate',
    'short',
    'long',
    'reset',
    'stall',
    'status',
    'redirect',
  ] as const),
  ...(['vanish', 'lag', 'cap', 'changed', 'weak-etag', 'wrong-size', 'ignore-range'] as const),
  ...(['wrong-range', 'unsatisfiable', 'gzip'] as const),
];

const troubles: fc.Arbitrary<Trouble> = fc.record({
  source: fc.integer({ min: 0, max: 3 }),
  kind: fc.constantFrom(...KINDS),
  at: share,
  length: fc.oneof(fc.constant(0), share),
  times: fc.constantFrom(1, 1, 2, 5, Number.POSITIVE_INFINITY),
  after: fc.constantFrom(0, 0, 0, 1, 2, 5),
  mask: fc.constantFrom(1, 1, 0x80, 0xff),
  shift: fc.constantFrom(-1, 1, 7, 1000),
  isLastingWhole: fc.boolean(),
});

const lives: fc.Arbitrary<LifePlan> = fc.record({
  end: fc.constantFrom('by itself', 'stopped', 'killed', 'killed', 'power cut', 'power cut'),
  at: share,
  calls: fc.oneof(fc.integer({ min: 1, max: 25 }), fc.integer({ min: 1, max: 120 })),
  share,
  cursor: fc.constantFrom('saved', 'saved', 'older', 'none'),
  pauseSeconds: fc.constantFrom(0, 0, 1, 60, 86_401),
});

export const histories: fc.Arbitrary<History> = fc
  .tuple(
    sizes,
    fc.record({
      mirrors: fc.constantFrom(0, 1, 2, 2, 3),
      contentSeed: fc.nat(2 ** 30),
      hashes: fc.constantFrom('all', 'md5', 'sha1', 'sha256'),
      isSlow: fc.constantFrom(false, false, true),
      troubles: fc.array(troubles, { maxLength: 7, size: 'max' }),
      lives: fc.array(lives, { maxLength: 4, size: 'max' }),
      heals: fc.boolean(),
    }),
  )
  .map(([size, rest]) => ({ ...size, ...rest }));

/** Plays a history to its end and judges it. @throws what is wrong first */
export async function playHistory(history: History, counts: Record<string, number>): Promise<void> {
  const content = contentOf(history);
  const { md5, sha1, sha256 } = {
    md5: hash('md5', content),
    sha1: hash('sha1', content),
    sha256: hash('sha256', content),
  };
  const world = await openDownloadWorld({
    ...{ content, mirrors: history.mirrors, segmentBytes: history.segmentBytes },
    bytesPerSecond: history.isSlow ? SLOW_BYTES_PER_SECOND : null,
    hashes: { all: { md5, sha1 }, md5: { md5 }, sha1: { sha1 }, sha256: { sha256 } }[history.hashes],
  });
  const count = (what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  try {
    for (const trouble of history.troubles) put(world, history, trouble);
    let isStored = false;
    const machine = createMachine();
    for (const plan of history.lives) {
      if (hasHashState(world)) count('hash state');
      const end = await live(world, machine, history, plan);
      count(end);
      isStored ||= end === 'stored';
      judgeMidway(world);
      if (isStored) break;
      await turnClock(world, plan.pauseSeconds * 1000);
      // After so long a time the system has written everything by itself.
      if (plan.pauseSeconds >= 60) flush(machine);
    }
    for (const { spec, fired } of world.faults.all()) if (fired > 0) count(spec.kind);
    if (history.heals) {
      world.faults.clear();
      await turnClock(world, 2 * 86_400_000);
    }
    if (machine.lostWrites > 0) count('lost writes');
    flush(machine);
    if (!isStored) {
      if (hasHashState(world)) count('hash state');
      slowly(world, history);
      const outcome = await drive(world, world.begin());
      isStored = outcome.stored;
      const errors = outcome.errors.map(String).join('; ');
      if (history.heals) expect(outcome.stored, `all troubles are over, but: ${errors}`).toBe(true);
      count(isStored ? 'stored in the end' : `ended ${outcome.errors.at(-1)?.code}`);
    }
    if (isStored) expectStored(world);
    else expectNotStored(world);
    expectPolite(world);
  } finally {
    await world.close();
  }
}

function contentOf({ sizeBytes, contentSeed }: History): Buffer {
  const random = seededRandom(contentSeed);
  const block = Buffer.from(Array.from({ length: 4099 }, () => Math.floor(random.next() * 256)));
  const content = Buffer.alloc(sizeBytes);
  // No two places alike, so that bytes in the wrong place are wrong bytes.
  for (let at = 0; at < sizeBytes; at += 1)
    content[at] = (block[at % block.length] as number) ^ ((at / block.length) & 0xff);
  return content;
}

function put(world: DownloadWorld, { sizeBytes, mirrors }: History, trouble: Trouble): void {
  const { kind, times, after, mask, shift, isLastingWhole } = trouble;
  const server: FaultSpec['server'] =
    trouble.source === 0 || mirrors === 0 ? 'dumps' : `mirror-${1 + (trouble.source % mirrors)}`;
  const at = Math.floor(trouble.at * sizeBytes);
  const spec: Omit<FaultSpec, 'server' | 'match'> = { kind, times, after };
  const whole = isLastingWhole ? {} : { fileByte: at };
  if (kind === 'lie') {
    const endBytes = at + 1 + Math.floor(trouble.length * (sizeBytes - at));
    const lies = isLastingWhole ? {} : { lies: [{ startBytes: at, endBytes }] };
    world.script(server, { ...spec, ...lies, mask });
  } else if (kind === 'status') {
    const status = [403, 429, 500, 503][at % 4] ?? 500;
    world.script(server, { ...spec, ...whole, status, ...(at % 3 === 0 ? { retryAfter: 30 } : {}) });
  } else if (kind === 'redirect') {
    const target = [world.spare.baseUrl, world.hidden.url, world.origin.baseUrl][at % 3] ?? '';
    world.script(server, { ...spec, ...whole, location: target, keepsPath: true });
  } else if (kind === 'wrong-range') world.script(server, { ...spec, shiftBytes: shift });
  else if (kind === 'wrong-size')
    world.script(server, { ...spec, ...whole, sizeBytes: Math.max(0, sizeBytes + shift) });
  else if (kind === 'cap') world.script(server, { ...spec, connections: 1, retryAfter: 5 });
  else if (kind === 'corrupt') world.script(server, { ...spec, atByte: at });
  else if (['truncate', 'short', 'reset', 'stall'].includes(kind))
    world.script(server, { ...spec, fileByte: at });
  else world.script(server, { ...spec, ...whole });
}

/** Whether the next process will go on with a hash that was begun before. */
function hasHashState({ paths }: DownloadWorld): boolean {
  const path = `${paths.part}.state`;
  return existsSync(path) && /"hashing":\{/.test(readFileSync(path, 'latin1'));
}

/** With time that passes hashing is done by what can be saved. */
function slowly(world: DownloadWorld, { isSlow }: History): void {
  world.onProgress = () => {
    if (isSlow) void world.clock.advance(20);
  };
}

async function live(
  world: DownloadWorld,
  machine: Machine,
  history: History,
  plan: LifePlan,
): Promise<string> {
  const mortal = createMortalDisk(
    machine,
    plan.end === 'killed' || plan.end === 'power cut' ? plan.calls : Number.POSITIVE_INFINITY,
    plan.share,
  );
  const cursors: unknown[] = [world.saved.cursor];
  const stop = new AbortController();
  const life = world.begin(mortal.disk);
  const stopAt = plan.end === 'stopped' ? Math.floor(plan.at * history.sizeBytes) : Number.POSITIVE_INFINITY;
  world.onProgress = (doneBytes) => {
    cursors.push(world.saved.cursor);
    if (history.isSlow) void world.clock.advance(20);
    if (doneBytes >= stopAt) stop.abort();
  };
  const work = life.work(stop.signal, 1);
  work.catch(() => {});
  let end = 'died';
  try {
    const output = await attended(world, Promise.race([work, mortal.died.then(() => DEAD)]));
    if (output !== DEAD) {
      life.record(output);
      end = 'stored';
    }
  } catch (error) {
    if (!(error instanceof WikiSeedError) || error.code === 'assertion') throw error;
    end = isAbort(error) ? 'stopped' : `attempt ended ${error.code}`;
    await turnClock(world, waitOf(error));
  }
  world.onProgress = () => {};
  stop.abort();
  await life.end();
  await mortal.bury(plan.end === 'power cut' && end === 'died' ? 'power cut' : 'killed');
  await whenQuiet(world);
  if (plan.cursor === 'none') world.saved.cursor = null;
  if (plan.cursor === 'older') world.saved.cursor = cursors[Math.floor(cursors.length * plan.share)] ?? null;
  return end === 'died' ? plan.end : end;
}

const DEAD = Symbol('dead');

/** Faults after which wrong bytes may well be in a part file, until its hash is known. */
const WRONG_BYTES: readonly FaultKind[] = ['lie', 'corrupt', 'changed', 'lag'];

/**
 * Whatever happened: what has the final name is the file, what counts as held is there, and what a part file's sidecar vouches for is
 * in the part file, though the hash of the whole file would find it out in the end.
 */
function judgeMidway(world: DownloadWorld): void {
  const { final, part } = world.paths;
  if (existsSync(final))
    expect(hash('sha256', readFileSync(final)), 'the bytes under the final name').toBe(
      hash('sha256', world.content),
    );
  if (world.catalog.dumpFile(world.id)?.ourStatus === 'downloaded') expect(existsSync(final)).toBe(true);
  const isAnyWrong = world.faults
    .all()
    .some(({ spec, fired }) => fired > 0 && WRONG_BYTES.includes(spec.kind));
  if (isAnyWrong || !existsSync(part) || !existsSync(`${part}.state`)) return;
  const [json = ''] = readFileSync(`${part}.state`, 'utf8').split('\n');
  const bytes = readFileSync(part);
  for (const [startBytes, endBytes] of (JSON.parse(json) as { ranges: [number, number, number][] }).ranges)
    expect(
      hash('sha256', bytes.subarray(startBytes, endBytes)),
      `bytes ${startBytes} to ${endBytes} of the part file, which its sidecar vouches for`,
    ).toBe(hash('sha256', world.content.subarray(startBytes, endBytes)));
}
