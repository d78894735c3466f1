import { at, compact, DAY, type Dice, dice, HOUR } from './moments.ts';
import { newFile, type Rates, type SimFile, type SimJob, type SimRun } from './runs.ts';
import { giveTrouble } from './troubles.ts';
import type { SimWiki, Size } from './wikis.ts';

/** Upstream keeps fewer runs of the large ones. */
const KEPT_DAYS: Readonly<Record<Size, number>> = { tiny: 150, medium: 120, large: 105 };

/** The jobs of a run in upstream's order, with their share of its time. */
const ORDER = [
  ['articlesdump', 0.2],
  ['articlesdumprecombine', 0.05],
  ['metacurrentdump', 0.15],
  ['metacurrentdumprecombine', 0.05],
  ['metahistorybz2dump', 0.25],
  ['metahistory7zdump', 0.2],
] as const;

/** Everything that will happen to the run of a wiki in a batch; null: the batch does not have this wiki. */
export function planRun(seed: number, wiki: SimWiki, batch: string, rates: Rates): SimRun | null {
  if (wiki.dumped === null || batch < wiki.dumped.from || batch > wiki.dumped.to) return null;
  const throws = dice(seed, `${wiki.wikiDbName}/${batch}`);
  const isFull = batch.endsWith('-01');
  const date = compact(batch);
  const day = at(batch);
  const beginsAt = day + (wiki.size === 'tiny' ? throws.whole(2, 34) : throws.whole(1, 40)) * HOUR;
  const lasts = lengthOf(throws, wiki.size, isFull);
  const jobs: SimJob[] = [];
  let from = beginsAt;
  for (const [name, share] of ORDER) {
    const isRecombine = name.endsWith('recombine');
    // As with Wikidata: of one large wiki in three the current text comes in parts only.
    if (isRecombine && (wiki.size !== 'large' || (name.startsWith('meta') && wiki.language < 'i'))) continue;
    const files = filesOf(wiki, name, date);
    const doneAt = from + Math.max(HOUR, Math.round((lasts * share) / HOUR) * HOUR);
    const isSkipped = !isFull && name.startsWith('metahistory');
    const phases: SimJob['phases'] = isSkipped
      ? [{ from: beginsAt, phase: 'skipped' }]
      : [
          { from: beginsAt, phase: 'waiting' },
          { from, phase: 'in-progress' },
          { from: doneAt, phase: 'done' },
        ];
    for (const file of isSkipped ? [] : files) {
      file.versions[0] = { ...(file.versions[0] as SimFile['versions'][0]), from: doneAt };
      file.hashedFrom = doneAt;
      file.summedFrom = doneAt;
    }
    jobs.push({ name, phases, files: isSkipped ? [] : files });
    if (!isSkipped) from = doneAt;
  }
  const run: SimRun = {
    ...{ source: 'classic', wikiDbName: wiki.wikiDbName, runDate: date, batch, beginsAt, jobs },
    removedAt: day + KEPT_DAYS[wiki.size] * DAY,
    troubles: [],
  };
  giveTrouble(run, wiki, rates, throws);
  return run;
}

function lengthOf(throws: Dice, size: Size, isFull: boolean): number {
  if (size === 'tiny') return throws.whole(8, 20) * HOUR;
  if (size === 'medium') return throws.whole(20, isFull ? 120 : 72) * HOUR;
  return isFull ? throws.whole(8, 15) * DAY : throws.whole(3, 6) * DAY;
}

/** Share of the text that a job's content weighs, and what it is. */
const CONTENT: Readonly<Record<string, readonly [name: string, type: string, weight: number]>> = {
  articlesdump: ['pages-articles#.xml~.bz2', 'pages-articles', 1],
  articlesdumprecombine: ['pages-articles.xml.bz2', 'pages-articles', 1],
  metacurrentdump: ['pages-meta-current#.xml~.bz2', 'pages-meta-current', 1.6],
  metacurrentdumprecombine: ['pages-meta-current.xml.bz2', 'pages-meta-current', 1.6],
  metahistorybz2dump: ['pages-meta-history#.xml~.bz2', 'pages-meta-history', 12],
  metahistory7zdump: ['pages-meta-history#.xml~.7z', 'pages-meta-history', 3],
};

function filesOf(wiki: SimWiki, job: string, date: string): SimFile[] {
  const [pattern, dumpType, weight] = CONTENT[job] as (typeof CONTENT)[string];
  const isSplit = wiki.size === 'large' && pattern.includes('#');
  return Array.from({ length: isSplit ? 4 : 1 }, (_, index) => {
    const part = isSplit ? String(index + 1) : '';
    const range = isSplit ? `-p${index * 5000 + 1}p${(index + 1) * 5000}` : '';
    const name = `${wiki.wikiDbName}-${date}-${pattern.replace('#', part).replace('~', range)}`;
    return newFile(
      name,
      dumpType,
      isSplit ? 'parts' : 'whole',
      (wiki.textBytes * weight) / (isSplit ? 4 : 1),
    );
  });
}
