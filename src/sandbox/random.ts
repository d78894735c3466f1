/**
 * A seeded stream of numbers: the same seed gives the same numbers on every machine and Node version.
 * `next` is in [0, 1), `below(n)` a whole number in [0, n), `between(a, b)` a whole number in [a, b] with both ends.
 */
export interface SeededRandom {
  next(): number;
  below(endExclusive: number): number;
  between(first: number, last: number): number;
  pick<T>(items: readonly T[]): T;
}

/** Mixes a text into four 32-bit words (FNV-1a with a different start per word), to seed the generator below. */
function seedWords(text: string): [number, number, number, number] {
  const words: [number, number, number, number] = [0x811c9dc5, 0x9e3779b9, 0x85ebca6b, 0xc2b2ae35];
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    for (let w = 0; w < 4; w += 1) words[w] = Math.imul((words[w] as number) ^ (code + w), 0x01000193);
  }
  return words;
}

/**
 * Makes a generator of the "small fast counting" family with 128 bits of state.
 * @param seed any text; by habit `${seed}/${what}`, so that one part of the data does not shift another
 */
export function seededRandom(seed: string): SeededRandom {
  let [a, b, c, counter] = seedWords(seed);
  const word = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  // The first outputs still resemble the seed; twelve rounds are what the family's author recommends.
  for (let i = 0; i < 12; i += 1) word();
  const next = (): number => word() / 4294967296;
  const below = (endExclusive: number): number => Math.floor(next() * endExclusive);
  return {
    next,
    below,
    between: (first, last) => first + below(last - first + 1),
    pick: (items) => {
      const item = items[below(items.length)];
      if (item === undefined) throw new RangeError('pick from an empty list');
      return item;
    },
  };
}
