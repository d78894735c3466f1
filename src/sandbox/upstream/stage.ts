import { setTime } from '../folder-times.ts';
import type { StatusDocument } from './run-state.ts';
import { laterThan } from './run-view.ts';

/** What all scripts of one site share. */
export interface ScriptStage {
  readonly root: string;
  /** Upstream's clock, epoch ms. */
  now(): number;
  /** One change after another: two that overlap would lose one of them. */
  exclusive<T>(step: () => Promise<T>): Promise<T>;
  /** Free changes of status documents, by `<dbname>/<date>`. */
  readonly edits: Map<string, (status: StatusDocument) => void>;
  /** Gives a folder, whose entries have changed, its new time. */
  stampFolder(path: string): Promise<void>;
}

/**
 * Makes the stage.
 * @param mayChange asked before the first change
 */
export function createStage(options: {
  root: string;
  now: () => number;
  mayChange: () => Promise<void>;
}): ScriptStage {
  let last: Promise<unknown> = Promise.resolve();
  return {
    root: options.root,
    now: options.now,
    exclusive(step) {
      const done = last.then(options.mayChange).then(step);
      last = done.catch(() => undefined);
      return done;
    },
    edits: new Map(),
    async stampFolder(path) {
      await setTime(path, await laterThan(path, 0).then(() => new Date(options.now())));
    },
  };
}
