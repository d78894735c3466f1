import fc from 'fast-check';
import { DAY_MS, HOUR_MS, type How, MINUTE_MS, WORK_KINDS } from './kinds.ts';

/** What a history is made of. `pick` numbers choose among what is there, modulo its number. */
export type Command =
  | {
      do: 'enqueue';
      type: (typeof WORK_KINDS)[number];
      page: number;
      cycle: string | null;
      priority: number;
      delayMs: number;
      /** Its handler ignores the abort signal. */
      isDeaf: boolean;
    }
  /** Handlers end in the same turn; `rush` = the next command does not wait for what follows. */
  | { do: 'finish'; ends: { pick: number; how: How }[]; rush: boolean }
  | { do: 'progress'; pick: number; cursor: number; isWhole: boolean }
  | { do: 'tick' | 'stall' | 'setClock'; ms: number }
  | { do: 'crash' }
  | { do: 'stop'; waitMs: number }
  | { do: 'pause' | 'resume'; scope: string }
  | { do: 'limit'; scope: string; jobs: number | null }
  | { do: 'retryJob' | 'cancelJob' | 'spoil' | 'steal'; pick: number }
  | { do: 'hurry'; cycle: string; type: (typeof WORK_KINDS)[number] }
  | { do: 'cancelPending'; type: (typeof WORK_KINDS)[number] }
  /** null = read only at once; else full after so many more changes. */
  | { do: 'breakDb'; after: number | null }
  | { do: 'healDb' };

const pick = fc.nat(7);
const kind = fc.constantFrom(...WORK_KINDS);
const cycle = fc.constantFrom('c1', 'c2');
const waits = fc.constantFrom(0, MINUTE_MS, 40 * MINUTE_MS, 7 * HOUR_MS);
const target = fc.constantFrom('disk', 'web', 'all');
const optional = <T, K extends string>(name: K, value: fc.Arbitrary<T>): fc.Arbitrary<{ [key in K]?: T }> =>
  fc
    .option(value, { nil: undefined })
    .map((it) => (it === undefined ? {} : { [name]: it }) as { [key in K]?: T });

const complete = fc.constant<How>({ end: 'complete' });
const failing = fc.oneof<fc.Arbitrary<How>[]>(
  fc.record({ end: fc.constantFrom('corrupt', 'unknown', 'permanent', 'interrupted', 'hookThrows') }),
  optional('retryAfterMs', waits).map((asked): How => ({ end: 'retryable', ...asked })),
  fc
    .record({ delayMs: fc.constantFrom(0, 20_000, HOUR_MS), more: optional('cursor', fc.nat(9)) })
    .map(({ delayMs, more }): How => ({ end: 'snooze', delayMs, ...more })),
);
const halting = fc.oneof<fc.Arbitrary<How>[]>(
  fc
    .record({ scope: optional('scope', target), pauseMs: waits, isNeverOwnFault: fc.boolean() })
    .map(({ scope, ...facts }): How => ({ end: 'halt', ...facts, ...scope })),
  fc
    .record({ asked: optional('retryAfterMs', waits), pause: optional('pauseMs', waits) })
    .map(({ asked, pause }): How => ({ end: 'unavailable', ...asked, ...pause })),
);
const how = fc.oneof(
  { weight: 5, arbitrary: complete },
  { weight: 4, arbitrary: failing },
  { weight: 2, arbitrary: halting },
);

/** Any of these commands. */
const many = (...of: fc.Arbitrary<Command>[]): fc.Arbitrary<Command> => fc.oneof(...of);

const enqueue = fc.record({
  do: fc.constant('enqueue' as const),
  type: kind,
  page: fc.nat(4),
  cycle: fc.option(cycle),
  priority: fc.constantFrom(100, 50, 150),
  delayMs: fc.constantFrom(0, 0, 0, 45_000, HOUR_MS),
  isDeaf: fc.constantFrom(false, false, false, true),
});
const finish = fc.record({
  do: fc.constant('finish' as const),
  ends: fc.array(fc.record({ pick, how }), { minLength: 1, maxLength: 3 }),
  rush: fc.constantFrom(false, false, false, true),
});
const tick = fc.record({
  do: fc.constant('tick' as const),
  ms: fc.constantFrom(500, 1000, 20_000, 45_000, 70_000, 130_000, 6 * MINUTE_MS, 11 * MINUTE_MS),
});
const scope = fc.constantFrom('all', 'type:fetch', 'type:parse', 'target:web', 'target:disk', 'type:send');
const limited = fc.constantFrom('type:fetch', 'type:parse', 'target:web', 'target:disk');

const leases = many(
  fc.constant({ do: 'crash' }),
  fc.record({ do: fc.constant('stop' as const), waitMs: fc.constantFrom(0, 10_000, 30_000, 150_000) }),
  fc.record({
    do: fc.constant('stall' as const),
    ms: fc.constantFrom(30_000, 115_000, 11 * MINUTE_MS, DAY_MS),
  }),
  fc.record({ do: fc.constant('steal' as const), pick }),
  fc.record({ do: fc.constant('progress' as const), pick, cursor: fc.nat(9), isWhole: fc.boolean() }),
  fc.record({ do: fc.constant('setClock' as const), ms: fc.constantFrom(-DAY_MS, DAY_MS) }),
);
const operators = many(
  fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const), scope }),
  fc.record({
    do: fc.constant('limit' as const),
    scope: limited,
    jobs: fc.option(fc.integer({ min: 1, max: 4 }), { nil: null }),
  }),
  fc.record({ do: fc.constantFrom('retryJob' as const, 'cancelJob' as const, 'spoil' as const), pick }),
  fc.record({ do: fc.constant('hurry' as const), cycle, type: kind }),
  fc.record({ do: fc.constant('cancelPending' as const), type: kind }),
);
const trouble = many(
  fc.record({ do: fc.constant('breakDb' as const), after: fc.option(fc.nat(6), { nil: null }) }),
  fc.constant({ do: 'healDb' }),
);

/** A history; the weights say how much of each there is. */
export function histories(weights: {
  leases: number;
  operators: number;
  trouble: number;
}): fc.Arbitrary<Command[]> {
  const command = fc.oneof(
    { weight: 6, arbitrary: enqueue },
    { weight: 6, arbitrary: finish },
    { weight: 3, arbitrary: tick },
    { weight: weights.leases, arbitrary: leases },
    { weight: weights.operators, arbitrary: operators },
    { weight: weights.trouble, arbitrary: trouble },
  );
  return fc.array(command, { minLength: 1, maxLength: 30, size: 'max' });
}
