import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type History, histories, playHistory } from '../helpers/download-history.ts';

/**
 * As download-histories.test.ts, with nothing but power cuts: no source gives wrong bytes, so that after each of them what a
 * sidecar vouches for must be in its part file.
 */
test('after a power cut no sidecar vouches for bytes that were lost', { timeout: 600_000 }, async () => {
  const counts: Record<string, number> = {};
  const cut = ({ lives, ...history }: History): History => ({
    ...history,
    isSlow: false,
    troubles: [],
    lives: lives.map((life) => ({ ...life, end: 'power cut' })),
  });
  await fc.assert(
    fc.asyncProperty(histories, (history) => playHistory(cut(history), counts)),
    { seed: 11, numRuns: 60, endOnFailure: true },
  );
  for (const what of ['power cut', 'lost writes']) expect(counts[what] ?? 0, what).toBeGreaterThan(0);
});
