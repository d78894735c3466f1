/** Lets one piece of work at a time be at each file. */
export interface FileLocks {
  run<T>(id: number, work: () => Promise<T>): Promise<T>;
}

/** Who comes later waits; an error of one is none of the next one's. */
export function createFileLocks(): FileLocks {
  const last = new Map<number, Promise<unknown>>();
  return {
    async run(id, work) {
      const before = last.get(id) ?? Promise.resolve();
      const mine = before.then(work, work);
      last.set(id, mine);
      try {
        return await mine;
      } finally {
        if (last.get(id) === mine) last.delete(id);
      }
    },
  };
}
