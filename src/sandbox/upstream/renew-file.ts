import { copyFile, readFile, rename, writeFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** An empty stream of its own, which every reader of concatenated bzip2 streams passes over. */
const EMPTY_BZIP2 = Buffer.from('425a683917724538509000000000', 'hex');

/**
 * Writes other bytes with the same content: what a job that ran again leaves behind. The file stays valid for independent
 * tools, and whoever reads the old one keeps it: the new one takes its place by a rename.
 * @param target may be `source` itself
 * @param options.sameSize keeps the size, so that only the hashes differ; a second time undoes the first for bz2 and 7z
 * @throws Error for a file that is neither bz2, gz nor 7z
 */
export async function renewFile(
  source: string,
  target: string,
  options: { sameSize?: boolean | undefined } = {},
): Promise<void> {
  const data = await readFile(source);
  const renewed = options.sameSize === true ? sameSize(data, source) : longer(data, source);
  await writeFile(`${target}.new`, renewed);
  await rename(`${target}.new`, target);
}

/** Copies a file as it is. */
export async function copyWhole(source: string, target: string): Promise<void> {
  await copyFile(source, `${target}.new`);
  await rename(`${target}.new`, target);
}

function longer(data: Buffer, path: string): Buffer {
  if (path.endsWith('.bz2')) return Buffer.concat([data, EMPTY_BZIP2]);
  if (path.endsWith('.gz')) return Buffer.concat([data, emptyGzipMember(data.length)]);
  if (path.endsWith('.7z')) return paddedSevenZip(data);
  throw new Error(`${path} is neither bz2, gz nor 7z`);
}

function sameSize(data: Buffer, path: string): Buffer {
  const out = Buffer.from(data);
  // The block size that a stream announces is an upper limit; blocks made here are smaller than either.
  if (path.endsWith('.bz2')) out[3] = data[3] === 0x39 ? 0x38 : 0x39;
  // A header's time of the original file.
  else if (path.endsWith('.gz')) out.writeUInt32LE((data.readUInt32LE(4) + 1) >>> 0, 4);
  // The format's minor version, which readers ignore.
  else if (path.endsWith('.7z')) out[7] = data[7] === 4 ? 3 : 4;
  else throw new Error(`${path} is neither bz2, gz nor 7z`);
  return out;
}

/** A gzip member without content; its header's time makes every one different. */
function emptyGzipMember(time: number): Buffer {
  const member = Buffer.from('1f8b080000000000000303000000000000000000', 'hex');
  member.writeUInt32LE(time >>> 0, 4);
  return member;
}

/** Moves the header database back by a gap: the start header says where it is, and nothing says that all bytes are used. */
function paddedSevenZip(data: Buffer): Buffer {
  const offset = Number(data.readBigUInt64LE(12));
  const at = 32 + offset;
  const gap = Buffer.alloc(16);
  const start = Buffer.from(data.subarray(0, 32));
  start.writeBigUInt64LE(BigInt(offset + gap.length), 12);
  start.writeUInt32LE(crc32(start.subarray(12, 32)), 8);
  return Buffer.concat([start, data.subarray(32, at), gap, data.subarray(at)]);
}
