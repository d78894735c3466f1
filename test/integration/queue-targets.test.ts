import { expect, test } from 'vitest';
import { HaltPipelineError, PermanentError, Snooze, UnavailableError } from '../../src/lib/index.ts';
import { queueBundle } from '../helpers/queue-bundle.ts';

const MINUTE_MS = 60_000;
const names = Array.from({ length: 300 }, (_, index) => `file-${String(index).padStart(3, '0')}`);

test('300 jobs behind a 503 cost one wake-up and no attempt', async () => {
  let isDown = true;
  const t = await queueBundle({
    concurrency: 3,
    fetch: async () => {
      if (isDown)
        throw new UnavailableError('http_status', 'the site answered 503', { retryAfterMs: 10 * MINUTE_MS });
    },
  });
  t.fetch(...names);
  await t.clock.advance(0);
  expect(t.begun).toHaveLength(3);
  const [halt] = t.queue.halts();
  expect(halt).toMatchObject({ target: 'web', kind: 'unavailable', until: t.clock.now() + 10 * MINUTE_MS });
  expect(t.seen('target:halted')).toHaveLength(1);

  // Until it reopens nobody is woken, however long the line is.
  await t.clock.advance(10 * MINUTE_MS - 1);
  expect(t.begun).toHaveLength(3);
  // Then one job tries, and one only.
  await t.clock.advance(1);
  expect(t.begun).toHaveLength(4);
  expect(t.count('pending')).toBe(300);
  expect(t.db.sqlite.prepare('SELECT sum(attempt) FROM jobs').pluck().get()).toBe(0);

  isDown = false;
  await t.clock.advance(10 * MINUTE_MS);
  await t.queue.whenIdle();
  expect(t.count('completed')).toBe(300);
  expect(t.db.sqlite.prepare('SELECT DISTINCT attempt FROM jobs').pluck().all()).toEqual([1]);
  expect(t.queue.halts()).toEqual([]);
  expect(t.seen('target:resumed')).toHaveLength(1);
});

test('a target that stays down is asked after 5 min, 15 min, 1 h and 4 h', async () => {
  const askedAt: number[] = [];
  const t = await queueBundle({
    fetch: async () => {
      askedAt.push(t.clock.now());
      throw new UnavailableError('network', 'nobody is there');
    },
  });
  const start = t.clock.now();
  t.fetch(...names);
  await t.clock.advance(0);
  await t.clock.advance(7 * 60 * MINUTE_MS);
  const gaps = askedAt.map((at, index) => (at - (askedAt[index - 1] ?? start)) / MINUTE_MS);
  expect(gaps).toHaveLength(5);
  const expected = [0, 5, 15, 60, 240];
  for (const [index, gap] of gaps.entries()) {
    expect(gap).toBeGreaterThanOrEqual(expected[index] as number);
    expect(gap).toBeLessThanOrEqual((expected[index] as number) * 1.1);
  }
  expect(t.db.sqlite.prepare('SELECT sum(attempt) FROM jobs').pluck().get()).toBe(0);
});

test('only the target that is down stops; the others go on', async () => {
  const t = await queueBundle({
    fetch: async () => {
      throw new UnavailableError('http_status', '503');
    },
  });
  t.fetch('a', 'b');
  t.send('x', 'y');
  await t.clock.advance(0);
  await t.clock.advance(0);
  expect(t.begun.sort()).toEqual(['a', 'x', 'y']);
  expect(t.count('completed')).toBe(2);
});

test('one file that is always answered with 503 does not stop the others for ever, and fails in the end', async () => {
  const t = await queueBundle({
    fetch: async (name) => {
      if (name === 'a-bad') throw new UnavailableError('http_status', '503 for this one');
    },
  });
  t.fetch('a-bad', 'b', 'c');
  await t.clock.advance(24 * 60 * MINUTE_MS);
  await t.clock.advance(24 * 60 * MINUTE_MS);
  expect(t.row('fetch:b').status).toBe('completed');
  expect(t.row('fetch:c').status).toBe('completed');
  expect(t.row('fetch:a-bad')).toMatchObject({ status: 'failed', attempt: 5 });
});

test('an account over its limit is never a job’s own fault', async () => {
  const t = await queueBundle({
    send: async () => {
      throw new UnavailableError('overloaded', 'slow down', { pauseMs: 30_000, isNeverOwnFault: true });
    },
  });
  t.send('x');
  await t.clock.advance(60 * MINUTE_MS);
  expect(t.begun.length).toBeGreaterThan(50);
  expect(t.row('send:x')).toMatchObject({ status: 'pending', attempt: 0 });
});

test('a refusal is an answer: a 404 during the trial opens the target again', async () => {
  let answer: Error | null = new UnavailableError('http_status', '503');
  const t = await queueBundle({
    fetch: async () => {
      if (answer !== null) throw answer;
    },
  });
  t.fetch('a', 'b', 'c');
  await t.clock.advance(0);
  answer = new PermanentError('not_found', 'no such file');
  await t.clock.advance(6 * MINUTE_MS);
  expect(t.queue.halts()).toEqual([]);
  expect(t.count('failed')).toBe(3);
});

test('bytes that move open the target before the trial is over', async () => {
  let isDown = true;
  const t = await queueBundle({
    concurrency: 3,
    fetch: async (name, context) => {
      if (isDown) throw new UnavailableError('http_status', '503');
      if (name !== 'b') return;
      context.progress({ doneBytes: 0, totalBytes: 1000 });
      await context.clock.sleep(1000, context.signal);
      context.progress({ doneBytes: 500 });
      await context.clock.sleep(60 * MINUTE_MS, context.signal);
    },
  });
  t.fetch('a', 'b', 'c', 'd');
  await t.clock.advance(0);
  isDown = false;
  t.begun.length = 0;
  await t.clock.advance(6 * MINUTE_MS);
  expect(t.begun).toContain('d');
  expect(t.queue.halts()).toEqual([]);
  expect(t.row('fetch:b').status).toBe('in_progress');
});

test('a halt with a scope stops every type that needs it, and names it', async () => {
  const t = await queueBundle({
    fetch: async () => {
      throw new HaltPipelineError('disk_full', 'the disk is full', {
        pauseMs: 5 * MINUTE_MS,
        scope: 'all',
        isNeverOwnFault: true,
        hint: 'Free some space.',
      });
    },
  });
  t.fetch('a');
  await t.clock.advance(0);
  t.send('x');
  await t.clock.advance(MINUTE_MS);
  expect(t.begun).toEqual(['a']);
  expect(t.queue.halts()).toMatchObject([{ target: 'all', kind: 'halted', hint: 'Free some space.' }]);
  const idle = await t.queue.whenIdle();
  expect(idle.halted).toMatchObject([{ target: 'all' }]);
});

test('an outage outlives a restart, a refusal does not', async () => {
  let error: Error = new UnavailableError('http_status', '503', { retryAfterMs: 60 * MINUTE_MS });
  const t = await queueBundle({
    fetch: async () => {
      throw error;
    },
    send: async () => {
      throw new HaltPipelineError('forbidden', '403', { pauseMs: 60 * MINUTE_MS });
    },
  });
  t.fetch('a');
  t.send('x');
  await t.clock.advance(0);
  await t.queue.stop();
  t.begun.length = 0;
  error = new Error('unused');
  await t.restart();
  await t.clock.advance(0);
  expect(t.begun).toEqual(['x']);
  expect(
    t.queue
      .halts()
      .map(({ target }) => target)
      .sort(),
  ).toEqual(['archive', 'web']);
});

test('an operator’s resume tries a halted target at once', async () => {
  let isDown = true;
  const t = await queueBundle({
    fetch: async () => {
      if (isDown) throw new HaltPipelineError('forbidden', '403', { pauseMs: 60 * MINUTE_MS });
    },
  });
  t.fetch('a', 'b');
  await t.clock.advance(0);
  isDown = false;
  expect(t.queue.resume({ kind: 'target', name: 'web' })).toEqual(['target:web']);
  await t.queue.whenIdle();
  expect(t.count('completed')).toBe(2);
});

test('resume wakes every job that met the halt, and none that waits for something else', async () => {
  let isDown = true;
  const t = await queueBundle({
    concurrency: 2,
    fetch: async () => {
      if (isDown) throw new HaltPipelineError('forbidden', '403', { pauseMs: 6 * 60 * MINUTE_MS });
    },
    send: async (name) => {
      if (isDown && name === 'x') throw new HaltPipelineError('forbidden', '403', { pauseMs: MINUTE_MS });
      if (name === 'x') throw new Snooze('not its hour', 24 * 60 * MINUTE_MS);
    },
  });
  t.fetch('a', 'b');
  t.send('x');
  await t.clock.advance(0);
  expect(t.begun.sort()).toEqual(['a', 'b', 'x']);
  isDown = false;
  await t.clock.advance(2 * MINUTE_MS);
  t.begun.length = 0;
  t.queue.resume({ kind: 'all' });
  await t.clock.advance(0);
  expect(t.begun.sort()).toEqual(['a', 'b']);
  expect(t.row('send:x')).toMatchObject({ status: 'pending', put_off_by: null });
});

test('another try by an operator forgets how often a job stopped its target', async () => {
  const t = await queueBundle({
    fetch: async () => {
      throw new HaltPipelineError('forbidden', '403', { pauseMs: MINUTE_MS });
    },
  });
  t.fetch('a');
  for (let minute = 0; minute < 6; minute += 1) await t.clock.advance(MINUTE_MS);
  expect(t.row('fetch:a').status).toBe('quarantined');
  t.queue.retryJob(Number(t.row('fetch:a').id));
  await t.clock.advance(0);
  expect(t.row('fetch:a').status).toBe('pending');
});

test('an outage of four days costs no job an attempt, and none fails', async () => {
  let isDown = true;
  const t = await queueBundle({
    concurrency: 2,
    fetch: async () => {
      if (isDown) throw new UnavailableError('network', 'nobody is there');
    },
  });
  t.fetch('a', 'b', 'c', 'd');
  await t.clock.advance(0);
  for (let day = 0; day < 4; day += 1) await t.clock.advance(24 * 60 * MINUTE_MS);
  expect(t.count('pending')).toBe(4);
  expect(t.db.sqlite.prepare('SELECT sum(attempt) FROM jobs').pluck().get()).toBe(0);
  isDown = false;
  await t.clock.advance(5 * 60 * MINUTE_MS);
  expect(t.count('completed')).toBe(4);
});

test('trouble beside the jobs halts their target, too', async () => {
  const t = await queueBundle({});
  const pauseMs = 5 * MINUTE_MS;
  t.queue.halt(new HaltPipelineError('disk_full', 'no room for a checkpoint', { pauseMs, scope: 'disk' }));
  t.fetch('a');
  t.send('x');
  await t.clock.advance(0);
  expect(t.begun).toEqual(['x']);
  expect(t.seen('target:halted')).toMatchObject([{ target: 'disk', kind: 'halted' }]);
  await t.clock.advance(pauseMs);
  expect(t.begun).toEqual(['x', 'a']);
});
