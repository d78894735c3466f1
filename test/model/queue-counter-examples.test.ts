import { expect, test } from 'vitest';
import type { Command } from './commands.ts';
import { DAY_MS, type How, MINUTE_MS } from './kinds.ts';
import { play } from './property.ts';

/** Histories that were found to go wrong, shrunk; each one failed before its fix. */
const enqueue = (
  type: 'fetch' | 'parse' | 'send',
  page = 0,
  more: { isDeaf?: boolean; cycle?: string } = {},
): Command => ({
  do: 'enqueue',
  type,
  page,
  cycle: more.cycle ?? null,
  priority: 100,
  delayMs: 0,
  isDeaf: more.isDeaf ?? false,
});
const finish = (...hows: How[]): Command => ({
  do: 'finish',
  ends: hows.map((how) => ({ pick: 0, how })),
  rush: false,
});
const halt: How = { end: 'halt', pauseMs: 0, isNeverOwnFault: false };
const full: Command = { do: 'breakDb', after: null };

const FOUND: readonly [string, Command[]][] = [
  [
    'one job at a time tries a halted "all"',
    [enqueue('fetch', 0), finish({ ...halt, scope: 'all' }), enqueue('fetch', 1)],
  ],
  [
    'a lost lease does not outlive a clock that is set back',
    [enqueue('fetch'), { do: 'stall', ms: 115_000 }, { do: 'setClock', ms: -DAY_MS }],
  ],
  ['a fenced attempt halts nothing', [enqueue('fetch'), { do: 'steal', pick: 0 }, finish(halt)]],
  [
    'a renewal just after the clock was set back is a renewal, and the next theft is found in time',
    [
      enqueue('fetch'),
      finish({ end: 'complete' }, halt),
      { do: 'tick', ms: 500 },
      { do: 'setClock', ms: -DAY_MS },
      { do: 'tick', ms: 20_000 },
      { do: 'steal', pick: 0 },
      finish({ end: 'retryable' }),
    ],
  ],
  [
    'a lease that is shifted in the moment of its claim is no renewal by the next process',
    [enqueue('fetch'), { do: 'setClock', ms: -DAY_MS }, { do: 'crash' }, enqueue('fetch')],
  ],
  [
    'a stop that waits longer than a minute does not turn in circles',
    [enqueue('fetch', 0, { isDeaf: true }), { do: 'stop', waitMs: 150_000 }],
  ],
  [
    'bytes that close a breaker wake the other jobs at once',
    [enqueue('parse'), finish(halt), enqueue('send'), { do: 'progress', pick: 0, cursor: 0, isWhole: true }],
  ],
  [
    'the barrier sees jobs of a type that is switched off',
    [
      { do: 'pause', scope: 'all' },
      enqueue('fetch', 0, { cycle: 'c1' }),
      { do: 'cancelPending', type: 'fetch' },
    ],
  ],
  [
    'a database that heals while nothing waits does not turn in circles',
    [full, { do: 'crash' }, { do: 'healDb' }, { do: 'tick', ms: 130_000 }],
  ],
  [
    'input that cannot be read is no answer of its target',
    [enqueue('fetch'), finish({ end: 'unavailable' }), { do: 'spoil', pick: 0 }],
  ],
  [
    'a process that starts on a full disk takes over once it can',
    [enqueue('fetch'), finish(halt), full, { do: 'stop', waitMs: 0 }],
  ],
  [
    'work that comes and goes does not put off the rescue',
    [enqueue('fetch'), { do: 'stall', ms: DAY_MS }, enqueue('parse'), { do: 'stall', ms: 115_000 }],
  ],
  [
    'a result that waits for a full disk under a lost lease does not turn in circles',
    [
      enqueue('fetch'),
      { do: 'steal', pick: 0 },
      { do: 'tick', ms: 500 },
      full,
      { do: 'stall', ms: 30_000 },
      finish({ end: 'snooze', delayMs: 0 }),
      { do: 'healDb' },
      { do: 'tick', ms: MINUTE_MS },
    ],
  ],
];

test.each(FOUND)('%s', async (_name, history) => {
  const counts: Record<string, number> = {};
  await play(history, counts);
  expect(counts.histories).toBe(1);
});
