import { expect, test } from 'vitest';
import { playMany } from './property.ts';

test('x', { timeout: 600_000 }, async () => {
  const counts = await playMany('trouble', { leases: 1, operators: 1, trouble: 5 }, 1000);
  expect(counts.crashes).toBeGreaterThan(0);
});
