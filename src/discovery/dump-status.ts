import { z } from 'zod';
import { RetryableError } from '../lib/index.ts';

const Hex = (digits: number): z.ZodType<string> => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));

/** One file; everything may be missing, even in a finished job. */
export const StatusFile = z.object({
  // A value that cannot be is as good as none: the file is then not ready, and the rest of the run is not its fault.
  size: z.number().int().nonnegative().safe().optional().catch(undefined),
  url: z.string().optional().catch(undefined),
  md5: Hex(32).optional().catch(undefined),
  sha1: Hex(40).optional().catch(undefined),
});
/** See the schema of the same name. */
export type StatusFile = z.infer<typeof StatusFile>;

/** One job of a run. */
export const StatusJob = z.object({
  /** waiting, in-progress, done, failed, skipped; anything else counts as not ready. */
  status: z.string(),
  updated: z.string().optional(),
  files: z.record(z.string(), StatusFile.catch({})).optional().catch(undefined),
});
/** See the schema of the same name. */
export type StatusJob = z.infer<typeof StatusJob>;

/** A run's machine-readable status. */
export const DumpStatus = z.object({ jobs: z.record(z.string(), StatusJob), version: z.string().optional() });
export type DumpStatus = z.infer<typeof DumpStatus>;

/**
 * Reads a `dumpstatus.json`.
 * @throws RetryableError `torn_status` when it is cut off or of another shape: upstream rewrites it in place
 */
export function parseDumpStatus(text: string, name: string): DumpStatus {
  try {
    return DumpStatus.parse(JSON.parse(text));
  } catch (error) {
    throw new RetryableError('torn_status', `${name} is not a complete dump status`, {
      cause: firstIssue(error),
    });
  }
}

/**
 * Reads `index.json`: the newest run's status of every wiki, by name. The entries are not looked into yet, so that a
 * caller can check a thousand of them one at a time: see `readEntry`.
 * @throws RetryableError `torn_index`
 */
export function parseIndex(text: string): Map<string, unknown> {
  try {
    const document = z.object({ wikis: z.record(z.string(), z.unknown()) }).parse(JSON.parse(text));
    return new Map(Object.entries(document.wikis));
  } catch (error) {
    throw new RetryableError('torn_index', 'index.json is not complete', { cause: firstIssue(error) });
  }
}

/** One wiki's entry of `index.json`; null when it is absent, empty or of another shape, and must be asked for singly. */
export function readEntry(entry: unknown): DumpStatus | null {
  const parsed = DumpStatus.safeParse(entry);
  return parsed.success ? parsed.data : null;
}

/** zod's full report of a torn document can be megabytes; its first issue says enough. */
function firstIssue(error: unknown): Error {
  if (!(error instanceof z.ZodError)) return error as Error;
  const issue = error.issues[0];
  return new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

/** The date of a run (`YYYYMMDD`), which is no field of its status but part of every address; null when no file is listed. */
export function runDateOfStatus(status: DumpStatus, wikiDbName: string): string | null {
  for (const job of Object.values(status.jobs)) {
    for (const filename of Object.keys(job.files ?? {})) {
      const rest = filename.startsWith(`${wikiDbName}-`) ? filename.slice(wikiDbName.length + 1) : '';
      const date = /^(\d{8})-/.exec(rest)?.[1];
      if (date !== undefined) return date;
    }
  }
  return null;
}

const SETTLED = new Set(['done', 'failed', 'skipped']);

/** True when nothing of the run will change by itself: every job is done, failed or skipped. */
export function isRunFinished(status: DumpStatus): boolean {
  const jobs = Object.values(status.jobs);
  return jobs.length > 0 && jobs.every((job) => SETTLED.has(job.status));
}

/** True when this job may still bring files. */
export function isJobUnsettled(job: StatusJob): boolean {
  return !SETTLED.has(job.status);
}

/** `2024-08-01 09:46:00`, always UTC; null when empty or unreadable. */
export function parseUpdated(text: string | undefined): number | null {
  if (text === undefined || !/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/.test(text)) return null;
  const at = Date.parse(`${text.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? null : at;
}
