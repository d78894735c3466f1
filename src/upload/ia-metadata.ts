import { z } from 'zod';
import {
  HaltPipelineError,
  minutes,
  PermanentError,
  RetryableError,
  Snooze,
  UnavailableError,
} from '../lib/index.ts';
import { type Clock, type Http, readBody } from '../ports/index.ts';
import { type ArchiveVerdict, classifyArchiveAnswer } from './ia-answers.ts';

const FileRow = z.object({
  name: z.string(),
  source: z.string().optional(),
  size: z.union([z.string(), z.number()]).optional(),
  md5: z.string().optional(),
  sha1: z.string().optional(),
});

/** The parts of `/metadata/{identifier}` that decide; numbers arrive as strings, absent items as `{}`. */
const ItemAnswer = z.object({
  metadata: z.record(z.string(), z.unknown()).optional(),
  files: z.array(FileRow).optional(),
  tasks: z.array(z.unknown()).optional(),
  pending_tasks: z.boolean().optional(),
  is_dark: z.boolean().optional(),
});

/** `tasks.php` with `summary=1`: how many tasks wait, run, failed or are paused. */
const TasksAnswer = z.object({ value: z.object({ summary: z.record(z.string(), z.number()) }) });

/** What the archive says about an item. */
export interface ItemState {
  exists: boolean;
  isDark: boolean;
  hasTasks: boolean;
  /** `wiki-dbname` as we write it at creation; null for an item that is not ours. */
  ownWikiDbName: string | null;
  files: readonly z.infer<typeof FileRow>[];
}

/** Hashes and size of the file as we hold it. */
export interface OwnFacts {
  key: string;
  md5: string;
  sha1: string;
  sizeBytes: number;
}

/** absent: not listed. different: other bytes under that name. present: the same bytes, not yet proved. verified: proved and at rest. */
export type FileState = 'absent' | 'different' | 'present' | 'verified';

/** Compares one file with what the item lists; pure. `verified` needs md5, sha1, size, an original, and no pending task. */
export function fileStateIn(item: ItemState, own: OwnFacts): FileState {
  const listed = item.files.find((file) => file.name === own.key);
  if (listed === undefined) return 'absent';
  if (listed.md5 !== own.md5 || Number(listed.size) !== own.sizeBytes) return 'different';
  const isProved = listed.sha1 === own.sha1 && listed.source === 'original' && !item.hasTasks && !item.isDark;
  return isProved ? 'verified' : 'present';
}

/** Questions to the archive that cost nothing. */
export interface ArchiveReader {
  item(identifier: string, signal: AbortSignal): Promise<ItemState>;
  /** Whether its task queue holds anything for the item, red rows included; true when that cannot be read. */
  hasTasks(identifier: string, signal: AbortSignal): Promise<boolean>;
  /** False when the archive asks for patience, or says nothing that can be read. */
  mayUpload(identifier: string, signal: AbortSignal): Promise<boolean>;
}

/** An item of 10,000 files lists about 3 MB. */
const METADATA_BYTES_MAX = 32 * 1024 * 1024;

/** Reads with our keys, as the reference client does: anonymous answers may come from a cache. */
export function createArchiveReader(deps: {
  http: Http;
  clock: Pick<Clock, 'now'>;
  config: { s3Endpoint: string; siteUrl: string; access: string; secret: string };
}): ArchiveReader {
  const { s3Endpoint, siteUrl, access, secret } = deps.config;
  const authorization = `LOW ${access}:${secret}`;
  return {
    async item(identifier, signal) {
      const url = `${siteUrl}/metadata/${encodeURIComponent(identifier)}`;
      const response = await deps.http.request({ url, headers: { authorization }, signal });
      const bodyText = (await readBody(response, METADATA_BYTES_MAX)).toString('utf8');
      const { status, headers } = response;
      throwVerdict(classifyArchiveAnswer({ status, headers, bodyText, nowMs: deps.clock.now() }), {
        identifier,
      });
      const answer = ItemAnswer.safeParse(parseJson(bodyText)).data;
      if (answer === undefined)
        throw new RetryableError(
          'bad_metadata',
          `the Internet Archive gave unreadable metadata of ${identifier}`,
        );
      const own = answer.metadata?.['wiki-dbname'];
      return {
        exists: answer.metadata !== undefined || answer.files !== undefined,
        isDark: answer.is_dark === true,
        hasTasks: (answer.tasks?.length ?? 0) > 0 || answer.pending_tasks === true,
        ownWikiDbName: typeof own === 'string' ? own : null,
        files: answer.files ?? [],
      };
    },
    async hasTasks(identifier, signal) {
      const query = new URLSearchParams({ identifier, summary: '1', history: '0', catalog: '0' });
      const url = `${siteUrl}/services/tasks.php?${query}`;
      const response = await deps.http.request({ url, headers: { authorization }, signal });
      const answer = TasksAnswer.safeParse(
        parseJson((await readBody(response, METADATA_BYTES_MAX)).toString('utf8')),
      );
      if (response.status !== 200 || !answer.success) return true;
      return Object.values(answer.data.value.summary).some((count) => count > 0);
    },
    async mayUpload(identifier, signal) {
      const query = new URLSearchParams({ check_limit: '1', accesskey: access, bucket: identifier });
      const response = await deps.http.request({
        url: `${s3Endpoint}/?${query}`,
        headers: { authorization },
        signal,
      });
      const text = (await readBody(response, METADATA_BYTES_MAX)).toString('utf8');
      const answer = parseJson(text);
      if (response.status !== 200 || typeof answer !== 'object' || answer === null) return false;
      // The shape may change without notice: what is not named is no reason to stop.
      return !('over_limit' in answer) || Number(answer.over_limit) === 0;
    },
  };
}

/**
 * Turns a verdict into the queue's words; returns only for `ok`.
 * @param cursor kept when the job waits
 */
export function throwVerdict(
  verdict: ArchiveVerdict,
  subject: Record<string, string | number>,
  cursor?: unknown,
): void {
  switch (verdict.kind) {
    case 'ok':
      return;
    case 'wait':
      if (verdict.code === 'create_race') throw new Snooze(verdict.reason, verdict.delayMs, cursor);
      throw new UnavailableError(verdict.code, verdict.reason, {
        subject,
        pauseMs: verdict.delayMs,
        isNeverOwnFault: true,
      });
    case 'retry':
      throw new RetryableError(verdict.code, verdict.reason, {
        subject,
        ...(verdict.retryAfterMs === undefined ? {} : { retryAfterMs: verdict.retryAfterMs }),
      });
    case 'skip':
      throw new PermanentError(verdict.code, verdict.reason, { subject });
    case 'halt':
      throw new HaltPipelineError(verdict.code, verdict.reason, {
        subject,
        hint: verdict.hint,
        pauseMs: minutes(60),
        isNeverOwnFault: true,
      });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
