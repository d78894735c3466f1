import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHeldRanges } from './held-ranges.ts';

/** Goal: nothing is held that was not given, and nothing that was given is asked for again. Method: one letter for each byte. */

const SIZE = 40;
const range = fc
  .tuple(fc.nat(SIZE), fc.nat(SIZE))
  .map(([a, b]) => ({ startBytes: Math.min(a, b), endBytes: Math.max(a, b) }));
const given = fc.tuple(range, fc.constantFrom('a', 'b', 'c')).map(([r, giver]) => ({ ...r, giver }));

test('is what a row of letters would be', () => {
  fc.assert(
    fc.property(fc.array(given, { maxLength: 12 }), range, fc.boolean(), (all, asked, drops) => {
      const held = createHeldRanges(all.slice(0, 2));
      for (const one of all.slice(2)) held.add(one);
      let letters = '.'.repeat(SIZE);
      for (const { startBytes, endBytes, giver } of all)
        letters =
          letters.slice(0, startBytes) + giver.repeat(endBytes - startBytes) + letters.slice(endBytes);
      if (drops) {
        held.dropGiver('b');
        letters = letters.replaceAll('b', '.');
      }
      const drawn = held
        .within({ startBytes: 0, endBytes: SIZE })
        .reduce(
          (row, r) =>
            row.slice(0, r.startBytes) + r.giver.repeat(r.endBytes - r.startBytes) + row.slice(r.endBytes),
          '.'.repeat(SIZE),
        );
      expect(drawn).toBe(letters);
      expect(held.bytes()).toBe(letters.replaceAll('.', '').length);
      expect(held.watermark()).toBe(/^[^.]*/.exec(letters)?.[0].length);
      const part = letters.slice(asked.startBytes, asked.endBytes);
      expect(held.missing(asked)).toEqual(
        [...part.matchAll(/\.+/g)].map((gap) => ({
          startBytes: asked.startBytes + gap.index,
          endBytes: asked.startBytes + gap.index + gap[0].length,
        })),
      );
      // Neighbours of one giver are one.
      const list = held.list();
      for (const [at, { startBytes, giver }] of list.entries())
        expect(list[at - 1]?.giver === giver && list[at - 1]?.endBytes === startBytes).toBe(false);
    }),
  );
});
