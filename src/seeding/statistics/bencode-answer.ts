/**
 * Bencode with keys of raw bytes, one letter for each byte (latin1): the infohashes in a scrape's answer are such keys, and the packages turn them
 * into text, which loses them. Strict, because it comes from the network.
 */
export type Bencoded = number | Buffer | Bencoded[] | Map<string, Bencoded>;

const DEPTH_MAX = 8;
const DIGITS_MAX = 15;

/** @throws Error what is wrong with it */
export function decodeBencode(bytes: Buffer): Bencoded {
  let at = 0;

  const digits = (end: number, allowMinus: boolean): number => {
    const stop = bytes.indexOf(end, at);
    const text = stop < 0 || stop - at > DIGITS_MAX ? '' : bytes.toString('latin1', at, stop);
    if (!/^-?(0|[1-9]\d*)$/.test(text) || text === '-0' || (!allowMinus && text.startsWith('-')))
      throw new Error(`no number at byte ${at}`);
    at = stop + 1;
    return Number(text);
  };
  const string = (): Buffer => {
    const length = digits(0x3a, false);
    if (at + length > bytes.length) throw new Error('it ends too early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const next = (depth: number): Bencoded => {
    if (depth > DEPTH_MAX) throw new Error('it is nested too deep');
    const sign = bytes[at];
    if (sign === undefined) throw new Error('it ends too early');
    if (sign !== 0x69 && sign !== 0x6c && sign !== 0x64) return string();
    at += 1;
    if (sign === 0x69) return digits(0x65, true);
    if (sign === 0x6c) {
      const items: Bencoded[] = [];
      while (bytes[at] !== 0x65) items.push(next(depth + 1));
      at += 1;
      return items;
    }
    const map = new Map<string, Bencoded>();
    while (bytes[at] !== 0x65) {
      const key = string().toString('latin1');
      map.set(key, next(depth + 1));
    }
    at += 1;
    return map;
  };
  const value = next(0);
  // A line end behind it is common and harmless.
  if (bytes.subarray(at).some((byte) => byte !== 0x0a && byte !== 0x0d))
    throw new Error(`something follows after byte ${at}`);
  return value;
}
