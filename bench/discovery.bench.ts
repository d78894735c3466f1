// What do the status files of 1,000 wikis with 48 jobs each cost: how long, how much memory, how long is the loop blocked?
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chooseWikis, statusDocument, statusText, wikiSplits } from '../src/sandbox/index.ts';
import type { DiscoveryRound } from './discovery-round.ts';
import { figureOf, type MeasuredFigure } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: 90,000 files of some 280 bytes are 26 MB of JSON. Reading it takes 0.1 s, checking the shape and matching
 * each name with 14 types some 10 us a file: below 1 s in all, 20 to 40 ms of it for each of the ten giants. Node alone holds
 * 100 MB with the modules loaded. `index.json` in one piece is the ugly case: all of that in one turn of the loop.
 */

const execute = promisify(execFile);

const WIKIS = 1000;
const ROUNDS = 5;
const RUN_DATE = '20261101';
const GIANTS = 10;
const LARGE = 60;

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  const documents = chooseWikis(WIKIS).map(({ dbname }, rank) => {
    const split = wikiSplits[rank < GIANTS ? 'giant' : rank < GIANTS + LARGE ? 'large' : 'small'];
    return { dbname, text: statusText(statusDocument({ dbname, date: RUN_DATE, split })) };
  });
  for (const { dbname, text } of documents) writeFileSync(join(folder, `${dbname}.json`), text);
  const entries = documents.map(({ dbname, text }) => `${JSON.stringify(dbname)}: ${text}`);
  writeFileSync(join(folder, 'index.json'), `{"wikis": {${entries.join(', ')}}}`);
  const megabytes = documents.reduce((sum, { text }) => sum + text.length, 0) / 1e6;
  note(`${WIKIS} wikis, ${megabytes.toFixed(1)} MB of status documents, ${ROUNDS} rounds each way`);

  const figures: MeasuredFigure[] = [];
  for (const [way, words] of [
    ['singly', 'one document at a time'],
    ['index', 'the find_dumps job over one index.json'],
  ] as const) {
    const rounds: DiscoveryRound[] = [];
    for (let round = 0; round < ROUNDS; round += 1) rounds.push(await oneRound(way, folder));
    const facts = { better: 'low' } as const;
    figures.push(
      figureOf({ name: `time, ${words}`, unit: 's', ...facts, ours: rounds.map((r) => r.seconds) }),
      figureOf({
        name: `peak memory of the process, ${words}`,
        unit: 'MB',
        ...facts,
        ours: rounds.map((r) => r.peakBytes / 1e6),
        target: { of: 'ours', bound: '< 300' },
      }),
      figureOf({
        name: `of it before the first document, ${words}`,
        unit: 'MB',
        ...facts,
        ours: rounds.map((r) => r.loadedBytes / 1e6),
      }),
      figureOf({
        name: `longest block of the event loop, ${words}`,
        unit: 'ms',
        ...facts,
        ours: rounds.map((r) => r.longestBlockMs),
        target: { of: 'ours', bound: '<= 50' },
      }),
    );
    note(`${words}: ${rounds[0]?.files} files selected`);
  }
  return { figures };
}

async function oneRound(way: 'singly' | 'index', folder: string): Promise<DiscoveryRound> {
  const script = join(import.meta.dirname, 'discovery-round.ts');
  const { stdout } = await execute(process.execPath, [script, way, folder, String(WIKIS)]);
  return JSON.parse(stdout) as DiscoveryRound;
}
