import { expect, test } from 'vitest';
import { Interrupted } from '../../lib/index.ts';
import { createSharedTurns } from './shared-turns.ts';

/** Goal: whoever asks for much keeps nobody else waiting, what several want is done once, and who is gone waits for nothing. */

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Turns whose work ends when it is told to: `a:x` is what client `a` wants, called `x`. */
function turns(atOnce: number) {
  const shared = createSharedTurns<string>(atOnce);
  const begun: string[] = [];
  const outcomes: string[] = [];
  const running: { resolve: (result: string) => void; reject: (error: Error) => void }[] = [];
  const ask = (wish: string): (() => void) => {
    const [client = '', name = ''] = wish.split(':');
    const gone = new AbortController();
    const work = (): Promise<string> => {
      begun.push(wish);
      const mine = Promise.withResolvers<string>();
      running.push(mine);
      return mine.promise;
    };
    shared.share(name, { client, signal: gone.signal }, work).then(
      (result) => outcomes.push(`${wish} ${result}`),
      (error: Error) => outcomes.push(`${wish} ${error instanceof Interrupted ? 'gone' : error.message}`),
    );
    return () => gone.abort();
  };
  const endOne = async (result = 'done'): Promise<void> => {
    running.shift()?.resolve(result);
    await settled();
  };
  const failOne = async (): Promise<void> => {
    running.shift()?.reject(new Error('no'));
    await settled();
  };
  return { ask, endOne, failOne, begun, outcomes, running };
}

test('clients have their turns one after the other, each in the order of its asking', async () => {
  const { ask, endOne, begun, running } = turns(2);
  for (const wish of ['a:1', 'a:2', 'a:3', 'a:4', 'a:5', 'b:6', 'b:7', 'c:8']) ask(wish);
  while (running.length > 0) {
    expect(running.length).toBeLessThanOrEqual(2);
    await endOne();
  }
  expect(begun).toEqual(['a:1', 'a:2', 'a:3', 'b:6', 'c:8', 'a:4', 'b:7', 'a:5']);
});

test('what several want is done once, whether it is done already or waits', async () => {
  const { ask, endOne, begun, outcomes } = turns(1);
  for (const wish of ['a:1', 'b:1', 'a:2', 'a:3', 'b:3', 'c:2']) ask(wish);
  await endOne('first');
  expect(outcomes).toEqual(['a:1 first', 'b:1 first']);
  // The turn of `b` is that of everybody who wants the same.
  await endOne('second');
  await endOne('third');
  expect(begun).toEqual(['a:1', 'a:2', 'b:3']);
  expect(outcomes.slice(2)).toEqual(['a:2 second', 'c:2 second', 'b:3 third', 'a:3 third']);
});

test('who is gone waits no more, unless its own work goes on', async () => {
  const { ask, endOne, begun, outcomes } = turns(1);
  const [runs, shares, waits, leads] = [ask('a:1'), ask('b:1'), ask('b:2'), ask('c:3')];
  ask('d:3');
  for (const leave of [runs, shares, waits, leads]) leave();
  await settled();
  expect(outcomes).toEqual(['b:1 gone', 'b:2 gone', 'c:3 gone']);
  await endOne();
  await endOne();
  // The one who stayed does it himself.
  expect(begun).toEqual(['a:1', 'd:3']);
  expect(outcomes.slice(3)).toEqual(['a:1 done', 'd:3 done']);
  ask('a:4');
  expect(begun.at(-1)).toBe('a:4');
});

test('who was gone before it asked begins nothing', async () => {
  const shared = createSharedTurns<string>(1);
  const reader = { client: 'a', signal: AbortSignal.abort() };
  await expect(shared.share('1', reader, () => Promise.reject(new Error('begun')))).rejects.toBeInstanceOf(
    Interrupted,
  );
});

test('work that fails fails for all who wanted it, and the next has its turn', async () => {
  const { ask, endOne, failOne, outcomes } = turns(1);
  for (const wish of ['a:1', 'b:1', 'c:2']) ask(wish);
  await failOne();
  await endOne();
  expect(outcomes).toEqual(['a:1 no', 'b:1 no', 'c:2 done']);
});
