// How many jobs per second does the queue finish, how soon does one begin, and how much dearer is one when a million wait?
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { figureOf, type MeasuredFigure, percentile } from './figure.ts';
import { checkThatSlownessShows } from './queue-control.ts';
import { type Crowd, type Depth, openDepth } from './queue-depth.ts';
import { openBenchDb } from './queue-fixture.ts';
import { measureLatency } from './queue-latency.ts';
import type { LoopDelay } from './queue-loop-delay.ts';
import { plainjobProcessesRound, plainjobRound, plainjobVersion, pragmasOf } from './queue-plainjob.ts';
import { executorRound, type ThroughputRound } from './queue-throughput.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: a commit without fsync (WAL, synchronous NORMAL) costs some 20 us and a job changes four or five indexes twice,
 * 20 us more; p-queue, zod and the events add some 10 us. With a commit for every batch about 40 us, 25,000 jobs/s; plainjob
 * commits twice for each job and has one index to change: 50 to 100 us. A B-tree of a million entries is one level deeper
 * than one of ten thousand, so depth should cost 5 to 10 %. A job that begins at once waits for one commit, the wake-up in
 * a microtask and the claim: 0.3 ms, and ten times that where a checkpoint or a collection of garbage comes between.
 */

const JOBS = 20_000;
const WARM_UP_JOBS = 4_000;
const THROUGHPUT_ROUNDS = 5;
/**
 * Jobs at once. The targets are judged at 32: half of the 64 that the configuration allows at most, and enough that the
 * bound of the pool is not what is measured. A worker of plainjob takes one at a time and has no such setting.
 */
const JUDGED = 32;
const CONCURRENCIES = [8, JUDGED, 64];

const SAMPLES = 2500;
const BACKDROP = { finished: 100_000, notDue: 10_000 };

const FEW = 10_000;
const MANY = 1_000_000;
const DEPTH_ROUNDS = 15;

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  note('control: a slowed handler and a slowed commit must show');
  await checkThatSlownessShows(join(folder, 'control'));
  const throughput = await throughputFigures(folder, note);
  note(`${SAMPLES} jobs one at a time into an idle queue`);
  const { latenciesMs, loop } = await measureLatency(join(folder, 'latency'), {
    samples: SAMPLES,
    backdrop: BACKDROP,
  });
  return {
    figures: [
      ...throughput,
      ...latencyFigures(latenciesMs),
      ...loopFigures('one job at a time', [loop]),
      ...(await depthFigures(folder, note)),
    ],
    versions: { plainjob: plainjobVersion() },
  };
}

async function throughputFigures(folder: string, note: (text: string) => void): Promise<MeasuredFigure[]> {
  const probe = openBenchDb(join(folder, 'pragmas'));
  const pragmas = pragmasOf(probe);
  probe.close();
  const workers = availableParallelism();
  const sides: { name: string; round: (at: string, jobs: number) => Promise<ThroughputRound> }[] = [
    ...CONCURRENCIES.map((concurrency) => ({
      name: `ours-${concurrency}`,
      round: (at: string, jobs: number) => executorRound(at, { jobs, concurrency }),
    })),
    { name: 'plainjob', round: (at, jobs) => plainjobRound(at, { jobs, pragmas }) },
    { name: 'processes', round: (at, jobs) => plainjobProcessesRound(at, { jobs, pragmas, workers }) },
  ];
  for (const { name, round } of sides) await round(join(folder, `warm-up-${name}`), WARM_UP_JOBS);
  note(
    `${THROUGHPUT_ROUNDS} rounds of ${JOBS} jobs, ${sides.length} sides in turns; plainjob: ${pragmas.join(', ')}`,
  );
  const rounds = new Map<string, ThroughputRound[]>(sides.map(({ name }) => [name, []]));
  for (let turn = 0; turn < THROUGHPUT_ROUNDS; turn += 1)
    // Back and forth, so that nobody always comes after the same neighbour.
    for (const { name, round } of turn % 2 === 0 ? sides : sides.toReversed())
      rounds.get(name)?.push(await round(join(folder, `${name}-${turn}`), JOBS));

  const speeds = (name: string): number[] => (rounds.get(name) ?? []).map((r) => r.jobsPerSecond);
  const loops = (name: string): LoopDelay[] => (rounds.get(name) ?? []).flatMap((r) => r.loop ?? []);
  const facts = { unit: 'jobs/s', better: 'high' } as const;
  const ours = speeds(`ours-${JUDGED}`);
  const isFaster = { of: 'ratio', bound: '>= 1.3' } as const;
  return [
    figureOf({
      name: `jobs through the executor, ${JUDGED} at once`,
      ...facts,
      ours,
      target: { of: 'ours', bound: '>= 15000' },
    }),
    ...CONCURRENCIES.filter((concurrency) => concurrency !== JUDGED).map((concurrency) =>
      figureOf({ name: `the same, ${concurrency} at once`, ...facts, ours: speeds(`ours-${concurrency}`) }),
    ),
    figureOf({
      name: `${JUDGED} at once against plainjob, one worker (theirs)`,
      ...facts,
      ours,
      theirs: speeds('plainjob'),
      target: isFaster,
    }),
    figureOf({
      name: `${JUDGED} at once against plainjob, ${workers} worker processes (theirs)`,
      ...facts,
      ours,
      theirs: speeds('processes'),
      target: isFaster,
    }),
    ...CONCURRENCIES.flatMap((concurrency) =>
      loopFigures(
        `${concurrency} at once`,
        loops(`ours-${concurrency}`),
        concurrency === JUDGED ? loops('plainjob') : undefined,
      ),
    ),
  ];
}

function loopFigures(
  when: string,
  ours: readonly LoopDelay[],
  theirs?: readonly LoopDelay[],
): MeasuredFigure[] {
  const facts = { unit: 'ms', better: 'low' } as const;
  return [
    figureOf({
      name: `event loop delay p99, ${when}`,
      ...facts,
      ours: ours.map((loop) => loop.p99Ms),
      theirs: theirs?.map((loop) => loop.p99Ms),
      target: { of: 'ours', bound: '< 20' },
    }),
    figureOf({
      name: `event loop delay, longest, ${when}`,
      ...facts,
      ours: ours.map((loop) => loop.maxMs),
      theirs: theirs?.map((loop) => loop.maxMs),
    }),
  ];
}

function latencyFigures(latenciesMs: readonly number[]): MeasuredFigure[] {
  const name = 'from enqueue to handler start when idle';
  const facts = { unit: 'ms', better: 'low' } as const;
  return [
    figureOf({ name: `${name}, p50`, ...facts, ours: [percentile(latenciesMs, 50)] }),
    figureOf({
      name: `${name}, p99`,
      ...facts,
      ours: [percentile(latenciesMs, 99)],
      target: { of: 'ours', bound: '< 5' },
    }),
    figureOf({
      name: `${name}, slowest of ${latenciesMs.length}`,
      ...facts,
      ours: [Math.max(...latenciesMs)],
    }),
  ];
}

async function depthFigures(folder: string, note: (text: string) => void): Promise<MeasuredFigure[]> {
  const open = async (at: string, waiting: number): Promise<Depth> => {
    const startedMs = performance.now();
    const depth = await openDepth(join(folder, at), waiting);
    note(
      `put 3 x ${waiting} waiting jobs in place in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
    );
    return depth;
  };
  const few = await open('few', FEW);
  const many = await open('many', MANY);
  note(`${DEPTH_ROUNDS} rounds of claims and completions`);
  const figure = (crowd: Crowd, name: string, bound?: string): MeasuredFigure => {
    few.measure(crowd);
    many.measure(crowd);
    // In turns, so that a slow moment of the machine hits both.
    const rounds = Array.from({ length: DEPTH_ROUNDS }, () => ({
      few: few.measure(crowd),
      many: many.measure(crowd),
    }));
    return figureOf({
      name,
      unit: 'us/job',
      better: 'low',
      ours: rounds.map((round) => round.many),
      theirs: rounds.map((round) => round.few),
      ...(bound === undefined ? {} : { target: { of: 'ratio', bound } }),
    });
  };
  const figures = [
    figure('inOrder', 'claim + complete, 1,000,000 waiting (ours) against 10,000 (theirs)', '<= 1.2'),
    figure('shuffled', 'the same with due times in no order'),
    figure('notDue', 'the same with better priorities that are not due in front', '<= 1.2'),
  ];
  few.close();
  many.close();
  return figures;
}
