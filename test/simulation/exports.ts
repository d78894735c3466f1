import { at, DAY, dice, HOUR } from './moments.ts';
import { newFile, type SimRun, type Trouble } from './runs.ts';
import type { SimWiki } from './wikis.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** Share of exports that go wrong. */
const RATES = {
  'never made': 0.0004,
  hangs: 0.0004,
  'done late': 0.0004,
  'hashes come late': 0.001,
  'wrong hashes': 0.0003,
  'removed early': 0.0002,
} as const satisfies Partial<Record<Trouble, number>>;

/** So many exports of a wiki are kept. */
const KEPT = 4;

function beginOf(seed: number, wiki: SimWiki, month: string): number {
  return at(`${month}-05`) + dice(seed, `${wiki.wikiDbName}/begin/${month}`).whole(0, 9 * 24) * HOUR;
}

function laterMonth(month: string, by: number): string {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number - 1 + by, 1)).toISOString().slice(0, 7);
}

/**
 * The content export of a wiki for a month. It appears between the 5th and the 15th, and is complete some hours or days
 * later. It is a run with one job.
 */
export function planExport(seed: number, wiki: SimWiki, month: string, isQuiet: boolean): SimRun | null {
  const batch = `${month}-01`;
  if (wiki.dumped === null || batch < wiki.dumped.from || batch > wiki.dumped.to) return null;
  const throws = dice(seed, `${wiki.wikiDbName}/content/${month}`);
  let beginsAt = beginOf(seed, wiki, month);
  let doneAt = beginsAt + (wiki.size === 'large' ? throws.whole(20, 90) : throws.whole(1, 9)) * HOUR;
  const parts = wiki.size === 'large' ? 3 : 1;
  let hashesAfter = 0;
  let wrongFor = 0;
  // What is too old goes when something newer comes.
  let removedAt = beginOf(seed, wiki, laterMonth(month, KEPT));
  const troubles: Trouble[] = [];
  for (const [trouble, rate] of Object.entries(RATES) as [keyof typeof RATES, number][]) {
    if (isQuiet || !throws.hits(rate) || troubles.length > 0) continue;
    troubles.push(trouble);
    if (trouble === 'never made') beginsAt = doneAt = NEVER;
    if (trouble === 'hangs') doneAt = NEVER;
    if (trouble === 'done late') doneAt += throws.whole(10, 25) * DAY;
    if (trouble === 'hashes come late') hashesAfter = throws.whole(20, 60) * HOUR;
    if (trouble === 'wrong hashes') wrongFor = throws.whole(2, 5) * DAY;
    if (trouble === 'removed early') removedAt = doneAt + throws.whole(10, 60) * HOUR;
  }
  const files = Array.from({ length: parts }, (_, index) => {
    const name = `${wiki.wikiDbName}-${batch}-p${index * 9000 + 1}p${(index + 1) * 9000}.xml.bz2`;
    const file = newFile(name, 'pages-meta-current', 'parts', (wiki.textBytes * 1.7) / parts);
    const [first] = file.versions as [(typeof file.versions)[0]];
    file.versions[0] = { ...first, from: doneAt };
    return { ...file, hashedFrom: doneAt + hashesAfter, summedFrom: NEVER, wrongUntil: doneAt + wrongFor };
  });
  const phases: SimRun['jobs'][0]['phases'] = [{ from: beginsAt, phase: 'in-progress' }];
  if (Number.isFinite(doneAt)) phases.push({ from: doneAt, phase: 'done' });
  return {
    ...{ source: 'content_current', wikiDbName: wiki.wikiDbName, runDate: batch, batch, beginsAt, removedAt },
    jobs: [{ name: 'export', phases, files }],
    troubles,
  };
}
