import { RetryableError } from '../lib/index.ts';

/** One file; everything may be missing, even in a finished job. */
export interface StatusFile {
  /** Bytes; of a file that is being written, those written so far. */
  size: number | null;
  /** As upstream writes it: a path from the root of the site. */
  url: string | null;
  /** Lower-case hex. */
  md5: string | null;
  sha1: string | null;
}

/** One job of a run. */
export interface StatusJob {
  /** waiting, in-progress, done, failed, skipped; anything else counts as not ready. */
  status: string;
  /** `YYYY-MM-DD HH:MM:SS`, UTC; null when it was never touched. */
  updated: string | null;
  /** Empty when the job has nothing to list yet. */
  files: ReadonlyMap<string, StatusFile>;
}

/** A run's machine-readable status. */
export interface DumpStatus {
  jobs: ReadonlyMap<string, StatusJob>;
  version: string | null;
}

/** The version whose meaning we know. */
export const KNOWN_VERSION = '0.8';

const NO_FILES: ReadonlyMap<string, StatusFile> = new Map();

// Written by hand: one document has thousands of files, and a schema's checks cost ten times as much.

/**
 * Reads a `dumpstatus.json`. A value that cannot be is as good as none: that file or job is then not ready, and the rest of
 * the run is not its fault.
 * @throws RetryableError `torn_status` when it is cut off or of another shape: upstream rewrites it in place
 */
export function parseDumpStatus(text: string, name: string): DumpStatus {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RetryableError('torn_status', `${name} is not a complete dump status`, { cause });
  }
  const status = readStatus(value);
  if (status === null)
    throw new RetryableError('torn_status', `${name} is not a complete dump status: it names no jobs`);
  return status;
}

/** The same for parsed JSON, such as one wiki's entry of `index.json`; null when it is of another shape, such as `{}`. */
export function readStatus(value: unknown): DumpStatus | null {
  if (!isObject(value) || !isObject(value.jobs)) return null;
  const jobs = new Map<string, StatusJob>();
  for (const [name, job] of Object.entries(value.jobs)) {
    if (!isObject(job)) continue;
    jobs.set(name, {
      status: textOrNull(job.status) ?? '',
      updated: textOrNull(job.updated),
      files: isObject(job.files) ? readFiles(job.files) : NO_FILES,
    });
  }
  return { jobs, version: textOrNull(value.version) };
}

function readFiles(value: Record<string, unknown>): Map<string, StatusFile> {
  const files = new Map<string, StatusFile>();
  for (const [filename, raw] of Object.entries(value)) {
    const { size, url, md5, sha1 } = isObject(raw) ? raw : {};
    files.set(filename, {
      size: typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : null,
      url: textOrNull(url),
      md5: typeof md5 === 'string' && /^[0-9a-f]{32}$/.test(md5) ? md5 : null,
      sha1: typeof sha1 === 'string' && /^[0-9a-f]{40}$/.test(sha1) ? sha1 : null,
    });
  }
  return files;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The date of a run (`YYYYMMDD`), which is no field of its status but part of every name and address; null when no file is listed. */
export function runDateOfStatus(status: DumpStatus, wikiDbName: string): string | null {
  const namePrefix = `${wikiDbName}-`;
  const urlPrefix = `/${wikiDbName}/`;
  for (const job of status.jobs.values()) {
    for (const [filename, { url }] of job.files) {
      const rest = filename.startsWith(namePrefix)
        ? filename.slice(namePrefix.length)
        : url?.startsWith(urlPrefix)
          ? url.slice(urlPrefix.length)
          : '';
      const date = /^(\d{8})[-/]/.exec(rest)?.[1];
      if (date !== undefined) return date;
    }
  }
  return null;
}

/** True when this job will bring nothing more by itself. A failed one may be run again. */
export function isSettled(job: StatusJob): boolean {
  return job.status === 'done' || job.status === 'failed' || job.status === 'skipped';
}

/** True when nothing of the run will change by itself: every job is done, failed or skipped. */
export function isRunFinished(status: DumpStatus): boolean {
  return status.jobs.size > 0 && [...status.jobs.values()].every(isSettled);
}

/** `2024-08-01 09:46:00`, always UTC, as epoch ms; null when empty or unreadable. */
export function parseUpdated(text: string | null): number | null {
  if (text === null || !/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/.test(text)) return null;
  const at = Date.parse(`${text.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? null : at;
}
