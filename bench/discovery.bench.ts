// What does it cost to find what a thousand wikis offer: memory, time, a blocked event loop, requests to upstream?
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { generateStatusWorld, startDumpSite } from '../src/sandbox/index.ts';
import type { Pass, PassName, RoundOrder } from './discovery-round.ts';
import { figureOf, type MeasuredFigure } from './figure.ts';
import { PROGRAM_FLAGS } from './machine.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: `index.json` has some 27 MB; finding the entries in it takes 0.1 s and parsing each twice 0.5 s. Of 90,000 listed files
 * 28,000 are taken: a row with five indexes and a job with six for each are 60 us, 1.7 s. With packing, reading and writing 4 to
 * 6 s of CPU. The largest runs have 880 files: 50 us each for row and job in one transaction would be 44 ms of a blocked loop, the
 * longest turn there is. Node and the modules of the whole daemon take 180 MB, its threads 30; the packed entries 6, SQLite's cache 20.
 */

const WIKIS = 1000;
const RUN_DATE = '20261101';
/** A Thursday in the cycle of that run, history and content exports included. */
const TODAY = '2026-11-12T12:00:00Z';
const ROUNDS = 3;
const NODE_ENVIRONMENT = { MALLOC_ARENA_MAX: '2' };

/** A pass as the daemon and as the site saw it. */
type SeenPass = Pass & { requests: number };

interface Way {
  words: string;
  sources: RoundOrder['sources'];
  /** Without `index.json` every wiki is asked for its own status. */
  hasIndex: boolean;
  /** The figures that the issue names are judged; the others are for information. */
  isJudged: boolean;
}

const WAYS: readonly Way[] = [
  { words: 'classic runs', sources: ['classic'], hasIndex: true, isJudged: true },
  { words: 'without index.json', sources: ['classic'], hasIndex: false, isJudged: true },
  { words: 'with content exports', sources: ['classic', 'content_current'], hasIndex: true, isJudged: false },
];

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  note(`writing the status documents of ${WIKIS} wikis, ten of them giants of 2,184 files`);
  const root = join(folder, 'world');
  const { filesByDate } = await generateStatusWorld({ dir: root, wikis: WIKIS, runDates: [RUN_DATE] });
  note(`${filesByDate[RUN_DATE]} files in ${48 * WIKIS} jobs`);
  const figures: MeasuredFigure[] = [];
  for (const way of WAYS) {
    const rounds: SeenPass[][] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const dataDir = join(folder, `data-${round}`);
      const passes = [...(await oneLife(root, dataDir, way, 2)), ...(await oneLife(root, dataDir, way, 1))];
      rmSync(dataDir, { recursive: true });
      rounds.push(passes);
      for (const { failures } of passes)
        if (failures > 0)
          note(`${way.words}: ${failures} attempts failed; the figures of this round are too high`);
    }
    figures.push(...figuresOf(way, rounds));
    note(`${way.words}: ${rounds[0]?.[0]?.files} files expected`);
  }
  return { figures };
}

/** Starts the daemon in a process of its own, lets it do so many passes, and stops it. The site lives in this process. */
async function oneLife(root: string, dataDir: string, way: Way, passCount: 1 | 2): Promise<SeenPass[]> {
  const site = await startDumpSite({ root });
  const missing = way.hasIndex
    ? null
    : site.faults.add({ server: 'dumps', match: /^GET \/index\.json/, kind: 'vanish' });
  const order: RoundOrder = {
    dataDir,
    dumpsBaseUrl: site.baseUrl,
    sitematrixUrl: site.sitematrixUrl,
    sources: way.sources,
    today: TODAY,
    passes: passCount,
  };
  const child = fork(join(import.meta.dirname, 'discovery-round.ts'), [JSON.stringify(order)], {
    execArgv: PROGRAM_FLAGS,
    env: { ...process.env, ...NODE_ENVIRONMENT },
  });
  try {
    const passes: SeenPass[] = [];
    await new Promise<void>((resolve, reject) => {
      child.on('message', (pass: Pass) => {
        passes.push({ ...pass, requests: site.counters().requests });
        site.resetCounters();
        child.send('go on');
      });
      child.once('error', reject);
      child.once('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`the measured process ended with ${code}`)),
      );
    });
    if (passes.length !== passCount) throw new Error('the measured process did not do all its passes');
    if (missing !== null && missing.fired === 0) throw new Error('index.json was not asked for');
    return passes;
  } finally {
    child.kill();
    await site.stop();
  }
}

const PASS_WORDS: Readonly<Record<PassName, string>> = {
  start: 'first pass',
  again: 'second pass, nothing new',
  restart: 'start with all of it waiting',
};

function figuresOf({ words, isJudged }: Way, rounds: readonly SeenPass[][]): MeasuredFigure[] {
  const passes = (name: PassName): SeenPass[] =>
    rounds.flatMap((round) => round.filter((pass) => pass.name === name));
  const figure = (
    name: PassName,
    what: string,
    unit: string,
    pick: (pass: SeenPass) => number,
    bound?: string,
    of: 'ours' | 'worst' = 'ours',
  ) =>
    figureOf({
      name: `${what}, ${words}, ${PASS_WORDS[name]}`,
      unit,
      better: 'low',
      ours: passes(name).map(pick),
      ...(bound === undefined || !isJudged ? {} : { target: { of, bound } }),
    });
  const ofPass = (name: PassName, bounds: { cpu?: string; requests?: string }): MeasuredFigure[] => [
    figure(name, 'CPU time', 's', (pass) => pass.cpuSeconds, bounds.cpu),
    figure(name, 'time', 's', (pass) => pass.seconds),
    figure(name, 'longest block of the event loop', 'ms', (pass) => pass.longestBlockMs, '<= 50', 'worst'),
    figure(name, 'CPU time of the longest turn', 'ms', (pass) => pass.longestTurnMs),
    figure(name, 'requests to upstream', 'requests', (pass) => pass.requests, bounds.requests),
  ];
  return [
    figure('again', 'peak memory of the process', 'MB', (pass) => pass.peakBytes / 1e6, '< 300', 'worst'),
    figure('start', 'of it before anything was done', 'MB', (pass) => pass.loadedBytes / 1e6),
    ...ofPass('start', { cpu: '< 20', requests: `<= ${WIKIS + 10}` }),
    // Where every wiki must be asked singly, so it must be at the second pass, though for news only.
    ...ofPass('again', words === WAYS[0]?.words ? { cpu: '< 2', requests: '<= 3' } : {}),
    ...ofPass('restart', {}),
  ];
}
