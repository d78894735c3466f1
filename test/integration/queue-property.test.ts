import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { JobRequest } from '../../src/queue/index.ts';
import { type ClaimedJob, createJobStore } from '../../src/queue/store.ts';
import { withDb } from '../helpers/with-db.ts';

/**
 * Goal: no job is lost, none is done under two live leases, no result of a lost lease counts, attempts stay within bounds.
 * Method: random enqueue, claim, complete, retry, give back, crash and tick against the real table, beside a model that
 * only knows who holds what. The model shares no code with the store.
 */
type Step =
  | { do: 'enqueue'; key: number }
  | { do: 'claim'; owner: number; limit: number }
  | { do: 'complete' | 'retry' | 'giveBack' | 'fail'; pick: number }
  | { do: 'crash'; owner: number }
  | { do: 'tick'; ms: number };

const LEASE_MS = 100;
const OWNERS = ['a', 'b', 'c'];

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('enqueue' as const), key: fc.nat(2) }),
  fc.record({ do: fc.constant('claim' as const), owner: fc.nat(2), limit: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: fc.constantFrom('complete', 'retry', 'giveBack', 'fail'), pick: fc.nat(20) }),
  fc.record({ do: fc.constant('crash' as const), owner: fc.nat(2) }),
  fc.record({ do: fc.constant('tick' as const), ms: fc.integer({ min: 1, max: 80 }) }),
);

const request = (key: number): JobRequest => ({
  type: 'work',
  uniqueKey: `work:${key}`,
  input: { key },
  maxAttempts: 5,
  priority: 100,
  dumpId: null,
  cycleDate: null,
  delayMs: 0,
});

test('random histories keep every job exactly where the model says it is', () => {
  const db = withDb();
  const store = createJobStore(db);
  fc.assert(
    fc.property(fc.array(step, { minLength: 30, maxLength: 120 }), (steps) => {
      db.sqlite.exec('DELETE FROM job_attempts; DELETE FROM jobs');
      let now = 1_000_000;
      const unfinished = new Set<number>();
      let done = 0;
      let failed = 0;
      /** Every claim anybody still believes in, with the expiry it was given. */
      const believed: { job: ClaimedJob; owner: string; key: number; expiresAt: number; isLive: boolean }[] =
        [];
      const live = (key: number): boolean => believed.some((b) => b.isLive && b.key === key);

      for (const s of steps) {
        if (s.do === 'tick') now += s.ms;
        else if (s.do === 'enqueue') {
          const isNew = store.insert(request(s.key), { now, parentJobId: null });
          expect(isNew).toBe(!unfinished.has(s.key));
          unfinished.add(s.key);
        } else if (s.do === 'claim') {
          const owner = OWNERS[s.owner] as string;
          for (const job of store.claim({ jobType: 'work', limit: s.limit, owner, now, leaseMs: LEASE_MS })) {
            const { key } = JSON.parse(job.params) as { key: number };
            expect(live(key), 'claimed while somebody holds it').toBe(false);
            expect(job.attempt).toBeLessThanOrEqual(job.maxAttempts);
            believed.push({ job, owner, key, expiresAt: now + LEASE_MS, isLive: true });
          }
        } else if (s.do === 'crash') {
          // A new process takes back what the dead one held, and whatever has expired.
          const owner = OWNERS[s.owner] as string;
          store.rescue({ owner, now, running: [] });
          for (const b of believed) if (b.owner !== owner || b.expiresAt < now) b.isLive = false;
        } else {
          const b = believed[s.pick % Math.max(1, believed.length)];
          if (b === undefined) continue;
          const { job, owner } = b;
          const isLast = job.attempt >= job.maxAttempts;
          const wrote =
            s.do === 'complete'
              ? store.complete(job, { owner, now, result: 'null' })
              : s.do === 'fail' || (s.do === 'retry' && isLast)
                ? store.fail(job, { owner, now, error: 'x' })
                : s.do === 'retry'
                  ? store.retry(job, { owner, dueAt: now + 10, error: 'x', cursor: null })
                  : store.giveBack(job, { owner, dueAt: now, error: null, cursor: null });
          expect(wrote, 'a result counts exactly while its lease lives').toBe(b.isLive);
          if (!wrote) continue;
          b.isLive = false;
          if (s.do === 'complete') done += 1;
          if (s.do === 'fail' || (s.do === 'retry' && isLast)) failed += 1;
          if (s.do === 'complete' || s.do === 'fail' || (s.do === 'retry' && isLast))
            unfinished.delete(b.key);
        }
        const counts = db.sqlite.prepare('SELECT status, count(*) AS n FROM jobs GROUP BY status').all() as {
          status: string;
          n: number;
        }[];
        const n = (status: string): number => counts.find((c) => c.status === status)?.n ?? 0;
        expect(n('in_progress')).toBe(believed.filter((b) => b.isLive).length);
        expect(n('pending') + n('in_progress')).toBe(unfinished.size);
        expect([n('completed'), n('failed')]).toEqual([done, failed]);
      }
    }),
    { numRuns: 400 },
  );
});
