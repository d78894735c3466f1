import { BrokenStructure, type ByteSource } from './broken-structure.ts';

/** Read ahead of the bits that are asked for; disks and the decoder like large blocks. */
const WINDOW_BYTES = 1024 * 1024;

/** A loop that takes bits by itself may go so many bytes on between two calls of `ensure`. */
export const SAFE_RUN_BYTES = 256;

/**
 * Reads bits, most significant first, from a window that moves over the file. The fields are open because the hot loop of
 * the decoder works on copies of them: calls for each symbol would double its time.
 */
export class BitReader {
  /** Bytes of the file from `windowStart` on; beyond `limit` only zeros. */
  readonly window = new Uint8Array(WINDOW_BYTES + SAFE_RUN_BYTES);
  /** Next byte to take, within the window. */
  position = 0;
  /** The low `bitCount` bits, at most 32, were taken from the window and not used yet. */
  bits = 0;
  bitCount = 0;
  private limit = 0;
  private windowStart = 0;
  private isAtEnd = false;
  private readonly source: ByteSource;

  constructor(source: ByteSource) {
    this.source = source;
  }

  /** Offset in the file of the byte that holds the next bit. */
  get offset(): number {
    return this.windowStart + this.position - ((this.bitCount + 7) >> 3);
  }

  /** Moves the window on, so that `SAFE_RUN_BYTES` may be taken without asking; at the end of the file they are zeros. */
  ensure(): void {
    if (this.position + SAFE_RUN_BYTES <= this.limit || this.isAtEnd) return;
    this.window.copyWithin(0, this.position, this.limit);
    this.windowStart += this.position;
    this.limit -= this.position;
    this.position = 0;
    while (this.limit < WINDOW_BYTES) {
      const count = this.source.read(this.window.subarray(this.limit, WINDOW_BYTES));
      if (count === 0) {
        this.isAtEnd = true;
        break;
      }
      this.limit += count;
    }
    this.window.fill(0, this.limit);
  }

  /** Takes over what a loop of its own has done. @throws BrokenStructure */
  giveBack(position: number, bits: number, bitCount: number): void {
    this.position = position;
    this.bits = bits;
    this.bitCount = bitCount;
    if (position > this.limit) this.assertWithin();
  }

  /** @throws BrokenStructure when bits were used that the file does not have */
  private assertWithin(): void {
    if (this.position - (this.bitCount >> 3) > this.limit)
      throw new BrokenStructure(`the file ends after ${this.windowStart + this.limit} bytes, in the middle`);
  }

  /** @param count 1 to 24 */
  take(count: number): number {
    if (this.bitCount < count) {
      this.ensure();
      while (this.bitCount <= 24) {
        this.bits = (this.bits << 8) | this.window[this.position++]!;
        this.bitCount += 8;
      }
    }
    this.bitCount -= count;
    if (this.position > this.limit) this.assertWithin();
    return (this.bits >>> this.bitCount) & ((1 << count) - 1);
  }

  /** 32 bits as an unsigned number. */
  take32(): number {
    const high = this.take(16);
    return (high * 65536 + this.take(16)) >>> 0;
  }

  /** Drops the rest of a byte that was begun. */
  alignToByte(): void {
    this.bitCount -= this.bitCount % 8;
  }

  /** True when every whole byte was used. Only asked when aligned. */
  isDone(): boolean {
    this.ensure();
    return this.isAtEnd && this.position - (this.bitCount >> 3) >= this.limit;
  }
}
