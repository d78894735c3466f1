import { expect, test } from 'vitest';
import { threadScript } from './thread-script.ts';

test.each([
  ['file:///wikiseed/src/pruning/planner.ts', 'file:///wikiseed/src/pruning/planner.worker.ts'],
  ['file:///wikiseed/dist/pruning/planner.js', 'file:///wikiseed/dist/pruning/planner.worker.js'],
])('a thread runs in the form of its module: %s', (here, script) => {
  expect(threadScript(here, 'planner').href).toBe(script);
});
