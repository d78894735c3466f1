import { expect, test } from 'vitest';
import { HaltPipelineError } from '../lib/index.ts';
import { createSpaceGuard } from './space.ts';

function setup(options: { freeBytes?: number; maxSizeBytes?: number | null; heldBytes?: number } = {}) {
  const state = { freeBytes: options.freeBytes ?? 1000, heldBytes: options.heldBytes ?? 0 };
  const guard = createSpaceGuard({
    disk: { space: async () => ({ freeBytes: state.freeBytes, totalBytes: 10_000 }) },
    dataDir: '/data',
    safetyMarginBytes: 100,
    maxSizeBytes: options.maxSizeBytes ?? null,
    heldBytes: () => state.heldBytes,
  });
  return { guard, state };
}

test('promises up to the safety margin and not one byte more', async () => {
  const { guard } = setup();
  const whole = await guard.reserve(900);
  expect(guard.reservedBytes()).toBe(900);
  await expect(guard.reserve(1)).rejects.toThrow(HaltPipelineError);
  whole.release();
  whole.release();
  expect(guard.reservedBytes()).toBe(0);
  await expect(guard.reserve(901)).rejects.toMatchObject({ code: 'disk_full', pauseMs: 300_000 });
});

test('two downloads that ask at the same moment cannot both take the last bytes', async () => {
  const { guard } = setup();
  const results = await Promise.allSettled([guard.reserve(500), guard.reserve(500)]);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
});

test('does not count written bytes twice', async () => {
  const { guard, state } = setup();
  const first = await guard.reserve(800);
  state.freeBytes -= 600;
  first.written(600);
  expect(guard.reservedBytes()).toBe(200);
  await expect(guard.reserve(101)).rejects.toMatchObject({ code: 'disk_full' });
  await guard.reserve(100);
});

test('keeps held files and promises below storage.max_size', async () => {
  const { guard } = setup({ maxSizeBytes: 500, heldBytes: 300 });
  await guard.reserve(150);
  await expect(guard.reserve(51)).rejects.toThrow(
    /51 B exceed storage.max_size of 500 B: 300 B are held and 150 B promised/,
  );
  await guard.reserve(50);
});
