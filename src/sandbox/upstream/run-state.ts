import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A hash that classic runs publish. */
export type SumsAlgorithm = 'md5' | 'sha1';

/**
 * How a file stands in the status document: `whole` with size, address and hashes; `size` with the bytes written so far;
 * `blank` as `{}`.
 */
export type FileView = 'whole' | 'size' | 'blank';

/** A file of a run, with its facts also while upstream does not show them. */
export interface RunFileState {
  name: string;
  sizeBytes: number;
  md5: string | null;
  sha1: string | null;
  view: FileView;
  /** With view `size`. */
  sizeSoFar: number;
  /** Hashes that are left out of the status document, and of the sums lists. */
  hiddenInStatus: SumsAlgorithm[];
  hiddenInSums: SumsAlgorithm[];
}

/** A job of a run. `hasFiles`: whether the status document has the key `files` at all. */
export interface RunJobState {
  name: string;
  status: string;
  updated: string;
  hasFiles: boolean;
  files: RunFileState[];
}

/** Everything that is known of a run, of which its status document is a view. */
export interface RunState {
  dbname: string;
  date: string;
  jobs: RunJobState[];
}

/** A `dumpstatus.json`, as loosely as upstream keeps it. */
export interface StatusDocument {
  jobs: Record<string, StatusJob>;
  version: string;
  [more: string]: unknown;
}

/** A job of a `dumpstatus.json`. */
export interface StatusJob {
  status: string;
  updated: string;
  files?: Record<string, StatusFile>;
  [more: string]: unknown;
}

/** A file of a `dumpstatus.json`; `{}` for a missing one. */
export interface StatusFile {
  size?: number;
  url?: string;
  md5?: string;
  sha1?: string;
  [more: string]: unknown;
}

/** Hidden from visitors, as all names with a dot are. */
const STATE_NAME = '.state.json';
/** Where the bytes of files are that upstream does not show yet, or any more. */
export const HELD_FOLDER = '.held';

/**
 * What is known of a run: what a script noted last, else what the status document says.
 * @throws Error when there is no such run
 */
export async function readRunState(root: string, dbname: string, date: string): Promise<RunState> {
  const folder = join(root, dbname, date);
  const noted = await readFile(join(folder, STATE_NAME), 'utf8').catch(() => null);
  if (noted !== null) return JSON.parse(noted) as RunState;
  const text = await readFile(join(folder, 'dumpstatus.json'), 'utf8').catch(() => null);
  if (text === null) throw new Error(`the sandbox has no run ${date} of ${dbname}`);
  const document = JSON.parse(text) as StatusDocument;
  const jobs = Object.entries(document.jobs).map(([name, job]) => ({
    name,
    status: job.status,
    updated: job.updated,
    hasFiles: job.files !== undefined,
    files: Object.entries(job.files ?? {}).map(([file, facts]) => fileState(file, facts)),
  }));
  return { dbname, date, jobs };
}

/** Notes it, hidden, beside the run. */
export async function writeRunState(root: string, state: RunState): Promise<void> {
  const folder = join(root, state.dbname, state.date);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${STATE_NAME}.new`), JSON.stringify(state));
  await rename(join(folder, `${STATE_NAME}.new`), join(folder, STATE_NAME));
}

function fileState(name: string, facts: StatusFile): RunFileState {
  const view = facts.size === undefined ? 'blank' : facts.url === undefined ? 'size' : 'whole';
  return {
    name,
    sizeBytes: facts.size ?? 0,
    md5: facts.md5 ?? null,
    sha1: facts.sha1 ?? null,
    view,
    sizeSoFar: facts.size ?? 0,
    hiddenInStatus: [],
    hiddenInSums: [],
  };
}

/** Moves the bytes of every file to where its view says: in the run's folder when it is shown whole, else out of sight. */
export async function placeFiles(root: string, state: RunState): Promise<void> {
  const folder = join(root, state.dbname, state.date);
  for (const file of state.jobs.flatMap((job) => job.files)) {
    const [shown, held] = [join(folder, file.name), join(folder, HELD_FOLDER, file.name)];
    const [from, to] = file.view === 'whole' ? [held, shown] : [shown, held];
    if ((await stat(from).catch(() => null)) === null) continue;
    await mkdir(join(folder, HELD_FOLDER), { recursive: true });
    await rename(from, to);
  }
}

/** Where a file's bytes lie now; null in a world that has none. */
export async function findBytes(root: string, state: RunState, name: string): Promise<string | null> {
  const folder = join(root, state.dbname, state.date);
  for (const path of [join(folder, name), join(folder, HELD_FOLDER, name)])
    if ((await stat(path).catch(() => null)) !== null) return path;
  return null;
}
