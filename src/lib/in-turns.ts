import { setImmediate as nextTurn } from 'node:timers/promises';

/** Gives everything else its turn at each pause of a long piece of work. */
export async function inTurns<Result>(work: Generator<void, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await nextTurn();
  }
}
