import { describe, expect, test } from 'vitest';
import { PermanentError, UsageError } from '../../src/lib/index.ts';
import { fetchJob, queueBundle, sendJob } from '../helpers/queue-bundle.ts';

const MINUTE_MS = 60_000;

describe('pause and resume', () => {
  test.each([
    [{ kind: 'type', name: 'fetch' } as const, ['x']],
    [{ kind: 'target', name: 'web' } as const, ['x']],
    [{ kind: 'target', name: 'archive' } as const, ['a']],
    [{ kind: 'all' } as const, []],
  ])('%o holds only what it names, over a restart, until it is resumed', async (scope, begins) => {
    const t = await queueBundle({});
    t.queue.pause(scope, 'the line is needed');
    t.fetch('a');
    t.send('x');
    await t.clock.advance(60 * MINUTE_MS);
    expect(t.begun).toEqual(begins);
    expect(t.queue.pauses()).toMatchObject([{ scope, reason: 'the line is needed' }]);

    await t.queue.stop();
    await t.restart();
    await t.clock.advance(60 * MINUTE_MS);
    expect(t.begun).toEqual(begins);
    expect((await t.queue.whenIdle()).paused).toHaveLength(1);

    t.queue.resume(scope);
    await t.queue.whenIdle();
    expect(t.begun.sort()).toEqual(['a', 'x']);
    expect(t.queue.pauses()).toEqual([]);
  });

  test('what runs when its type is paused goes on to its end', async () => {
    const t = await queueBundle({
      fetch: async (_name, { clock, signal }) => clock.sleep(MINUTE_MS, signal),
    });
    t.fetch('a', 'b');
    await t.clock.advance(0);
    t.queue.pause({ kind: 'type', name: 'fetch' }, null);
    await t.clock.advance(5 * MINUTE_MS);
    expect(t.row('fetch:a').status).toBe('completed');
    expect(t.row('fetch:b').status).toBe('pending');
  });
});

describe('limits', () => {
  test('a type’s limit changes while it runs, and survives a restart', async () => {
    const t = await queueBundle({
      concurrency: 1,
      fetch: async (_name, { clock, signal }) => clock.sleep(60 * MINUTE_MS, signal),
    });
    t.fetch('a', 'b', 'c', 'd', 'e');
    await t.clock.advance(0);
    expect(t.begun).toHaveLength(1);
    t.queue.setLimit({ kind: 'type', name: 'fetch' }, 3);
    await t.clock.advance(0);
    expect(t.begun).toHaveLength(3);
    await t.queue.stop();
    await t.restart();
    expect(t.count('in_progress')).toBe(3);
    t.queue.setLimit({ kind: 'type', name: 'fetch' }, null);
    expect(t.queue.limits()).toEqual([]);
    await t.clock.advance(60 * MINUTE_MS);
    expect(t.count('in_progress')).toBe(1);
  });

  test('a target’s limit counts all types that need it', async () => {
    const wait = async (
      _name: string,
      { clock, signal }: { clock: { sleep(ms: number, s: AbortSignal): Promise<void> }; signal: AbortSignal },
    ) => clock.sleep(60 * MINUTE_MS, signal);
    const t = await queueBundle({ concurrency: 4, fetch: wait, send: wait });
    t.queue.setLimit({ kind: 'target', name: 'web' }, 2);
    t.fetch('a', 'b', 'c');
    t.send('x', 'y');
    await t.clock.advance(0);
    expect(t.count('in_progress')).toBe(4);
    t.queue.setLimit({ kind: 'target', name: 'web' }, 3);
    await t.clock.advance(0);
    expect(t.count('in_progress')).toBe(5);
  });

  test('zero is refused: that is what pause is for', async () => {
    const t = await queueBundle({});
    expect(() => t.queue.setLimit({ kind: 'type', name: 'fetch' }, 0)).toThrow(/use pause/);
  });
});

describe('single jobs', () => {
  test('retry gives a failed job all its attempts again', async () => {
    let isBroken = true;
    const t = await queueBundle({
      fetch: async () => {
        if (isBroken) throw new PermanentError('not_found', 'gone');
      },
    });
    t.fetch('a');
    await t.queue.whenIdle();
    const id = Number(t.row('fetch:a').id);
    expect(t.row('fetch:a').status).toBe('failed');
    isBroken = false;
    expect(t.queue.retryJob(id)).toMatchObject({ was: 'failed', now: 'due' });
    await t.queue.whenIdle();
    expect(t.row('fetch:a')).toMatchObject({ id, status: 'completed', attempt: 1, last_error: null });
  });

  test('retry makes a waiting job due', async () => {
    let isBroken = true;
    const t = await queueBundle({
      fetch: async () => {
        if (isBroken) throw new Error('try later');
      },
    });
    t.fetch('a');
    await t.clock.advance(0);
    expect(t.row('fetch:a')).toMatchObject({ status: 'pending', attempt: 1 });
    isBroken = false;
    t.queue.retryJob(Number(t.row('fetch:a').id));
    await t.queue.whenIdle();
    expect(t.row('fetch:a').status).toBe('completed');
  });

  test('retry refuses what cannot be: no such job, completed, running, or done by another', async () => {
    let mode: 'ok' | 'fail' | 'hang' = 'ok';
    const t = await queueBundle({
      concurrency: 2,
      fetch: async (_name, { clock, signal }) => {
        if (mode === 'fail') throw new PermanentError('x', 'x');
        if (mode === 'hang') await clock.sleep(MINUTE_MS, signal);
      },
    });
    t.fetch('a');
    await t.queue.whenIdle();
    expect(() => t.queue.retryJob(99)).toThrow(UsageError);
    expect(() => t.queue.retryJob(Number(t.row('fetch:a').id))).toThrow(/is completed/);
    mode = 'fail';
    t.fetch('b');
    await t.queue.whenIdle();
    const failed = Number(t.row('fetch:b').id);
    mode = 'hang';
    t.fetch('b');
    await t.clock.advance(0);
    expect(() => t.queue.retryJob(Number(t.row('fetch:b').id))).toThrow(/is running/);
    expect(() => t.queue.retryJob(failed)).toThrow(/another job does the work/);
  });

  test('cancel ends a waiting job with everything that hangs on it', async () => {
    const settled: string[] = [];
    const t = await queueBundle({
      wire: (queue) =>
        queue.whenSettled([fetchJob.type], (cycleDate) => {
          settled.push(cycleDate);
          return [sendJob.request({ name: 'after' })];
        }),
    });
    t.queue.pause({ kind: 'type', name: 'fetch' }, null);
    t.fetch('a');
    expect(t.queue.cancelJob(Number(t.row('fetch:a').id))).toMatchObject({
      was: 'pending',
      now: 'cancelled',
    });
    await t.queue.whenIdle();
    expect(settled).toEqual(['2026-11-20']);
    expect(t.begun).toEqual(['after']);
    expect(() => t.queue.cancelJob(Number(t.row('fetch:a').id))).toThrow(/is cancelled already/);
  });

  test('cancel tells a running job to stop and does not run it again', async () => {
    const t = await queueBundle({
      fetch: async (_name, { clock, signal }) => clock.sleep(60 * MINUTE_MS, signal),
    });
    t.fetch('a');
    await t.clock.advance(0);
    expect(t.queue.cancelJob(Number(t.row('fetch:a').id))).toMatchObject({ now: 'stopping' });
    await t.queue.whenIdle();
    expect(t.row('fetch:a')).toMatchObject({ status: 'cancelled', lease_owner: null });
    await t.clock.advance(24 * 60 * MINUTE_MS);
    expect(t.begun).toEqual(['a']);
  });
});

describe('the barrier', () => {
  test('fires once, in the transaction of whatever ended last, however that ended', async () => {
    const fired: { unfinished: number }[] = [];
    const t = await queueBundle({
      concurrency: 3,
      fetch: async (name) => {
        if (name === 'b') throw new PermanentError('gone', 'gone');
      },
      wire: (queue) => {
        // A follow-up of the same group keeps the barrier shut.
        queue.follow(fetchJob, ({ name }) => (name === 'a' ? [fetchJob.request({ name: 'late' })] : []));
        queue.whenSettled([fetchJob.type], (cycleDate) => {
          fired.push({ unfinished: queue.hasUnfinished(cycleDate, [fetchJob.type]) ? 1 : 0 });
          return [sendJob.request({ name: `after-${fired.length}` })];
        });
      },
    });
    t.fetch('a', 'b', 'c');
    await t.queue.whenIdle();
    expect(fired).toEqual([{ unfinished: 0 }]);
    expect(t.begun.filter((name) => name.startsWith('after'))).toEqual(['after-1']);
  });

  test('is not fired by a transaction that was rolled back', async () => {
    let fired = 0;
    const t = await queueBundle({
      wire: (queue) => {
        let isFirst = true;
        queue.follow(fetchJob, () => {
          if (!isFirst) return [];
          isFirst = false;
          throw new Error('a follow-up that throws');
        });
        queue.whenSettled([fetchJob.type], () => {
          fired += 1;
          return [];
        });
      },
    });
    t.fetch('a');
    await t.clock.advance(0);
    expect(t.row('fetch:a')).toMatchObject({ status: 'pending', last_error: 'a follow-up that throws' });
    expect(fired).toBe(0);
    await t.clock.advance(6 * MINUTE_MS);
    expect(t.row('fetch:a').status).toBe('completed');
    expect(fired).toBe(1);
  });
});
