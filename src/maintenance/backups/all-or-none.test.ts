import { expect, test } from 'vitest';
import { Interrupted } from '../../lib/index.ts';
import { allOrNone } from './all-or-none.ts';

/** Goal: nothing is over before every part is; the error is the one that began it. */
const never = (): AbortSignal => new AbortController().signal;

test('one part that fails aborts the others, and all are waited for', async () => {
  const slow = Promise.withResolvers<void>();
  const aborted: string[] = [];
  let isSettled = false;
  const whole = allOrNone(never(), async (begin) => {
    const failing = begin(() => Promise.reject(new Error('the first trouble')));
    const writing = begin(async (signal) => {
      signal.addEventListener('abort', () => aborted.push('writing'));
      await slow.promise;
      throw new Interrupted();
    });
    await Promise.all([failing, writing]);
  }).finally(() => {
    isSettled = true;
  });
  whole.catch(() => {});
  // Every callback that could run has run by then.
  await new Promise((resolve) => setImmediate(resolve));
  expect(aborted).toEqual(['writing']);
  expect(isSettled).toBe(false);
  slow.resolve();
  await expect(whole).rejects.toThrow('the first trouble');
});

test('a failed part counts although nobody waits for it, and an abort from outside reaches all', async () => {
  const whole = allOrNone(never(), async (begin) => {
    void begin(() => Promise.reject(new Error('unseen'))).catch(() => {});
    return 'done';
  });
  await expect(whole).rejects.toThrow('unseen');
  const outside = new AbortController();
  const waiting = allOrNone(outside.signal, (begin) =>
    begin(
      (signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Interrupted()))),
    ),
  );
  outside.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'interrupted' });
});
