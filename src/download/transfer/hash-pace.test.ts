import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHashPace } from './hash-pace.ts';

/** Asks for segment after segment, until the file is right. */
async function play(lies: readonly boolean[]): Promise<{ isRight: boolean; asked: number; hashes: number }> {
  let left = lies.filter(Boolean).length;
  let hashes = 0;
  const pace = createHashPace(async () => {
    hashes += 1;
    return left === 0;
  });
  for (const [at, isLie] of lies.entries()) {
    if (isLie) left -= 1;
    if (await pace.note(isLie ? 'replaced' : 'same')) return { isRight: true, asked: at + 1, hashes };
  }
  return { isRight: await pace.end(), asked: lies.length, hashes };
}

test('reads the file a few times however many segments were wrong, and goes on asking for at most as many as it had to', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 500 }), async (lies) => {
      fc.pre(lies.includes(true));
      const { isRight, asked, hashes } = await play(lies);
      const needed = lies.lastIndexOf(true) + 1;
      expect(isRight).toBe(true);
      expect(hashes).toBeLessThanOrEqual(Math.log2(lies.length) + 2);
      expect(asked).toBeLessThanOrEqual(2 * needed);
    }),
  );
});

test('a single wrong segment is found to be the only one at once', async () => {
  const lies = Array.from({ length: 64 }, (_, at) => at === 40);
  expect(await play(lies)).toEqual({ isRight: true, asked: 41, hashes: 1 });
});

test('when nothing was replaced nothing is read', async () => {
  expect(await play([false, false, false])).toEqual({ isRight: false, asked: 3, hashes: 0 });
});
