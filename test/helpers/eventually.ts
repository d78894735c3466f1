import { vi } from 'vitest';

/** Waits until the assertions hold. The bound is for what never comes; a busy machine may take its time. @throws what failed last */
export const eventually = (assertions: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(assertions, { timeout: 30_000 });
