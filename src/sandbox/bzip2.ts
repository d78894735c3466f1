import { createRequire } from 'node:module';

/**
 * A compressed bzip2 block cut out of its stream, so that it can be spliced into another one at any bit position.
 * `bits` starts at the block magic; only the first `bitLength` bits count. `crc` is the block's own checksum.
 */
export interface Bzip2Block {
  readonly bits: Buffer;
  readonly bitLength: number;
  readonly crc: number;
  /** The block shifted by 0 to 7 bits, made on first use: pool blocks are spliced thousands of times. */
  readonly shifted: (Buffer | undefined)[];
}

/** The compressor: `block` takes 1 to 800,000 bytes (one block), `decompress` the text of a file's first stream. */
export interface Bzip2 {
  block(data: Buffer): Bzip2Block;
  decompress(data: Buffer): Buffer;
}

interface WasmModule {
  then?: unknown;
  onRuntimeInitialized?: () => void;
  compressBZ2(data: Uint8Array, level: number, workFactor: number): { output: Uint8Array; error: number };
  decompressBZ2(data: Uint8Array, small: number): { output: Uint8Array; error: number };
}

const FOOTER_MAGIC = 0x177245385090n;
const BLOCK_HEADER_BITS = 48 + 32;
let loading: Promise<Bzip2> | undefined;

/** Loads the WebAssembly compressor once per process. */
export function loadBzip2(): Promise<Bzip2> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Bzip2> {
  const require = createRequire(import.meta.url);
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.listeners(event as 'uncaughtException'));
  const wasm = (require('libbzip2-wasm') as () => WasmModule)();
  // The loader makes the whole process abort on any rejected promise; a sandbox may not change its host like that.
  events.forEach((event, i) => {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before[i]?.includes(listener)) process.removeListener(event, listener);
    }
  });
  // Its `then` never ends: awaiting the module would wait for ever. It has to go before anything awaits it.
  delete wasm.then;
  await new Promise<void>((resolve) => {
    wasm.onRuntimeInitialized = resolve;
  });
  return {
    block(data) {
      // Level 1 clears 100 kB of tables instead of 900 kB, which is most of the cost of a block of a few hundred bytes.
      const level = data.length < 90_000 ? 1 : 9;
      const { output, error } = wasm.compressBZ2(data, level, 30);
      if (error !== 0) throw new Error(`bzip2 compression failed with code ${error}`);
      return cutBlock(Buffer.from(output));
    },
    decompress(data) {
      const { output, error } = wasm.decompressBZ2(data, 0);
      if (error !== 0) throw new Error(`bzip2 decompression failed with code ${error}`);
      return Buffer.from(output);
    },
  };
}

/** Cuts the only block out of a stream: 32 bits of header, the block, 48 + 32 bits of footer, 0 to 7 bits of padding. */
function cutBlock(stream: Buffer): Bzip2Block {
  const totalBits = stream.length * 8;
  for (let padding = 0; padding < 8; padding += 1) {
    const footerAt = totalBits - padding - 80;
    if (footerAt < 32 + BLOCK_HEADER_BITS || readBits(stream, footerAt, 48) !== FOOTER_MAGIC) continue;
    const crc = stream.readUInt32BE(4 + 6);
    // The stream checksum of a single block is the block's checksum: a difference means there were two blocks.
    if (Number(readBits(stream, footerAt + 48, 32)) !== crc) break;
    const bits = Buffer.from(stream.subarray(4, Math.ceil(footerAt / 8)));
    const bitLength = footerAt - 32;
    const tail = bitLength % 8;
    if (tail > 0) bits[bits.length - 1] = (bits[bits.length - 1] as number) & (0xff << (8 - tail));
    return { bits, bitLength, crc, shifted: [] };
  }
  throw new Error('bzip2 stream does not hold exactly one block');
}

function readBits(data: Buffer, bitOffset: number, count: number): bigint {
  let value = 0n;
  for (let bit = bitOffset; bit < bitOffset + count; bit += 1) {
    value = (value << 1n) | BigInt(((data[bit >> 3] as number) >> (7 - (bit & 7))) & 1);
  }
  return value;
}

function shiftedBits(block: Bzip2Block, by: number): Buffer {
  if (by === 0) return block.bits;
  const known = block.shifted[by];
  if (known) return known;
  const { bits } = block;
  const out = Buffer.alloc(Math.ceil((block.bitLength + by) / 8));
  let carry = 0;
  for (let i = 0; i < out.length; i += 1) {
    const byte = i < bits.length ? (bits[i] as number) : 0;
    out[i] = carry | (byte >> by);
    carry = (byte << (8 - by)) & 0xff;
  }
  // Only large blocks are pool blocks; keeping eight copies of every small one would cost more than shifting again.
  if (bits.length > 2048) block.shifted[by] = out;
  return out;
}

/** Size in bytes of a stream made of blocks with these total bits. */
export function bzip2StreamBytes(blockBits: number): number {
  return Math.ceil((32 + blockBits + 80) / 8);
}

/**
 * Joins blocks into one valid bzip2 stream without compressing anything again: a copy per block.
 * The stream is `BZh9`, the blocks bit by bit, then the footer with the combined checksum (rotate left, then XOR).
 * @yields buffers to write in order; the last one ends the stream
 */
export function* bzip2Stream(blocks: Iterable<Bzip2Block>): Generator<Buffer> {
  yield Buffer.from('BZh9');
  let combined = 0;
  let pending = 0;
  let pendingBits = 0;
  for (const block of blocks) {
    combined = (((combined << 1) | (combined >>> 31)) ^ block.crc) >>> 0;
    const bits = shiftedBits(block, pendingBits);
    const totalBits = pendingBits + block.bitLength;
    const wholeBytes = totalBits >> 3;
    const first = (bits[0] as number) | pending;
    pendingBits = totalBits & 7;
    pending = pendingBits > 0 ? (bits[wholeBytes] as number) : 0;
    yield Buffer.from([first]);
    yield bits.subarray(1, wholeBytes);
  }
  yield footer(combined, pending, pendingBits);
}

function footer(combined: number, pending: number, pendingBits: number): Buffer {
  const bits = (FOOTER_MAGIC << 32n) | BigInt(combined);
  const length = Math.ceil((pendingBits + 80) / 8);
  const value = (BigInt(pending) << BigInt(length * 8 - 8)) | (bits << BigInt(length * 8 - 80 - pendingBits));
  return Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex');
}
