import { hash } from 'node:crypto';
import { compact } from './moments.ts';
import type { Phase, SimFile, SimJob, SimRun } from './runs.ts';

/* What upstream's pages say at a time. Independent of the program: written from the description of the formats. */

/** Hash of what a content stands for. */
export function hashOf(algorithm: 'md5' | 'sha1' | 'sha256', content: string): string {
  return hash(algorithm, content);
}

/** What a job is at; null: the run has not begun. */
export function phaseOf(job: SimJob, now: number): Phase | null {
  return job.phases.findLast(({ from }) => from <= now)?.phase ?? null;
}

/** What lies at a file's place; null: nothing, or nothing yet. */
export function versionOf(file: SimFile, now: number): SimFile['versions'][0] | null {
  if (now < file.listedFrom || now >= file.listedUntil) return null;
  return file.versions.findLast(({ from }) => from <= now) ?? null;
}

/** Whether the folder of a run is there. */
export function isThere(run: SimRun, now: number): boolean {
  return run.beginsAt <= now && now < run.removedAt;
}

/** The hash that is published for a file's present bytes. */
function published(
  algorithm: 'md5' | 'sha1' | 'sha256',
  file: SimFile,
  content: string,
  now: number,
): string {
  return hashOf(algorithm, now < file.wrongUntil ? `${content} wrong` : content);
}

/** Every moment at which something of a run changes, in order. */
export function changesOf(run: SimRun): number[] {
  const times = new Set([run.beginsAt, run.removedAt]);
  for (const job of run.jobs) {
    for (const { from } of job.phases) times.add(from);
    for (const file of job.files) {
      times.add(file.listedFrom).add(file.listedUntil).add(file.hashedFrom).add(file.summedFrom);
      times.add(file.wrongUntil);
      for (const { from } of file.versions) times.add(from);
    }
  }
  return [...times].filter((time) => Number.isFinite(time) && time > 0).sort((a, b) => a - b);
}

/** A run's `dumpstatus.json`. */
export function statusDocument(run: SimRun, now: number): string {
  const jobs = Object.fromEntries(
    run.jobs.map((job) => {
      const phase = phaseOf(job, now) ?? 'waiting';
      const since = job.phases.findLast(({ from }) => from <= now)?.from;
      const updated = since === undefined ? '' : new Date(since).toISOString().slice(0, 19).replace('T', ' ');
      const files = filesIn(run, job, phase, now);
      return [job.name, { status: phase, updated, ...(files === null ? {} : { files }) }];
    }),
  );
  return JSON.stringify({ jobs, version: '0.8' });
}

function filesIn(run: SimRun, job: SimJob, phase: Phase, now: number): Record<string, unknown> | null {
  if (phase === 'waiting' || phase === 'skipped') return null;
  const files: Record<string, unknown> = {};
  for (const file of job.files) {
    if (now < file.listedFrom || now >= file.listedUntil) continue;
    const version = versionOf(file, now);
    if (phase === 'failed' || (phase === 'done' && version === null)) files[file.name] = {};
    else if (phase === 'in-progress')
      files[file.name] = { size: Math.floor((file.versions[0]?.sizeBytes ?? 0) / 2) };
    else if (version !== null)
      files[file.name] = {
        size: version.sizeBytes,
        url: `/${run.wikiDbName}/${run.runDate}/${file.name}`,
        ...(file.hashedFrom <= now
          ? {
              md5: published('md5', file, version.content, now),
              sha1: published('sha1', file, version.content, now),
            }
          : {}),
      };
  }
  return files;
}

/** A run's list of sums. */
export function sumsDocument(
  run: SimRun,
  algorithm: 'md5' | 'sha1',
  form: 'txt' | 'json',
  now: number,
): string {
  const sums: [string, string][] = [];
  for (const job of run.jobs) {
    if (phaseOf(job, now) !== 'done') continue;
    for (const file of job.files) {
      const version = versionOf(file, now);
      if (version !== null && file.summedFrom <= now)
        sums.push([file.name, published(algorithm, file, version.content, now)]);
    }
  }
  if (form === 'json') return JSON.stringify({ [algorithm]: { files: Object.fromEntries(sums) } });
  return sums.map(([name, sum]) => `${sum}  ${name}\n`).join('');
}

/** `SHA256SUMS` of a content export. */
export function exportSums(run: SimRun, now: number): string {
  return (run.jobs[0]?.files ?? [])
    .filter((file) => file.hashedFrom <= now)
    .map((file) => `${published('sha256', file, file.versions[0]?.content ?? '', now)}  ${file.name}\n`)
    .join('');
}

/** What a listing says of one entry. */
export interface Listed {
  /** With a final slash when it is a folder. */
  name: string;
  modifiedAt: number;
  sizeBytes: number | null;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** A folder's page as nginx writes it, with exact sizes. */
export function listingDocument(path: string, entries: readonly Listed[]): string {
  const rows = entries.map(({ name, modifiedAt, sizeBytes }) => {
    const iso = new Date(modifiedAt).toISOString();
    const date = `${iso.slice(8, 10)}-${MONTHS[Number(iso.slice(5, 7)) - 1]}-${iso.slice(0, 4)} ${iso.slice(11, 16)}`;
    return `<a href="${name}">${name}</a>${' '.repeat(Math.max(1, 51 - name.length))}${date}${String(sizeBytes ?? '-').padStart(20)}`;
  });
  return `<html>\r\n<head><title>Index of ${path}</title></head>\r\n<body>\r\n<h1>Index of ${path}</h1><hr><pre><a href="../">../</a>\r\n${rows.join('\r\n')}\r\n</pre><hr></body>\r\n</html>\r\n`;
}

/** The folder of an export's files. */
export function exportFolder(run: SimRun, now: number): Listed[] {
  const doneAt = run.jobs[0]?.phases.find(({ phase }) => phase === 'done')?.from ?? Number.POSITIVE_INFINITY;
  const files = (run.jobs[0]?.files ?? []).map((file) => {
    const size = file.versions[0]?.sizeBytes ?? 0;
    const modifiedAt = Math.min(doneAt, now);
    return { name: file.name, modifiedAt, sizeBytes: now < doneAt ? Math.floor(size / 3) : size };
  });
  if (now < doneAt) return files.slice(0, Math.max(1, files.length - 1));
  return [
    ...files,
    { name: 'SHA256SUMS', modifiedAt: doneAt, sizeBytes: 100 },
    { name: '_SUCCESS', modifiedAt: doneAt, sizeBytes: 0 },
  ];
}

/** A day of a cycle, as a run's date is written at a source. */
export function runDateOf(source: SimRun['source'], cycleDate: string): string {
  return source === 'classic' ? compact(cycleDate) : `${cycleDate.slice(0, 7)}-01`;
}
