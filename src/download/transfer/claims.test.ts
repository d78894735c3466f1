import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/helpers/fake-clock.ts';
import type { ByteSource } from '../sources/types.ts';
import { type Claim, createClaims } from './claims.ts';
import { createHeldRanges } from './held-ranges.ts';

const SIZE = 1000;
const STILL = { monotonicMs: () => 0 };
const ANYBODY = source('anybody', null);

function source(id: string, bytesPerSecond: number | null): ByteSource {
  return { id, kind: 'mirror', url: `http://${id}`, rangesAtOnce: 2, bytesPerSecond };
}

test('whatever order they come in, connections together fetch every byte once', () => {
  const step = fc.record({ pick: fc.nat(3), bytes: fc.integer({ min: 1, max: 300 }), breaks: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 20, max: 400 }),
      (steps, segmentBytes) => {
        const held = createHeldRanges();
        const claims = createClaims({
          sizeBytes: SIZE,
          segmentBytes,
          splitFromBytes: 10,
          held,
          clock: STILL,
        });
        const open: Claim[] = [];
        const written: number[] = Array.from({ length: SIZE }, () => 0);
        const advance = (claim: Claim, bytes: number): void => {
          const end = Math.min(claim.position + bytes, claim.endBytes);
          for (let at = claim.position; at < end; at += 1) written[at]! += 1;
          held.add({ startBytes: claim.position, endBytes: end, giver: 'a' });
          claim.position = end;
        };
        const close = (claim: Claim): void => {
          claims.release(claim);
          open.splice(open.indexOf(claim), 1);
        };
        const open_ = (): void => {
          const claim = open.length < 4 ? claims.take(ANYBODY, segmentBytes) : null;
          if (claim === null) return;
          expect(claim.endBytes).toBeGreaterThan(claim.startBytes);
          expect(claim.endBytes - claim.startBytes).toBeLessThanOrEqual(segmentBytes);
          open.push(claim);
        };
        for (const { pick, bytes, breaks } of steps) {
          open_();
          const claim = open[pick % Math.max(1, open.length)];
          if (claim === undefined) continue;
          advance(claim, bytes);
          if (breaks || claim.position === claim.endBytes) close(claim);
        }
        for (let turns = 0; !claims.isComplete() && turns < 5000; turns += 1) {
          open_();
          for (const claim of [...open]) {
            advance(claim, 17);
            if (claim.position === claim.endBytes) close(claim);
          }
        }
        expect(claims.isComplete()).toBe(true);
        expect(written.every((count) => count === 1)).toBe(true);
      },
    ),
  );
});

test('the rest of the slowest is taken over in part, as long as that is worth a connection', () => {
  const claims = createClaims({
    sizeBytes: 100,
    segmentBytes: 100,
    splitFromBytes: 20,
    held: createHeldRanges(),
    clock: STILL,
  });
  const first = claims.take(ANYBODY, 100);
  expect(first).toMatchObject({ startBytes: 0, endBytes: 100 });
  first!.position = 40;
  expect(claims.take(ANYBODY, 100)).toMatchObject({ startBytes: 70, endBytes: 100 });
  expect(first).toMatchObject({ position: 40, endBytes: 70 });
  expect(claims.take(ANYBODY, 100)).toBeNull();
});

test('all that a slow one has left goes to one that is much faster, once it was seen for a while', async () => {
  const clock = new FakeClock();
  const options = { sizeBytes: 1_000_000, segmentBytes: 500_000, splitFromBytes: 500_000 };
  const claims = createClaims({ ...options, held: createHeldRanges(), clock });
  const [slow, fast] = [source('slow', null), source('fast', 1_000_000)];
  const ofSlow = claims.take(slow, 500_000)!;
  const ofFast = claims.take(fast, 500_000)!;
  ofSlow.position += 29_000;
  await clock.advance(29_000);
  expect(claims.takeOver(fast), 'too early to tell').toBeNull();
  await clock.advance(1000);
  ofSlow.position += 1000;
  ofFast.position += 400_000;
  expect(claims.takeOver(slow), 'its own').toBeNull();
  expect(claims.takeOver(source('other', null)), 'nobody knows how fast').toBeNull();
  expect(claims.takeOver(source('other', 3900)), 'not much faster').toBeNull();
  const taken = claims.takeOver(fast)!;
  expect(taken).toMatchObject({ startBytes: 30_000, endBytes: 500_000, position: 30_000 });
  expect([ofSlow.endBytes, ofSlow.lost.aborted, ofFast.lost.aborted]).toEqual([30_000, true, false]);
  expect(claims.takeOver(source('third', 1e9)), 'over soon, and one that is new').toBeNull();
});

test('what will be over soon is left to whom it belongs', async () => {
  const clock = new FakeClock();
  const options = { sizeBytes: 60_000, segmentBytes: 60_000, splitFromBytes: 60_000 };
  const claims = createClaims({ ...options, held: createHeldRanges(), clock });
  const claim = claims.take(source('slow', null), 60_000)!;
  await clock.advance(31_000);
  claim.position = 31_000;
  expect(claims.takeOver(source('fast', 1e9))).toBeNull();
});
