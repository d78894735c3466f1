import type { ArchiveStore, StoredFile, StoredItem } from './archive-store.ts';

/** Counts of an item's tasks as tasks.php gives them. */
export interface TaskSummary {
  queued: number;
  running: number;
  error: number;
  paused: number;
}

/** The catalog: every upload is a task that makes its file visible after a delay. Waiting tasks survive a restart. */
export class ArchiveTasks {
  readonly #store: ArchiveStore;
  readonly #delayMs: number;
  readonly #waiting = new Map<NodeJS.Timeout, () => Promise<void>>();
  #lastTaskId = 1_000_000;
  #idle: (() => void)[] = [];

  constructor(store: ArchiveStore, delayMs: number) {
    this.#store = store;
    this.#delayMs = delayMs;
  }

  newTaskId(): number {
    this.#lastTaskId += 1;
    return this.#lastTaskId;
  }

  /** Takes up the tasks that an earlier process left waiting. */
  resume(): void {
    for (const item of this.#store.items.values()) {
      for (const file of Object.values(item.files)) {
        this.#lastTaskId = Math.max(this.#lastTaskId, file.taskId);
        if (file.state === 'queued') void this.queue(item, file, false);
      }
    }
  }

  /** Queues the task of a file; with a delay of 0 it has run when this resolves. */
  async queue(item: StoredItem, file: StoredFile, isFailing: boolean): Promise<void> {
    const run = async (): Promise<void> => {
      file.state = isFailing ? 'failed' : 'visible';
      await this.#store.save(item);
    };
    if (this.#delayMs === 0) return run();
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      void run().finally(() => this.#announceIdle());
    }, this.#delayMs);
    this.#waiting.set(timer, run);
  }

  /** Runs everything that waits without waiting any longer. */
  async runAll(): Promise<void> {
    const runs = [...this.#waiting.values()];
    this.#dropTimers();
    for (const run of runs) await run();
    this.#announceIdle();
  }

  summary(item: StoredItem | undefined): TaskSummary {
    const states = Object.values(item?.files ?? {}).map((file) => file.state);
    const count = (state: StoredFile['state']): number => states.filter((known) => known === state).length;
    return { queued: count('queued'), running: 0, error: count('failed'), paused: 0 };
  }

  whenIdle(): Promise<void> {
    if (this.#waiting.size === 0) return this.#store.settled();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Stops the clock; what waits stays queued on disk. */
  stop(): void {
    this.#dropTimers();
    this.#announceIdle();
  }

  #dropTimers(): void {
    for (const timer of this.#waiting.keys()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #announceIdle(): void {
    if (this.#waiting.size > 0) return;
    for (const resolve of this.#idle) resolve();
    this.#idle = [];
  }
}
