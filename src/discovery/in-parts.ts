import { setImmediate as nextTurn } from 'node:timers/promises';

/** Wikis in one turn of the event loop: four statements for each of a hundred are some 2 ms, for each of a thousand 30. */
const AT_ONCE = 100;

/** Does something short for each of many, and lets everything else have its turn between every hundred. */
export async function inParts<T>(items: Iterable<T>, act: (item: T) => void): Promise<void> {
  let done = 0;
  for (const item of items) {
    if (done > 0 && done % AT_ONCE === 0) await nextTurn();
    act(item);
    done += 1;
  }
}
