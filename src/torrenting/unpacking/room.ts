import { z } from 'zod';
import { describeError, HaltPipelineError, hours, Snooze } from '../../lib/index.ts';
import type { Reservation, SpaceGuard } from '../../storage/index.ts';

/** Unpacked files are an extra: what they lack room for is tried again when much may have changed. */
const NO_ROOM_PAUSE_MS = hours(1);

/** Kept with the job that had no room: it does not begin again before there is more than last time. */
const Cursor = z.object({ neededBytes: z.number().nonnegative() });

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
 * @throws Snooze
 */
export async function assertRoomSinceLastTime(
  space: Pick<SpaceGuard, 'reserve'>,
  cursor: unknown,
): Promise<void> {
  const { data } = Cursor.safeParse(cursor);
  if (data === undefined || data.neededBytes === 0) return;
  try {
    (await createRoom(space, () => 0).promise(data.neededBytes)).release();
  } catch (error) {
    if (error instanceof NoRoom) throw noRoomYet(error);
    throw error;
  }
}

/** What the queue is told. */
export function noRoomYet({ message, neededBytes }: NoRoom): Snooze {
  return new Snooze(
    `no room for unpacked files, which are left out until there is: ${message}`,
    NO_ROOM_PAUSE_MS,
    {
      neededBytes,
    } satisfies z.infer<typeof Cursor>,
  );
}
