import { expect, test } from 'vitest';
import { playMany } from './property.ts';

test('x', { timeout: 600_000 }, async () => {
  const counts = await playMany('operators', { leases: 1, operators: 5, trouble: 0 }, 1000);
  expect(counts.crashes).toBeGreaterThan(0);
});
