import fc from 'fast-check';

/** What may stand in JSON where something else was expected. */
const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    2 ** 53,
    1e300,
    '',
    '..',
    '/',
    [],
    {},
    [[]],
    '__proto__',
  ),
  fc.string(),
  fc.integer(),
  fc.constantFrom(
    '../../etc/passwd',
    '/etc/passwd',
    'a/b',
    '.hidden',
    'a\u0000b',
    '-rf',
    'a\\b',
    'done',
    'waiting',
  ),
);

/** A document in which single values, or the names of fields, were replaced by something else. */
export function swapped(document: unknown): fc.Arbitrary<unknown> {
  const swap = fc.record({
    /** Which of all places; evenly, for the first of them is the whole document. */
    at: fc.noBias(fc.nat({ max: 2 ** 30 })),
    value: anything,
    isName: fc.boolean(),
  });
  return fc.array(swap, { minLength: 1, maxLength: 8 }).map((swaps) => {
    const root = { document: structuredClone(document) };
    for (const { at, value, isName } of swaps) {
      const places = placesOf(root);
      const place = places[at % places.length];
      if (place === undefined) continue;
      const { holder, key } = place;
      if (!isName || Array.isArray(holder) || holder === root) {
        set(holder, key, structuredClone(value));
        continue;
      }
      const old = holder[key];
      delete holder[key];
      set(holder, String(value), old);
    }
    return root.document;
  });
}

type Holder = Record<string, unknown>;

/** As JSON.parse does it: a field called `__proto__` is a field. */
function set(holder: Holder, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}

function placesOf(holder: Holder): { holder: Holder; key: string }[] {
  return Object.keys(holder).flatMap((key) => {
    const value = holder[key];
    const inner = typeof value === 'object' && value !== null ? placesOf(value as Holder) : [];
    return [{ holder, key }, ...inner];
  });
}

/** A text of which bytes were flipped, cut out, doubled or put in, or which ends early. */
export function damaged(text: string): fc.Arbitrary<string> {
  const bytes = Buffer.from(text);
  const place = fc.nat({ max: Math.max(0, bytes.length - 1) });
  const edit = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat({ max: 7 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: place, length: fc.nat({ max: 200 }) }),
    fc.record({ kind: fc.constant('double' as const), at: place, length: fc.nat({ max: 200 }) }),
    fc.record({ kind: fc.constant('put' as const), at: place, text: fc.string() }),
    fc.record({ kind: fc.constant('end' as const), at: place }),
  );
  return fc.array(edit, { minLength: 1, maxLength: 6 }).map((edits) => {
    let result = Buffer.from(bytes);
    for (const each of edits) {
      const { at } = each;
      if (each.kind === 'flip' && at < result.length) result[at] = (result[at] as number) ^ (1 << each.bit);
      if (each.kind === 'cut')
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + each.length)]);
      if (each.kind === 'double')
        result = Buffer.concat([result.subarray(0, at + each.length), result.subarray(at)]);
      if (each.kind === 'put')
        result = Buffer.concat([result.subarray(0, at), Buffer.from(each.text), result.subarray(at)]);
      if (each.kind === 'end') result = result.subarray(0, at);
    }
    return result.toString('utf8');
  });
}
