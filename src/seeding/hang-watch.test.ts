import { expect, it } from 'vitest';
import type { Clock } from '../ports/index.ts';
import { watchForHangs } from './hang-watch.ts';

/* Goal: who does not answer for three minutes is given up, and nobody else. */

/** A watch whose looks, 30 s apart, happen when the test says so. */
function watched() {
  let due: (() => void) | null = null;
  const after: Clock['after'] = (_ms, fn) => {
    due = fn;
    return () => {
      due = null;
    };
  };
  const questions: { answer: () => void; refuse: () => void }[] = [];
  const told: string[] = [];
  const watch = watchForHangs({
    clock: { after } as Clock,
    ask: () =>
      new Promise((resolve, reject) => {
        questions.push({ answer: () => resolve(null), refuse: () => reject(new Error('it ended')) });
      }),
    onHung: () => void told.push('hung'),
    onUndead: () => void told.push('undead'),
  });
  /** What was answered is heard in a later turn. */
  const heard = () => new Promise<void>((resolve) => setImmediate(resolve));
  const look = async (times = 1): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      due?.();
      await heard();
    }
  };
  return { watch, questions, told, look, heard, isDue: () => due !== null };
}

it('gives up who has not answered for three minutes, and says when it is there all the same; each once', async () => {
  const { watch, questions, told, look } = watched();
  await look(2);
  expect(watch.isSilent).toBe(false);
  await look();
  expect(watch.isSilent).toBe(true);
  await look(3);
  expect(told).toEqual([]);
  await look();
  expect(told).toEqual(['hung']);
  await look(20);
  expect(told).toEqual(['hung', 'undead']);
  expect(questions).toHaveLength(1);
});

it('is content with any answer, however late', async () => {
  const { watch, questions, told, look, heard } = watched();
  await look();
  for (let round = 0; round < 5; round += 1) {
    await look(5);
    expect(watch.isSilent).toBe(true);
    questions.at(-1)!.answer();
    await heard();
    expect(watch.isSilent).toBe(false);
    await look();
    expect(watch.isSilent).toBe(false);
  }
  expect(told).toEqual([]);
});

it('ends with what it watches', async () => {
  const { watch, questions, look, heard, isDue } = watched();
  await look();
  questions[0]!.refuse();
  await heard();
  watch.stop();
  expect(isDue()).toBe(false);
});
