/**
 * Orders strings by the bytes of their UTF-8 form: the same everywhere, whatever the locale.
 * The order of files is part of the infohash.
 */
export function byBytes(a: string, b: string): number {
  // Without surrogates the units of UTF-16 are in the same order; for the names of dumps that is always so, and takes a tenth of the time.
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const SURROGATE = /[\ud800-\udfff]/;
