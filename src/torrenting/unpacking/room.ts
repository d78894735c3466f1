import { z } from 'zod';
import { describeError, HaltPipelineError, hours, PermanentError, Snooze } from '../../lib/index.ts';
import type { Reservation, SpaceGuard } from '../../storage/index.ts';

/** Unpacked files are an extra: what they lack room for is tried again when much may have changed. */
const NO_ROOM_PAUSE_MS = hours(1);

/** Longer than this it does not wait: other work of its cycle may wait for the job. It is asked for again every day. */
const WAIT_MAX_MS = hours(24);

/** Kept with the job that had no room: it does not begin again before there is more than last time. */
const Cursor = z.object({ neededBytes: z.number().nonnegative(), sinceMs: z.number() });

/** What an earlier attempt left, and the time. */
export interface Earlier {
  cursor: unknown;
  /** Epoch ms. */
  now: number;
}

/** There is no room for the next file. */
export class NoRoom extends Error {
  readonly neededBytes: number;
  constructor(reason: string, neededBytes: number) {
    super(reason);
    this.neededBytes = neededBytes;
  }
}

/** Room for what is being unpacked. */
export interface Room {
  /** @throws NoRoom */
  promise(sizeBytes: number): Promise<Reservation>;
}

/** @param usedBytes what was unpacked so far: it is given up when there is no room for the rest */
export function createRoom(space: Pick<SpaceGuard, 'reserve'>, usedBytes: () => number): Room {
  return {
    async promise(sizeBytes) {
      try {
        return await space.reserve(sizeBytes);
      } catch (error) {
        if (!(error instanceof HaltPipelineError) && !(error instanceof Snooze)) throw error;
        throw new NoRoom(describeError(error), usedBytes() + sizeBytes);
      }
    },
  };
}

/**
 * Looks whether there is as much room as was lacking the last time; else hours of unpacking would end in the same place again.
 * @param leastBytes what will come out at least, as far as can be told
 * @throws NoRoom
 */
export async function assertRoom(
  space: Pick<SpaceGuard, 'reserve'>,
  { cursor }: Pick<Earlier, 'cursor'>,
  leastBytes: number,
): Promise<void> {
  const { data } = Cursor.safeParse(cursor);
  const neededBytes = Math.max(data?.neededBytes ?? 0, leastBytes);
  if (neededBytes > 0) (await createRoom(space, () => 0).promise(neededBytes)).release();
}

/**
 * What the queue is told.
 * @throws PermanentError `no_room_to_unpack` after a day of waiting
 */
export function noRoomYet({ message, neededBytes }: NoRoom, { cursor, now }: Earlier): Snooze {
  const sinceMs = Cursor.safeParse(cursor).data?.sinceMs ?? now;
  const reason = `no room for unpacked files, which are left out until there is: ${message}`;
  if (now - sinceMs > WAIT_MAX_MS)
    throw new PermanentError('no_room_to_unpack', reason, {
      hint: 'Free some space, lower torrents.uncompressed.max_file_size, name fewer torrents.uncompressed.types, or set torrents.uncompressed.enabled to false; then restart.',
    });
  return new Snooze(reason, NO_ROOM_PAUSE_MS, { neededBytes, sinceMs } satisfies z.infer<typeof Cursor>);
}
