import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Two cores, and a third file for the time that the others wait for programs and sockets.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Something that comes about is waited for, not timed: a busy machine takes longer.
    expect: { poll: { timeout: 30_000 } },
    reporters: ['default'],
  },
});
