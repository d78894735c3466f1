import { expect, test } from 'vitest';
import { inParts } from './in-parts.ts';

/** Counts turns of the event loop until it is told to end. */
function countTurns() {
  const turns = { count: 0, isOver: false };
  const turn = (): void => {
    turns.count += 1;
    if (!turns.isOver) setImmediate(turn);
  };
  setImmediate(turn);
  return turns;
}

test('no turn of the event loop gets more than a hundred, and the order stays', async () => {
  const turns = countTurns();
  const byTurn = new Map<number, number>();
  const done: number[] = [];
  await inParts(
    Array.from({ length: 1001 }, (_, n) => n),
    (n) => {
      byTurn.set(turns.count, (byTurn.get(turns.count) ?? 0) + 1);
      done.push(n);
    },
  );
  turns.isOver = true;
  expect(Math.max(...byTurn.values())).toBeLessThanOrEqual(100);
  expect(byTurn.size).toBeGreaterThanOrEqual(11);
  expect(done).toEqual(Array.from({ length: 1001 }, (_, n) => n));
});

test('few are done at once, and what throws ends it', async () => {
  const seen: string[] = [];
  const done = inParts(['a', 'b'], (name) => void seen.push(name));
  expect(seen).toEqual(['a', 'b']);
  await done;
  const broken = inParts(['a', 'b'], (name) => {
    seen.push(name);
    throw new Error('broken');
  });
  await expect(broken).rejects.toThrow('broken');
  expect(seen).toEqual(['a', 'b', 'a']);
});
