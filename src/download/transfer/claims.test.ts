import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Claim, createClaims } from './claims.ts';
import { createHeldRanges } from './held-ranges.ts';

const SIZE = 1000;

test('whatever order they come in, connections together fetch every byte once', () => {
  const step = fc.record({ pick: fc.nat(3), bytes: fc.integer({ min: 1, max: 300 }), breaks: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 20, max: 400 }),
      (steps, segmentBytes) => {
        const held = createHeldRanges();
        const claims = createClaims({ sizeBytes: SIZE, segmentBytes, splitFromBytes: 10, held });
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
          const claim = open.length < 4 ? claims.take(segmentBytes) : null;
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
  });
  const first = claims.take(100);
  expect(first).toMatchObject({ startBytes: 0, endBytes: 100 });
  first!.position = 40;
  expect(claims.take(100)).toMatchObject({ startBytes: 70, endBytes: 100 });
  expect(first).toMatchObject({ position: 40, endBytes: 70 });
  expect(claims.take(100)).toBeNull();
});
