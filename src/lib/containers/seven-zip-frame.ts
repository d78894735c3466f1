import { crc32 } from 'node:zlib';
import { BrokenStructure } from './broken-structure.ts';

/** A file that can be read anywhere. */
export interface RandomSource {
  sizeBytes: number;
  /** Fills `target` from `position` on. Fewer bytes than asked are no end of file; 0 is. */
  readAt(target: Uint8Array, position: number): number;
}

const SIGNATURE = Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]);
const START_HEADER_BYTES = 32;
const READ_BYTES = 1024 * 1024;

/**
 * Checks the frame of a 7z archive: the start header with its checksum, and the header at the end, which lies where the start
 * says, ends where the file ends, and has the right checksum. It is written last, so an archive that has it was finished.
 * Takes a moment, and finds what `unpackSevenZip`, which reads all that lies between the two, would only warn of.
 * @throws BrokenStructure, and what `source` throws
 */
export function checkSevenZip(source: RandomSource): void {
  if (source.sizeBytes === 0) throw new BrokenStructure('the file is empty');
  const start = Buffer.alloc(START_HEADER_BYTES);
  if (readFully(source, start, 0) < START_HEADER_BYTES)
    throw new BrokenStructure(`the file ends after ${source.sizeBytes} bytes, in the middle`);
  if (!start.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw new BrokenStructure('the file is no 7z archive');
  if (crc32(start.subarray(12)) !== start.readUInt32LE(8))
    throw new BrokenStructure('the checksum of the start header is wrong');
  const offset = start.readBigUInt64LE(12);
  const size = start.readBigUInt64LE(20);
  if (size === 0n) throw new BrokenStructure('the archive holds nothing');
  const end = BigInt(START_HEADER_BYTES) + offset + size;
  if (end > BigInt(source.sizeBytes))
    throw new BrokenStructure(`the file ends after ${source.sizeBytes} bytes, ${end} are announced`);
  if (end < BigInt(source.sizeBytes))
    throw new BrokenStructure(`there are bytes behind the end at byte ${end}`);
  let position = START_HEADER_BYTES + Number(offset);
  let checksum = 0;
  const part = Buffer.alloc(Math.min(READ_BYTES, Number(size)));
  while (position < source.sizeBytes) {
    const wanted = part.subarray(0, Math.min(part.length, source.sizeBytes - position));
    const count = readFully(source, wanted, position);
    if (count === 0) throw new BrokenStructure(`the file ends after ${position} bytes, in the middle`);
    checksum = crc32(wanted.subarray(0, count), checksum);
    position += count;
  }
  if (checksum !== start.readUInt32LE(28))
    throw new BrokenStructure('the checksum of the header at the end is wrong');
}

/** Returns how many bytes there were. */
function readFully(source: RandomSource, target: Uint8Array, position: number): number {
  let done = 0;
  while (done < target.length) {
    const count = source.readAt(target.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
