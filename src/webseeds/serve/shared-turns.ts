import { Interrupted } from '../../lib/index.ts';
import { unlessAborted } from '../unless-aborted.ts';

/** Whoever waits for bytes. */
export interface Reader {
  /** Clients have their turns one after the other. */
  client: string;
  /** Aborts when the client is gone. */
  signal: AbortSignal;
}

/** Does a few pieces of work at a time, each once for all who want it meanwhile. */
export interface SharedTurns<Result> {
  /**
   * Does the work of that name, or waits for whoever does it already. Who asks for much waits behind himself alone. A reader that is
   * gone waits no more; but its own work, once begun, goes on to its end, and is waited for.
   * @throws Interrupted; what `work` throws
   */
  share(name: string, reader: Reader, work: () => Promise<Result>): Promise<Result>;
}

interface Waiting<Result> {
  name: string;
  reader: Reader;
  work: () => Promise<Result>;
  /** Its turn has come, or somebody else's who wants the same. */
  end: (result: Promise<Result>) => void;
}

/** See `SharedTurns`. */
export function createSharedTurns<Result>(atOnce: number): SharedTurns<Result> {
  const running = new Map<string, Promise<Result>>();
  /** By client, whose turn is next comes first: a Map keeps the order of insertion. Empty as long as fewer run than may. */
  const queues = new Map<string, Waiting<Result>[]>();

  function begin(name: string, work: () => Promise<Result>): Promise<Result> {
    const mine = work().finally(() => {
      running.delete(name);
      letIn();
    });
    running.set(name, mine);
    return mine;
  }

  function letIn(): void {
    while (running.size < atOnce) {
      const [first] = queues;
      const next = first?.[1][0];
      if (first === undefined || next === undefined) return;
      const [client, queue] = first;
      leave(next);
      // Behind all others, if it wants more.
      if (queue.length > 0) {
        queues.delete(client);
        queues.set(client, queue);
      }
      const result = begin(next.name, next.work);
      next.end(result);
      for (const same of [...queues.values()].flat().filter(({ name }) => name === next.name)) {
        leave(same);
        same.end(unlessAborted(result, same.reader.signal));
      }
    }
  }

  function leave(waiting: Waiting<Result>): void {
    const { client } = waiting.reader;
    const queue = queues.get(client) ?? [];
    const at = queue.indexOf(waiting);
    if (at >= 0) queue.splice(at, 1);
    if (queue.length === 0) queues.delete(client);
  }

  function wait(name: string, reader: Reader, work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const onGone = (): void => {
        leave(mine);
        reject(new Interrupted());
      };
      const end = (result: Promise<Result>): void => {
        reader.signal.removeEventListener('abort', onGone);
        resolve(result);
      };
      const mine: Waiting<Result> = { name, reader, work, end };
      reader.signal.addEventListener('abort', onGone, { once: true });
      const queue = queues.get(reader.client) ?? [];
      queue.push(mine);
      queues.set(reader.client, queue);
    });
  }

  return {
    async share(name, reader, work) {
      if (reader.signal.aborted) throw new Interrupted();
      const other = running.get(name);
      if (other !== undefined) return await unlessAborted(other, reader.signal);
      return await (running.size < atOnce ? begin(name, work) : wait(name, reader, work));
    },
  };
}
