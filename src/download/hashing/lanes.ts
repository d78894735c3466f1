import { Interrupted } from '../../lib/index.ts';
import type { Log } from '../../ports/index.ts';
import { type HashLane, type OwnedLane, startLane } from './lane.ts';

/** Threads for hashing, kept between files so that ten thousand small files do not start twenty thousand threads. */
export interface HashLanes {
  /** Lends a lane to `work` and takes it back whatever happens. */
  use<T>(work: (lane: HashLane) => Promise<T>): Promise<T>;
  /** Ends every thread; running work fails with Interrupted. */
  stop(): Promise<void>;
}

/** Idle lanes beyond this are ended: each holds two threads. */
const IDLE_LANES_MAX = 4;

/** Starts no thread before the first file. */
export function createHashLanes(deps: { log: Log }): HashLanes {
  const idle: OwnedLane[] = [];
  const all = new Set<OwnedLane>();
  let isStopped = false;
  return {
    async use(work) {
      if (isStopped) throw new Interrupted();
      const lane = idle.pop() ?? startLane(deps.log);
      all.add(lane);
      lane.setBusy(true);
      try {
        return await work(lane);
      } finally {
        lane.drop();
        if (lane.isUsable() && !isStopped && idle.length < IDLE_LANES_MAX) {
          lane.setBusy(false);
          idle.push(lane);
        } else {
          all.delete(lane);
          await lane.end();
        }
      }
    },
    async stop() {
      isStopped = true;
      idle.length = 0;
      await Promise.all([...all].map((lane) => lane.end()));
      all.clear();
    },
  };
}
