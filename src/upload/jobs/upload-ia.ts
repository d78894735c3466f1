import { z } from 'zod';
import { type Catalog, type DumpFile, HELD_STATUSES } from '../../catalog/index.ts';
import {
  DumpFileId,
  hours,
  Interrupted,
  PermanentError,
  RetryableError,
  Snooze,
  UnavailableError,
} from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import { type ArchiveVerdict, classifyArchiveAnswer } from '../ia-answers.ts';
import { putHeaders } from '../ia-headers.ts';
import { itemIdentifier, itemKey, itemMetadata, placeFile } from '../ia-item.ts';
import {
  type ArchiveReader,
  fileStateIn,
  type ItemState,
  type OwnFacts,
  throwVerdict,
} from '../ia-metadata.ts';
import type { ArchivePut, PutAnswer } from '../ia-put.ts';
import { notingTheEnd, waitForLostAnswer } from '../lost-answer.ts';
import type { Pace } from '../pace.ts';
import { readLocalFile } from '../read-local-file.ts';

const Input = z.object({ dumpFileId: DumpFileId });
const Output = z.object({ iaIdentifier: z.string(), iaUrl: z.string() });
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/** Where an upload stands; survives restarts. */
const Cursor = z.object({
  identifier: z.string(),
  part: z.number().int().positive(),
  itemSizeBytes: z.number().int().nonnegative(),
  /** Epoch ms when the archive took the bytes; null = not yet, or they must be sent again. */
  putAt: z.number().nullable(),
  polls: z.number().int().nonnegative(),
  /** How often the bytes were sent. */
  puts: z.number().int().nonnegative(),
  /** Epoch ms since which we do not know whether the archive took what was sent; null = we know. */
  doubtAt: z.number().nullable().default(null),
  /** After a create race: the item is being made, so no creation metadata. */
  isItemMade: z.boolean(),
});
type Cursor = z.infer<typeof Cursor>;

/** Uploads one held dump file to the Internet Archive and waits until the archive lists it with our hashes. */
export const uploadIa = defineJob<Input, Output>({
  type: 'upload_ia',
  input: Input,
  output: Output,
  uniqueKey: ({ dumpFileId }) => String(dumpFileId),
  target: 'internet_archive',
  // One stream cannot be resumed; 300 GB at 3 MB/s take 28 hours.
  timeoutMs: hours(96),
  subject: ({ dumpFileId }) => ({ dumpId: dumpFileId }),
});

/** What the handler needs. */
export interface UploadIaDeps {
  catalog: Catalog;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  reader: ArchiveReader;
  archive: ArchivePut;
  pace: Pace;
  config: {
    s3Endpoint: string;
    siteUrl: string;
    collection: string;
    authorization: string;
    verifyPollMs: readonly number[];
    verifyDeadlineMs: number;
    maxItemSizeBytes: number;
    maxItemFiles: number;
  };
}

/** Files above this ask `check_limit` first: 100 MB. */
const ASK_ABOVE_BYTES = 100_000_000;

/** Failures for good in which the archive refused nothing: our own copy, or its silence. It may be asked again. */
const NOT_A_REFUSAL: readonly string[] = [
  ...['no_such_dump_file', 'not_held', 'local_file_changed', 'local_file_missing', 'not_filed'],
];

/**
 * Asks the archive what it has, sends what is missing, and then only looks until it is listed. Sending and looking are separate
 * runs: between them the job sleeps, so that no pool slot waits for the archive's task queue.
 */
export function handleUploadIa(deps: UploadIaDeps): JobHandler<Input, Output> {
  const { catalog, reader, config } = deps;
  return handleJob(uploadIa, {
    async run({ dumpFileId }, context) {
      const row = catalog.dumpFile(dumpFileId);
      if (row === null) throw new PermanentError('no_such_dump_file', `there is no dump file ${dumpFileId}`);
      if (row.iaVerifiedAt !== null && row.iaIdentifier !== null && row.iaUrl !== null)
        return { iaIdentifier: row.iaIdentifier, iaUrl: row.iaUrl };
      if (
        !HELD_STATUSES.includes(row.ourStatus) ||
        row.localPath === null ||
        row.md5 === null ||
        row.sha1 === null
      )
        throw new PermanentError(
          'not_held',
          `${row.filename} is not held (${row.ourStatus}), so it cannot be uploaded`,
        );
      catalog.markUploading(dumpFileId);
      const cursor = Cursor.safeParse(context.cursor).data ?? firstCursor(deps, row);
      const own: OwnFacts = { key: itemKey(row), md5: row.md5, sha1: row.sha1, sizeBytes: row.sizeBytes };
      const { identifier } = cursor;
      const item = await reader.item(identifier, context.signal);
      if (item.isDark)
        throw new PermanentError(
          'item_dark',
          `the Internet Archive has taken down ${identifier}; the name stays taken`,
        );
      const state = fileStateIn(item, own);
      if (state === 'verified') {
        step('upload:verified');
        return { iaIdentifier: identifier, iaUrl: `${config.siteUrl}/download/${identifier}/${own.key}` };
      }
      if (state === 'present') {
        if (item.hasTasks) throw waitForFiling(deps, cursor);
        throw startAgain(
          deps,
          row.id,
          context,
          cursor,
          `the Internet Archive lists another SHA-1 or source for ${own.key}`,
        );
      }
      if (cursor.putAt !== null) {
        const isOverdue = deps.clock.now() - cursor.putAt >= config.verifyDeadlineMs;
        if (state === 'different' && !item.hasTasks)
          throw startAgain(
            deps,
            row.id,
            context,
            cursor,
            `the Internet Archive lists other bytes for ${own.key} than we sent`,
          );
        if (!isOverdue) throw waitForFiling(deps, cursor);
        if (cursor.puts >= 2)
          throw new PermanentError(
            'not_filed',
            `the Internet Archive took ${own.key} twice and never listed it`,
            {
              subject: { identifier },
              hint: `Look at ${config.siteUrl}/catalog.php?identifier=${identifier}; a red task needs the archive's staff.`,
            },
          );
      }
      if (cursor.putAt === null && row.iaIdentifier === identifier)
        await waitForLostAnswer(
          { ...deps, pollMs: pollMs(config, cursor), deadlineMs: config.verifyDeadlineMs },
          cursor,
          context.signal,
        );
      const next = await send(deps, { row, own, item, cursor, context });
      throw waitForFiling(deps, next);
    },
    record({ dumpFileId }, output) {
      const row = catalog.dumpFile(dumpFileId);
      if (row === null || row.iaVerifiedAt !== null || !HELD_STATUSES.includes(row.ourStatus)) return;
      catalog.recordUploaded(dumpFileId, output);
    },
    recordFailure({ dumpFileId }, error) {
      const row = catalog.dumpFile(dumpFileId);
      if (row === null || !HELD_STATUSES.includes(row.ourStatus)) return;
      const message = error instanceof Error ? error.message : String(error);
      const isFinal = error instanceof PermanentError && !NOT_A_REFUSAL.includes(error.code);
      catalog.recordNotUploaded(dumpFileId, message, isFinal);
    },
  });
}

/** Chooses the item; once chosen it stays in the cursor, whatever discovery finds later. */
function firstCursor({ catalog, config }: UploadIaDeps, row: DumpFile): Cursor {
  const run = catalog
    .dumpFiles(row.cycleDate)
    .filter((file) => file.wikiDbName === row.wikiDbName && file.runDate === row.runDate);
  const { part, itemSizeBytes } = placeFile(run, row.filename, config);
  return {
    identifier: itemIdentifier(row, part),
    part,
    itemSizeBytes,
    putAt: null,
    polls: 0,
    puts: 0,
    doubtAt: null,
    isItemMade: false,
  };
}

function waitForFiling({ clock, config }: UploadIaDeps, cursor: Cursor): Snooze {
  const next: Cursor = { ...cursor, putAt: cursor.putAt ?? clock.now(), polls: cursor.polls + 1 };
  return new Snooze('waiting for the Internet Archive to file it', pollMs(config, cursor), next);
}

function pollMs({ verifyPollMs }: UploadIaDeps['config'], { polls }: Cursor): number {
  return verifyPollMs[Math.min(polls, verifyPollMs.length - 1)] ?? hours(1);
}

/** What is listed is wrong and at rest: the next attempt sends the bytes again. */
function startAgain(
  deps: UploadIaDeps,
  dumpFileId: DumpFileId,
  context: JobContext,
  cursor: Cursor,
  message: string,
): RetryableError {
  deps.catalog.noteSending(dumpFileId, null);
  context.progress({ cursor: { ...cursor, putAt: null, polls: 0 } satisfies Cursor });
  return new RetryableError('archive_mismatch', message, { subject: { identifier: cursor.identifier } });
}

/** The archive is busy: every upload waits until one of them gets through again. */
function overloaded(
  reason: string,
  pauseMs: number,
  subject: Record<string, string | number>,
): UnavailableError {
  return new UnavailableError('overloaded', reason, { subject, pauseMs, isNeverOwnFault: true });
}

interface Sending {
  row: DumpFile;
  own: OwnFacts;
  item: ItemState;
  cursor: Cursor;
  context: JobContext;
}

async function send(deps: UploadIaDeps, { row, own, item, cursor, context }: Sending): Promise<Cursor> {
  const { pace, config } = deps;
  const { identifier } = cursor;
  const subject = { dumpFileId: row.id, identifier };
  const createsItem = !item.exists && !cursor.isItemMade;
  const waitMs = pace.waitMs(identifier, createsItem);
  if (waitMs > 0) throw new Snooze('keeping the pace the Internet Archive asks for', waitMs, cursor);
  if (row.sizeBytes > ASK_ABOVE_BYTES || pace.mustAsk()) {
    if (!(await deps.reader.mayUpload(identifier, context.signal)))
      throw overloaded('the Internet Archive is over its limit', pace.slowDown(0), subject);
  }
  const path = deps.layout.absolute(row.localPath ?? '');
  const { sizeBytes, openBody } = await readLocalFile(deps.disk, path, row.filename);
  if (sizeBytes !== row.sizeBytes)
    throw new PermanentError(
      'local_file_changed',
      `${row.filename} has ${sizeBytes} bytes, but ${row.sizeBytes} are recorded`,
      {
        subject,
        hint: 'Look at the disk (smartctl, dmesg); our copy is not what was verified.',
      },
    );
  step('upload:sending');
  const turn = pace.begin(identifier, createsItem);
  let answer: PutAnswer;
  try {
    answer = await deps.archive.put({
      url: `${config.s3Endpoint}/${identifier}/${own.key.split('/').map(encodeURIComponent).join('/')}`,
      authorization: config.authorization,
      headers: putHeaders({
        ...own,
        sha256: row.sha256 ?? '',
        itemSizeBytes: Math.max(cursor.itemSizeBytes, row.sizeBytes),
        metadata: createsItem
          ? itemMetadata(row, { collection: config.collection, part: cursor.part })
          : null,
      }),
      openBody: () => notingTheEnd(openBody(), sizeBytes, () => deps.catalog.noteSending(row.id, identifier)),
      signal: context.signal,
      onSent: (doneBytes) => context.progress({ doneBytes, totalBytes: row.sizeBytes, label: row.filename }),
    });
  } catch (error) {
    if (context.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    turn.done();
  }
  if (answer.status >= 400 && !answer.isAuthorized)
    throw new RetryableError(
      'foreign_redirect',
      `a host the Internet Archive redirects to answered ${answer.status}`,
    );
  step('upload:answered');
  const verdict = classifyArchiveAnswer({ ...answer, nowMs: deps.clock.now() });
  react(pace, verdict);
  // A refusal is an answer: nothing was taken.
  if (verdict.kind !== 'ok') deps.catalog.noteSending(row.id, null);
  if (verdict.kind === 'wait') {
    const isRace = verdict.code === 'create_race';
    if (!isRace) throw overloaded(verdict.reason, pace.slowDown(verdict.delayMs), subject);
    throw new Snooze(verdict.reason, verdict.delayMs, { ...cursor, isItemMade: true } satisfies Cursor);
  }
  // Someone else's item of the same name concerns this file only; no right to our own concerns all.
  if (verdict.kind === 'halt' && verdict.code === 'access_denied') {
    const now = await deps.reader.item(identifier, context.signal);
    if (now.isDark || (now.exists && now.ownWikiDbName !== row.wikiDbName))
      throw new PermanentError('foreign_item', `${identifier} belongs to someone else: ${verdict.reason}`, {
        subject,
      });
  }
  if (verdict.kind === 'retry' && verdict.code === 'no_such_item')
    context.progress({ cursor: { ...cursor, isItemMade: false } satisfies Cursor });
  throwVerdict(verdict, subject, cursor);
  context.log.info(
    { room: 'upload', wiki: row.wikiDbName, dumpFileId: row.id, identifier, sizeBytes: row.sizeBytes },
    'dump file sent to the Internet Archive',
  );
  return { ...cursor, putAt: deps.clock.now(), polls: 0, puts: cursor.puts + 1, doubtAt: null };
}

function react(pace: Pace, verdict: ArchiveVerdict): void {
  if (verdict.kind === 'ok') pace.relax();
  if (verdict.kind === 'skip' && verdict.code === 'refused_as_spam') pace.stopNewItems();
}
