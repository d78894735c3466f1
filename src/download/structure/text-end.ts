import { BrokenStructure, type UnpackedSink } from '../../lib/containers/broken-structure.ts';

/** So many bytes of the unpacked text are kept: more than any ending with the line ends behind it. */
const END_BYTES = 64;

/** The last bytes of a text that comes in pieces. */
export interface TextEnd extends UnpackedSink {
  /** As Latin-1: the text may begin in the middle of a character. */
  text(): string;
}

/** See `TextEnd`. */
export function createTextEnd(): TextEnd {
  const ring = new Uint8Array(END_BYTES);
  let count = 0;
  const addByte = (byte: number): void => {
    ring[count % END_BYTES] = byte;
    count += 1;
  };
  return {
    add(bytes) {
      for (const byte of bytes.subarray(Math.max(0, bytes.length - END_BYTES))) addByte(byte);
    },
    text() {
      const start = count % END_BYTES;
      const bytes =
        count < END_BYTES ? ring.subarray(0, count) : [...ring.subarray(start), ...ring.subarray(0, start)];
      return Buffer.from(bytes).toString('latin1');
    },
  };
}

/**
 * What the unpacked text of a file ends with, by its name; null when nothing can be said. Every part of a file that is split is
 * a document of its own, and so is a multistream file as a whole.
 */
export function endingOf(name: string): string | null {
  if (!/\.xml(?:-p\d+p\d+)?\.(?:bz2|gz|7z)$/i.test(name)) return null;
  return /-abstract(?:-[a-z-]+)?\d*\.xml/i.test(name) ? '</feed>' : '</mediawiki>';
}

/**
 * A container that is whole may hold a text that is not: what made it was killed, and what packed it came to an orderly end.
 * @throws BrokenStructure
 */
export function assertEnding(end: TextEnd, ending: string): void {
  // The line end behind it may be absent.
  if (!end.text().trimEnd().endsWith(ending))
    throw new BrokenStructure(`the unpacked text does not end with ${ending}`);
}
