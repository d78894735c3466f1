import { CorruptError, Interrupted, RetryableError } from '../lib/index.ts';
import { type DiskFile, type HttpResponse, networkError } from '../ports/index.ts';
import type { HashLane, Slot } from './hash-lanes.ts';
import { SLOT_BYTES } from './hash-protocol.ts';

/** Where the bytes of one file go. */
export interface Target {
  file: DiskFile;
  lane: HashLane;
  /** Size the file must have in the end. */
  sizeBytes: number;
  signal: AbortSignal;
  /** Called with the length of the part file on disk whenever it grew. */
  onGrown(sizeBytes: number): void;
}

/**
 * Hashes the first `sizeBytes` of a file on disk.
 * @returns bytes really read; fewer when the file is shorter
 */
export async function hashFromDisk(
  target: Pick<Target, 'file' | 'lane' | 'signal'>,
  sizeBytes: number,
): Promise<number> {
  let position = 0;
  while (position < sizeBytes) {
    if (target.signal.aborted) throw new Interrupted();
    const slot = await target.lane.take();
    let count = 0;
    try {
      const wanted = Math.min(SLOT_BYTES, sizeBytes - position);
      count = await target.file.read(slot.bytes.subarray(0, wanted), position);
    } finally {
      if (count === 0) target.lane.drop(slot);
    }
    if (count === 0) break;
    target.lane.submit(slot, count, Promise.resolve());
    position += count;
  }
  return position;
}

/**
 * Appends a body to the part file from `startBytes` on and hashes it on the way. However it ends, what came is on disk
 * without gaps, so that the next attempt can go on from there.
 * @throws RetryableError `truncated` (fewer bytes than expected), `too_long` (more), Interrupted, or the disk's own error
 */
export async function receive(response: HttpResponse, startBytes: number, target: Target): Promise<void> {
  const writer = createWriter(startBytes, target);
  try {
    for await (const chunk of response.body) {
      if (target.signal.aborted) throw new Interrupted();
      await writer.append(chunk as Buffer);
    }
  } catch (error) {
    response.discard();
    // What the disk has to say goes before what the network had to say.
    await writer.flush();
    if (target.signal.aborted) throw new Interrupted();
    if (error instanceof RetryableError || writer.hasFailed()) throw error;
    throw truncated(response.url, writer.position(), target.sizeBytes, networkError(error, response.url));
  }
  await writer.flush();
  if (writer.position() < target.sizeBytes)
    throw truncated(response.url, writer.position(), target.sizeBytes);
}

interface Writer {
  append(chunk: Buffer): Promise<void>;
  /** Writes what is still in memory; rejects when any write failed. */
  flush(): Promise<void>;
  position(): number;
  hasFailed(): boolean;
}

/**
 * Collects network chunks (16 to 64 KiB) into blocks of 1 MiB, each written and hashed from the same memory. Writes run one
 * after the other and none after a failure, so the part file never has a hole.
 */
function createWriter(startBytes: number, target: Target): Writer {
  let slot: Slot | null = null;
  let filled = 0;
  let position = startBytes;
  let failed = false;
  let writing: Promise<void> = Promise.resolve();
  const send = (): void => {
    if (slot === null) return;
    const bytes = slot.bytes.subarray(0, filled);
    const end = position;
    const start = end - filled;
    writing = writing.then(async () => {
      await target.file.write(bytes, start);
      target.onGrown(end);
    });
    writing.catch(() => {
      failed = true;
    });
    target.lane.submit(slot, filled, writing);
    slot = null;
    filled = 0;
  };
  return {
    position: () => position,
    hasFailed: () => failed,
    async append(chunk) {
      if (position + chunk.length > target.sizeBytes)
        throw new CorruptError('too_long', `more than the expected ${target.sizeBytes} bytes came`);
      for (let taken = 0; taken < chunk.length; ) {
        // The failure itself is thrown by `flush`.
        if (failed) await writing;
        slot ??= await target.lane.take();
        const count = Math.min(chunk.length - taken, SLOT_BYTES - filled);
        slot.bytes.set(chunk.subarray(taken, taken + count), filled);
        taken += count;
        filled += count;
        position += count;
        if (filled === SLOT_BYTES) send();
      }
    },
    async flush() {
      if (slot !== null && filled === 0) target.lane.drop(slot);
      else send();
      slot = null;
      await writing;
    },
  };
}

function truncated(url: string, gotBytes: number, sizeBytes: number, cause?: unknown): RetryableError {
  return new RetryableError(
    'truncated',
    `${new URL(url).host} broke off after ${gotBytes} of ${sizeBytes} bytes`,
    {
      cause,
    },
  );
}
