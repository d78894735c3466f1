import { BitReader } from './bit-reader.ts';
import { BrokenStructure, type ByteSource, NOWHERE } from './broken-structure.ts';
import { type Bzip2BlockReader, createBzip2BlockReader } from './bzip2-block.ts';

/** Digits of pi begin a block, digits of its square root end a stream. */
const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;

/**
 * Reads a bzip2 file to its end: every stream (multistream dumps have many thousands), every block with its checksum, the
 * checksum of each stream, and nothing behind the last one. As fast as `bzip2 -t`.
 *
 * Done here and not by a package: of those in the registry unbzip2-stream takes four times as long, seek-bzip lets a file
 * pass that ends where a block ends, and those built on libbz2 need the whole file in memory.
 * @param onProgress called after each block with the bytes read so far
 * @param sink gets the unpacked bytes, of each block before its checksum is known to be right
 * @throws BrokenStructure, and what `source` throws
 */
export function readBzip2(
  source: ByteSource,
  onProgress: (checkedBytes: number) => void,
  sink = NOWHERE,
): void {
  const reader = new BitReader(source);
  const blocks = createBzip2BlockReader(reader, sink);
  if (reader.isDone()) throw new BrokenStructure('the file is empty');
  let soundUpTo = 0;
  do {
    const startedAt = reader.offset;
    soundUpTo = startedAt;
    try {
      readStream(reader, blocks, (checkedBytes) => {
        soundUpTo = checkedBytes;
        onProgress(checkedBytes);
      });
    } catch (error) {
      if (!(error instanceof BrokenStructure)) throw error;
      const told = new BrokenStructure(
        `${error.message} (bzip2 stream that begins at byte ${startedAt}, read up to ${reader.offset})`,
      );
      // A block that was read whole had the right checksum.
      told.where = { startBytes: soundUpTo, endBytes: reader.offset + 1 };
      throw told;
    }
  } while (!reader.isDone());
}

function readStream(
  reader: BitReader,
  blocks: Bzip2BlockReader,
  onProgress: (checkedBytes: number) => void,
): void {
  const level = reader.take(24) === 0x425a68 ? reader.take(8) - 0x30 : 0;
  if (level < 1 || level > 9) throw new BrokenStructure('there are bytes that are no bzip2 stream');
  let combined = 0;
  for (;;) {
    const first = reader.take(24);
    const second = reader.take(24);
    if (first === BLOCK_MAGIC[0] && second === BLOCK_MAGIC[1]) {
      const checksum = blocks.read(level * 100_000);
      combined = (((combined << 1) | (combined >>> 31)) ^ checksum) >>> 0;
      onProgress(reader.offset);
      continue;
    }
    if (first !== END_MAGIC[0] || second !== END_MAGIC[1])
      throw new BrokenStructure('neither a block nor the end of the stream follows');
    if (reader.take32() !== combined) throw new BrokenStructure('the checksum of the stream is wrong');
    reader.alignToByte();
    return;
  }
}
