import { Snooze } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { ArchiveReader } from './ia-metadata.ts';

/**
 * Passes a body on and says so before its last byte leaves: from then on the archive may have the file, whether or not we
 * ever see its answer. Before that it cannot, because it knows the length.
 */
export async function* notingTheEnd(
  body: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  note: () => void,
): AsyncGenerator<Uint8Array> {
  let sentBytes = 0;
  if (sizeBytes === 0) note();
  for await (const chunk of body) {
    const isLast = sentBytes < sizeBytes && sentBytes + chunk.length >= sizeBytes;
    sentBytes += chunk.length;
    if (isLast) note();
    yield chunk;
  }
}

/**
 * Called when all bytes were once sent and no answer is known: we died, or the line broke. The archive lists what it took only
 * when its task has run, so sending again at once would file the same bytes twice.
 * @throws Snooze while the archive has tasks for the item, and once in any case, since a task takes a moment to be seen
 */
export async function waitForLostAnswer(
  deps: { reader: ArchiveReader; clock: Pick<Clock, 'now'>; pollMs: number; deadlineMs: number },
  cursor: { identifier: string; polls: number; doubtAt: number | null },
  signal: AbortSignal,
): Promise<void> {
  const now = deps.clock.now();
  const doubtAt = cursor.doubtAt ?? now;
  if (now - doubtAt >= deps.deadlineMs) return;
  if (cursor.doubtAt !== null && !(await deps.reader.hasTasks(cursor.identifier, signal))) return;
  throw new Snooze('looking whether the Internet Archive took what was sent', deps.pollMs, {
    ...cursor,
    doubtAt,
    polls: cursor.polls + 1,
  });
}
