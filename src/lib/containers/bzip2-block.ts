import type { BitReader } from './bit-reader.ts';
import { BrokenStructure, type UnpackedSink } from './broken-structure.ts';

const MAX_CODE_BITS = 20;
const SYMBOLS_PER_GROUP = 50;
const MAX_SYMBOLS = 258;
const RUN_A = 0;
const RUN_B = 1;
/** Codes of up to so many bits, nearly all, are found in one look. */
const FAST_BITS = 10;
const FAST_MASK = (1 << FAST_BITS) - 1;

/** CRC-32 as bzip2 has it: the usual polynomial, most significant bit first. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

/** One Huffman code: a table for short codes, the canonical form for long ones. */
interface Code {
  /** By the next FAST_BITS bits: symbol * 32 + length; 0 = longer than that, or no code. */
  fast: Uint16Array;
  /** By length: the largest code of that length, -1 for none. */
  largest: Int32Array;
  /** By length: what to take from a code to get its place in `symbols`. */
  base: Int32Array;
  /** Sorted by code. */
  symbols: Uint16Array;
}

/** Reads bzip2 blocks, one after the other. */
export interface Bzip2BlockReader {
  /**
   * Reads one block, from behind its magic number on.
   * @param maxBytes 100,000 to 900,000, as the stream's header says
   * @returns the block's checksum, which was found right
   * @throws BrokenStructure
   */
  read(maxBytes: number): number;
}

/** Unpacked bytes are given on in parts of this size. */
const OUTPUT_BYTES = 256 * 1024;
/** After four equal bytes comes how many more of them follow, at most so many. */
const RUN_MAX = 255;

/**
 * Decodes blocks and gives on what comes out. Memory is taken once and serves all blocks of a file, some 4 MB; a block of 900,000 bytes
 * may unpack to 46 MB, which are never held as a whole.
 * @param sink gets the text of a block before its checksum is known to be right; the bytes are only lent
 */
export function createBzip2BlockReader(reader: BitReader, sink: UnpackedSink): Bzip2BlockReader {
  const output = new Uint8Array(OUTPUT_BYTES + RUN_MAX + 1);
  const transform = new Uint32Array(900_000);
  const selectors = new Uint8Array(32768);
  const byteOf = new Uint8Array(256);
  const order = new Uint8Array(256);
  const counts = new Int32Array(256);
  const lengths = new Uint8Array(MAX_SYMBOLS);
  const codes: Code[] = Array.from({ length: 6 }, () => ({
    fast: new Uint16Array(1 << FAST_BITS),
    largest: new Int32Array(MAX_CODE_BITS + 2),
    base: new Int32Array(MAX_CODE_BITS + 2),
    symbols: new Uint16Array(MAX_SYMBOLS),
  }));

  function readTables(): { symbolCount: number; selectorCount: number } {
    const used = reader.take(16);
    let byteCount = 0;
    for (let high = 0; high < 16; high += 1) {
      if ((used & (0x8000 >> high)) === 0) continue;
      const part = reader.take(16);
      for (let low = 0; low < 16; low += 1)
        if ((part & (0x8000 >> low)) !== 0) byteOf[byteCount++] = high * 16 + low;
    }
    if (byteCount === 0) throw new BrokenStructure('a block uses no bytes at all');
    const codeCount = reader.take(3);
    if (codeCount < 2 || codeCount > 6) throw new BrokenStructure('a block has a wrong number of codes');
    const selectorCount = reader.take(15);
    if (selectorCount === 0) throw new BrokenStructure('a block has no selectors');
    for (let code = 0; code < codeCount; code += 1) order[code] = code;
    for (let index = 0; index < selectorCount; index += 1) {
      let place = 0;
      while (reader.take(1) === 1)
        if (++place >= codeCount) throw new BrokenStructure('a selector names a code that is not there');
      const selected = order[place]!;
      order.copyWithin(1, 0, place);
      order[0] = selected;
      selectors[index] = selected;
    }
    const symbolCount = byteCount + 2;
    for (let code = 0; code < codeCount; code += 1) readCode(codes[code]!, symbolCount);
    return { symbolCount, selectorCount };
  }

  function readCode(code: Code, symbolCount: number): void {
    let length = reader.take(5);
    for (let symbol = 0; symbol < symbolCount; symbol += 1) {
      for (;;) {
        if (length < 1 || length > MAX_CODE_BITS)
          throw new BrokenStructure('a code has a length that cannot be');
        if (reader.take(1) === 0) break;
        length += reader.take(1) === 0 ? 1 : -1;
      }
      lengths[symbol] = length;
    }
    code.fast.fill(0);
    let next = 0;
    let place = 0;
    for (let bits = 1; bits <= MAX_CODE_BITS; bits += 1) {
      code.base[bits] = next - place;
      for (let symbol = 0; symbol < symbolCount; symbol += 1) {
        if (lengths[symbol] !== bits) continue;
        code.symbols[place++] = symbol;
        // An impossible set of lengths runs over; the mask keeps it within the table, the checksum finds it.
        if (bits <= FAST_BITS) {
          const first = (next << (FAST_BITS - bits)) & FAST_MASK;
          code.fast.fill(symbol * 32 + bits, first, first + (1 << (FAST_BITS - bits)));
        }
        next += 1;
      }
      code.largest[bits] = next - 1;
      next *= 2;
    }
  }

  /** Huffman codes, runs and move-to-front. Returns how many bytes of `transform` are filled, and counts them by value. */
  function readSymbols(maxBytes: number, symbolCount: number, selectorCount: number): number {
    const { window } = reader;
    const endOfBlock = symbolCount - 1;
    for (let value = 0; value < 256; value += 1) order[value] = value;
    counts.fill(0);
    let length = 0;
    let runLength = 0;
    let runWeight = 1;
    for (let group = 0; group < selectorCount; group += 1) {
      const { fast, largest, base, symbols } = codes[selectors[group]!]!;
      reader.ensure();
      let { position, bits, bitCount } = reader;
      for (let left = SYMBOLS_PER_GROUP; left > 0; left -= 1) {
        while (bitCount <= 24) {
          bits = (bits << 8) | window[position++]!;
          bitCount += 8;
        }
        const entry = fast[(bits >>> (bitCount - FAST_BITS)) & FAST_MASK]!;
        let symbol = entry >> 5;
        let codeBits = entry & 31;
        if (entry === 0) {
          codeBits = FAST_BITS + 1;
          let code = (bits >>> (bitCount - codeBits)) & ((1 << codeBits) - 1);
          while (codeBits <= MAX_CODE_BITS && code > largest[codeBits]!) {
            codeBits += 1;
            code = (bits >>> (bitCount - codeBits)) & ((1 << codeBits) - 1);
          }
          const place = code - base[codeBits]!;
          if (codeBits > MAX_CODE_BITS || place < 0 || place >= symbolCount)
            throw new BrokenStructure('a block holds a code that means nothing');
          symbol = symbols[place]!;
        }
        bitCount -= codeBits;
        if (symbol <= RUN_B) {
          if (runWeight > maxBytes) throw new BrokenStructure('a run is longer than its block');
          runLength += symbol === RUN_A ? runWeight : 2 * runWeight;
          runWeight *= 2;
          continue;
        }
        if (runLength > 0) {
          if (length + runLength > maxBytes) throw new BrokenStructure('a block holds more than it may');
          const value = byteOf[order[0]!]!;
          counts[value]! += runLength;
          transform.fill(value, length, length + runLength);
          length += runLength;
          runLength = 0;
          runWeight = 1;
        }
        if (symbol === endOfBlock) {
          reader.giveBack(position, bits, bitCount);
          return length;
        }
        if (length >= maxBytes) throw new BrokenStructure('a block holds more than it may');
        const place = symbol - 1;
        const front = order[place]!;
        if (place < 24) for (let index = place; index > 0; index -= 1) order[index] = order[index - 1]!;
        else order.copyWithin(1, 0, place);
        order[0] = front;
        const value = byteOf[front]!;
        counts[value]! += 1;
        transform[length++] = value;
      }
      reader.giveBack(position, bits, bitCount);
    }
    throw new BrokenStructure('a block has no end');
  }

  /** Undoes the Burrows-Wheeler transform and the runs of four, gives on what comes out, and computes its checksum. */
  function unpack(origin: number, length: number): number {
    let sum = 0;
    for (let value = 0; value < 256; value += 1) {
      const count = counts[value]!;
      counts[value] = sum;
      sum += count;
    }
    for (let index = 0; index < length; index += 1) {
      const value = transform[index]! & 0xff;
      const place = counts[value]!;
      counts[value] = place + 1;
      transform[place]! |= index << 8;
    }
    let crc = -1;
    let previous = -1;
    let repeated = 0;
    let place = transform[origin]! >>> 8;
    let filled = 0;
    for (let left = length; left > 0; left -= 1) {
      const entry = transform[place]!;
      const value = entry & 0xff;
      place = entry >>> 8;
      if (repeated === 4) {
        output.fill(previous, filled, filled + value);
        filled += value;
        for (let more = value; more > 0; more -= 1) crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ previous]!;
        repeated = 0;
        previous = -1;
      } else {
        repeated = value === previous ? repeated + 1 : 1;
        previous = value;
        output[filled++] = value;
        crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ value]!;
      }
      if (filled < OUTPUT_BYTES) continue;
      sink.add(output.subarray(0, filled));
      filled = 0;
    }
    if (filled > 0) sink.add(output.subarray(0, filled));
    return ~crc >>> 0;
  }
  return {
    read(maxBytes) {
      const expected = reader.take32();
      if (reader.take(1) === 1) throw new BrokenStructure('a block is of a kind that bzip2 no longer writes');
      const origin = reader.take(24);
      const { symbolCount, selectorCount } = readTables();
      const length = readSymbols(maxBytes, symbolCount, selectorCount);
      if (origin >= length) throw new BrokenStructure('a block begins outside itself');
      if (unpack(origin, length) !== expected) throw new BrokenStructure('the checksum of a block is wrong');
      return expected;
    },
  };
}
