import { DAY, type Dice, HOUR } from './moments.ts';
import { newFile, type Rates, type SimFile, type SimJob, type SimRun, type Trouble } from './runs.ts';
import type { SimWiki } from './wikis.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** Chance decides which trouble a run has, if any. */
export function giveTrouble(run: SimRun, wiki: SimWiki, rates: Rates, throws: Dice): void {
  for (const trouble of TROUBLES)
    if (throws.hits(rates[trouble] ?? 0) && TROUBLE[trouble](run, wiki, throws)) {
      run.troubles.push(trouble);
      // One at a time: what is seen then has one cause.
      break;
    }
}

const TROUBLES: readonly Trouble[] = [
  'never made',
  'fails for good',
  'fails and is rerun soon',
  'fails and is rerun late',
  'hangs',
  'hashes come late',
  'hashes only in the sums',
  'hashes never come',
  'replaced',
  'parts renamed',
  'removed early',
  'wrong hashes',
  'done late',
];

/** Each changes a run into one that has that trouble; false: it cannot have it. */
const TROUBLE: Readonly<Record<Trouble, (run: SimRun, wiki: SimWiki, throws: Dice) => boolean>> = {
  'never made': (run, wiki) => {
    if (wiki.size !== 'tiny') return false;
    run.beginsAt = NEVER;
    return true;
  },
  'fails for good': (run, _wiki, throws) => {
    const job = someJob(run, throws);
    endOf(job).phase = 'failed';
    delay(job, NEVER);
    return true;
  },
  'fails and is rerun soon': (run, _wiki, throws) => rerun(run, throws, throws.whole(20, 96) * HOUR),
  'fails and is rerun late': (run, _wiki, throws) => rerun(run, throws, throws.whole(14, 26) * DAY),
  hangs: (run, _wiki, throws) => {
    const job = someJob(run, throws);
    job.phases.pop();
    delay(job, NEVER);
    return true;
  },
  'done late': (run, _wiki, throws) => {
    const job = someJob(run, throws);
    endOf(job).from += throws.whole(17, 30) * DAY;
    delay(job, endOf(job).from);
    return true;
  },
  'hashes come late': (run, _wiki, throws) => {
    const hours = throws.whole(20, 120) * HOUR;
    for (const file of someJob(run, throws).files) file.summedFrom = file.hashedFrom += hours;
    return true;
  },
  'hashes only in the sums': (run, _wiki, throws) => {
    for (const file of someJob(run, throws).files) file.hashedFrom = NEVER;
    return true;
  },
  'hashes never come': (run, _wiki, throws) => {
    for (const file of someJob(run, throws).files) file.summedFrom = file.hashedFrom = NEVER;
    return true;
  },
  replaced: (run, _wiki, throws) => {
    const after = throws.whole(20, 360) * HOUR;
    for (const file of someJob(run, throws).files) {
      const [first] = file.versions as [SimFile['versions'][0]];
      const sizeBytes = first.sizeBytes + (throws.hits(0.5) ? 1000 : 0);
      file.versions.push({ from: first.from + after, sizeBytes, content: `${file.name}#2` });
    }
    return true;
  },
  'parts renamed': (run, wiki, throws) => {
    const split = run.jobs.filter((job) => job.files.length > 1 && !isSpare(run, job));
    if (wiki.size !== 'large' || split.length === 0) return false;
    const job = split[throws.whole(0, split.length - 1)] as SimJob;
    const renamedAt = endOf(job).from + throws.whole(30, 200) * HOUR;
    const last = job.files.at(-1) as SimFile;
    last.listedUntil = renamedAt;
    for (const half of [1, 2]) {
      const name = last.name.replace(/-p(\d+)p(\d+)/, (_, first, end) =>
        half === 1 ? `-p${first}p${Number(first) + 1999}` : `-p${Number(first) + 2000}p${end}`,
      );
      const sizeBytes = (last.versions[0]?.sizeBytes ?? 0) / 2;
      const file = newFile(name, last.dumpType, 'parts', sizeBytes);
      file.versions[0] = { ...(file.versions[0] as SimFile['versions'][0]), from: renamedAt };
      job.files.push({ ...file, listedFrom: renamedAt, hashedFrom: renamedAt, summedFrom: renamedAt });
    }
    return true;
  },
  'removed early': (run, _wiki, throws) => {
    run.removedAt = run.beginsAt + throws.whole(20, 140) * HOUR;
    return true;
  },
  'wrong hashes': (run, _wiki, throws) => {
    const forGood = throws.hits(0.3);
    const right = throws.whole(2, 8) * DAY;
    for (const file of someJob(run, throws).files)
      file.wrongUntil = forGood ? NEVER : file.hashedFrom + right;
    return true;
  },
};

/** Parts of what also comes whole are not taken. */
function isSpare(run: SimRun, job: SimJob): boolean {
  return run.jobs.some(({ name }) => name === `${job.name}recombine`) || job.name === 'metahistorybz2dump';
}

/** A job that makes what is taken. */
function someJob(run: SimRun, throws: Dice): SimJob {
  const jobs = run.jobs.filter((job) => job.files.length > 0 && !isSpare(run, job));
  return jobs[throws.whole(0, jobs.length - 1)] as SimJob;
}

function endOf(job: SimJob): SimJob['phases'][0] {
  return job.phases.at(-1) as SimJob['phases'][0];
}

function delay(job: SimJob, until: number): void {
  for (const file of job.files) {
    file.versions[0] = { ...(file.versions[0] as SimFile['versions'][0]), from: until };
    file.hashedFrom = file.summedFrom = until;
  }
}

function rerun(run: SimRun, throws: Dice, afterMs: number): boolean {
  const job = someJob(run, throws);
  const failed = endOf(job);
  failed.phase = 'failed';
  const begun = failed.from + afterMs;
  job.phases.push({ from: begun, phase: 'in-progress' }, { from: begun + 3 * HOUR, phase: 'done' });
  delay(job, begun + 3 * HOUR);
  return true;
}
