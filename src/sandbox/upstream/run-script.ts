import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileDigests } from '../file-digests.ts';
import { renewFile } from './renew-file.ts';
import {
  type FileView,
  findBytes,
  placeFiles,
  type RunFileState,
  type RunJobState,
  type RunState,
  readRunState,
  type StatusDocument,
  type SumsAlgorithm,
  writeRunState,
} from './run-state.ts';
import { laterThan, statusDocumentOf, writeRunView } from './run-view.ts';
import type { ScriptStage } from './stage.ts';

/** States that upstream writes; any other text is taken too, as one that is not known yet. */
export type JobStatus = 'waiting' | 'in-progress' | 'done' | 'failed' | 'skipped' | (string & {});

/** More about a job's new state. */
export interface JobChange {
  /**
   * How its files stand; default whole when done, sizes only when in progress, else `{}`. `absent`: without the key `files`.
   * Bytes of files that are not shown whole cannot be fetched (404).
   */
  files?: FileView | 'absent';
  /** Part of each file that is written, 0 to 1, for sizes; default 0.5. */
  share?: number;
  /** `YYYY-MM-DD HH:MM:SS` or empty; default now, empty for `waiting`. */
  updated?: string;
}

/** Which hashes of which files. */
export interface HashChoice {
  /** File names, whole or without `<dbname>-<date>-`; default all of the run. */
  files?: readonly string[];
  /** Default both. */
  algorithms?: readonly SumsAlgorithm[];
  /** Default both: the status document, and the sums lists with the single files' sums. */
  where?: 'status' | 'sums' | 'both';
}

/** A job as it stands. */
export interface JobView {
  name: string;
  status: string;
  files: readonly string[];
}

/**
 * One run of one wiki, to be changed as upstream changes it. Every method resolves when the site shows the change:
 * `dumpstatus.json`, sums lists and `index.json` together, with new times and ETags. Unknown jobs and files throw RangeError.
 */
export interface RunScript {
  readonly dbname: string;
  readonly date: string;
  jobs(): Promise<readonly JobView[]>;
  /** The present `dumpstatus.json`. */
  status(): Promise<StatusDocument>;
  /** `await run.setJob('articlesdump', 'in-progress', { share: 0.3 })` */
  setJob(job: string, status: JobStatus, change?: JobChange): Promise<void>;
  /** The same for every job: `await run.setAllJobs('waiting')`. */
  setAllJobs(status: JobStatus, change?: JobChange): Promise<void>;
  /** Turns every job that has files into done, the named ones into failed, and history jobs of a partial run into skipped. */
  finish(options?: { failed?: readonly string[] }): Promise<void>;
  /** Shows a file of a done job as `{}`, and its bytes as 404: `await run.dropFile('site_stats.sql.gz')`. */
  dropFile(file: string): Promise<void>;
  /** Undoes {@link dropFile}. */
  restoreFile(file: string): Promise<void>;
  /** Late sums: `await run.hideHashes({ algorithms: ['sha1'] })`. They stay hidden, also of jobs that become done later. */
  hideHashes(choice?: HashChoice): Promise<void>;
  /** The sums come in. */
  showHashes(choice?: HashChoice): Promise<void>;
  /**
   * Runs a job again: new bytes, sizes and hashes; `updated` moves, the sums lists follow. The job is done afterwards.
   * @param options.rename new name of a file, without `<dbname>-<date>-`, for parts that are cut elsewhere
   * @param options.sameSize only the hashes change
   */
  rerun(job: string, options?: { rename?: (file: string) => string; sameSize?: boolean }): Promise<void>;
  /**
   * Whatever else: changes the document before it is written, now and after each later step, until `null` takes it back.
   * `await run.edit((status) => { status.version = '0.9'; })`
   */
  edit(change: ((status: StatusDocument) => void) | null): Promise<void>;
  /** The run's folder vanishes from the site; index and listings move on. */
  remove(): Promise<void>;
}

/** Makes the script of one run. */
export function createRunScript(stage: ScriptStage, dbname: string, date: string): RunScript {
  const { root } = stage;
  const prefix = `${dbname}-${date}-`;
  const fullName = (file: string): string => (file.startsWith(prefix) ? file : `${prefix}${file}`);
  const publish = async (state: RunState): Promise<void> => {
    if (!(await stage.isHollow())) await placeFiles(root, state);
    await writeRunState(root, state);
    const document = statusDocumentOf(state);
    stage.edits.get(`${dbname}/${date}`)?.(document);
    await writeRunView(root, state, document, stage.now());
  };
  const change = (step: (state: RunState) => void | Promise<void>): Promise<void> =>
    stage.exclusive(async () => {
      const state = await readRunState(root, dbname, date);
      await step(state);
      await publish(state);
    });
  const updatedNow = async (): Promise<string> => {
    const time = await laterThan(join(root, dbname, date, 'dumpstatus.json'), stage.now());
    return time.toISOString().slice(0, 19).replace('T', ' ');
  };
  const put = async (job: RunJobState, status: JobStatus, more: JobChange = {}): Promise<void> => {
    const usual = status === 'done' ? 'whole' : status === 'in-progress' ? 'size' : 'blank';
    const view = more.files ?? usual;
    job.status = status;
    job.updated = more.updated ?? (status === 'waiting' ? '' : await updatedNow());
    job.hasFiles = view !== 'absent';
    for (const file of job.files) {
      file.view = view === 'absent' ? 'blank' : view;
      file.sizeSoFar = Math.floor(file.sizeBytes * (more.share ?? 0.5));
    }
  };
  const setHidden = (choice: HashChoice, isHidden: boolean): Promise<void> =>
    change((state) => {
      const { algorithms = ['md5', 'sha1'], where = 'both' } = choice;
      const all = state.jobs.flatMap((job) => job.files);
      const files = choice.files?.map((name) => fileOf(state, fullName(name))) ?? all;
      for (const file of files) {
        const mix = (known: readonly SumsAlgorithm[]): SumsAlgorithm[] => {
          const rest = known.filter((algorithm) => !algorithms.includes(algorithm));
          return isHidden ? [...rest, ...algorithms] : rest;
        };
        if (where !== 'sums') file.hiddenInStatus = mix(file.hiddenInStatus);
        if (where !== 'status') file.hiddenInSums = mix(file.hiddenInSums);
      }
    });

  return {
    dbname,
    date,
    async jobs() {
      const { jobs } = await stage.exclusive(() => readRunState(root, dbname, date));
      return jobs.map(({ name, status, files }) => ({ name, status, files: files.map((f) => f.name) }));
    },
    async status() {
      const document = statusDocumentOf(await stage.exclusive(() => readRunState(root, dbname, date)));
      stage.edits.get(`${dbname}/${date}`)?.(document);
      return document;
    },
    setJob: (job, status, more) => change((state) => put(jobOf(state, job), status, more)),
    setAllJobs: (status, more) =>
      change(async (state) => {
        for (const job of state.jobs) await put(job, status, more);
      }),
    finish: ({ failed = [] } = {}) =>
      change(async (state) => {
        for (const name of failed) jobOf(state, name);
        const isPartial = Number(date.slice(6)) >= 20;
        for (const job of state.jobs) {
          const isSkipped = job.files.length === 0 || (isPartial && job.name.startsWith('metahistory'));
          await put(job, failed.includes(job.name) ? 'failed' : isSkipped ? 'skipped' : 'done');
        }
      }),
    dropFile: (file) =>
      change((state) => {
        fileOf(state, fullName(file)).view = 'blank';
      }),
    restoreFile: (file) =>
      change((state) => {
        fileOf(state, fullName(file)).view = 'whole';
      }),
    hideHashes: (choice = {}) => setHidden(choice, true),
    showHashes: (choice = {}) => setHidden(choice, false),
    rerun: (name, { rename = (file: string) => file, sameSize } = {}) =>
      change(async (state) => {
        const job = jobOf(state, name);
        for (const file of job.files) {
          const next = fullName(rename(file.name.slice(prefix.length)));
          await renewState(root, state, file, { next, sameSize });
        }
        await put(job, 'done');
      }),
    edit: (edit) => {
      if (edit === null) stage.edits.delete(`${dbname}/${date}`);
      else stage.edits.set(`${dbname}/${date}`, edit);
      return change(() => undefined);
    },
    remove: () =>
      stage.exclusive(async () => {
        await readRunState(root, dbname, date);
        stage.edits.delete(`${dbname}/${date}`);
        await rm(join(root, dbname, date), { recursive: true });
        await stage.stampFolder(join(root, dbname));
      }),
  };
}

function jobOf(state: RunState, name: string): RunJobState {
  const job = state.jobs.find((known) => known.name === name);
  if (job === undefined) throw new RangeError(`the run ${state.date} of ${state.dbname} has no job ${name}`);
  return job;
}

function fileOf(state: RunState, name: string): RunFileState {
  const file = state.jobs.flatMap((job) => job.files).find((known) => known.name === name);
  if (file === undefined)
    throw new RangeError(`the run ${state.date} of ${state.dbname} has no file ${name}`);
  return file;
}

/** Gives a file of a run new bytes, and its state their facts; in a world without bytes only new facts. */
export async function renewState(
  root: string,
  state: RunState,
  file: RunFileState,
  options: { next: string; sameSize?: boolean | undefined },
): Promise<void> {
  const path = await findBytes(root, state, file.name);
  if (path === null) {
    const salt = `${options.next} ${file.sizeBytes} ${file.sha1}`;
    if (options.sameSize !== true) file.sizeBytes += 14;
    for (const algorithm of ['md5', 'sha1'] as const)
      file[algorithm] = createHash(algorithm).update(salt).digest('hex');
  } else {
    const target = join(path, '..', options.next);
    await renewFile(path, target, options);
    if (target !== path) await rm(path);
    const { sizeBytes, md5, sha1 } = await fileDigests(target);
    Object.assign(file, { sizeBytes, md5, sha1 });
  }
  file.name = options.next;
}
