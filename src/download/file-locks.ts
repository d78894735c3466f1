import { minutes, Snooze } from '../lib/index.ts';

/** Lets one piece of work at a time be at each dump file; shared by all jobs of the room. */
export interface FileLocks {
  /** Readings and repairs: who comes later waits; an error of one is none of the next one's. */
  inTurn<T>(id: number, work: () => Promise<T>): Promise<T>;
  /**
   * Work that puts bytes under the file's name: a download, a repair. It may take a day, so nobody waits for it.
   * @throws Snooze while other such work is at the file
   */
  alone<T>(id: number, work: () => Promise<T>): Promise<T>;
  /** Something that changes its bytes is at it. */
  isChanging(id: number): boolean;
}

/** How long a job steps back for another one that is at its file. */
const BUSY_MS = minutes(1);

/** See `FileLocks`. */
export function createFileLocks(): FileLocks {
  const last = new Map<number, Promise<unknown>>();
  const changing = new Set<number>();
  return {
    async inTurn(id, work) {
      const before = last.get(id) ?? Promise.resolve();
      const mine = before.then(work, work);
      last.set(id, mine);
      try {
        return await mine;
      } finally {
        if (last.get(id) === mine) last.delete(id);
      }
    },
    async alone(id, work) {
      if (changing.has(id)) throw new Snooze('another job is at the same file', BUSY_MS);
      changing.add(id);
      try {
        return await work();
      } finally {
        changing.delete(id);
      }
    },
    isChanging: (id) => changing.has(id),
  };
}
