/**
 * Orders strings by the bytes of their UTF-8 form: the same everywhere, whatever the locale.
 * The order of files is part of the infohash.
 */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
