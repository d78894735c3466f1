import { setTime } from '../folder-times.ts';
import { readTreeMarker, type TreeMarker } from '../tree-marker.ts';
import type { StatusDocument } from './run-state.ts';

/** What all scripts of one site share. */
export interface ScriptStage {
  readonly root: string;
  /** Upstream's clock, epoch ms. */
  now(): number;
  /** One change after another: two that overlap would lose one of them. */
  exclusive<T>(step: () => Promise<T>): Promise<T>;
  /** Free changes of status documents, by `<dbname>/<date>`. */
  readonly edits: Map<string, (status: StatusDocument) => void>;
  /** Whether the tree has no bytes: files are only as long as they should be. */
  isHollow(): Promise<boolean>;
  /** Gives a folder, whose entries have changed, its new time. */
  stampFolder(path: string): Promise<void>;
}

/**
 * Makes the stage.
 * @throws from every change: Error when the tree was not made here, because then its files are somebody's
 */
export function createStage(options: { root: string; now: () => number }): ScriptStage {
  let last: Promise<unknown> = Promise.resolve();
  const marker = async (): Promise<TreeMarker> => {
    const found = await readTreeMarker(options.root);
    if (found !== null) return found;
    throw new Error(`${options.root} was not made by the sandbox: it may serve it, but not change it`);
  };
  return {
    root: options.root,
    now: options.now,
    exclusive(step) {
      const done = last.then(marker).then(step);
      last = done.catch(() => undefined);
      return done;
    },
    edits: new Map(),
    isHollow: async () => (await marker()).isHollow === true,
    async stampFolder(path) {
      await setTime(path, new Date(options.now()));
    },
  };
}
