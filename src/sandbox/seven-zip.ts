import { spawn } from 'node:child_process';
import { access, constants, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Finds 7-Zip on the PATH, in the order 7zz, 7z, 7za, 7zr. Returns its full path, or null when there is none. */
export async function findSevenZip(path: string = process.env.PATH ?? ''): Promise<string | null> {
  for (const name of ['7zz', '7z', '7za', '7zr']) {
    for (const folder of path.split(delimiter).filter(Boolean)) {
      const file = join(folder, name);
      try {
        await access(file, constants.X_OK);
        return file;
      } catch {
        // Not here: the next folder may have it.
      }
    }
  }
  return null;
}

/** One run of LZMA2 chunks without its end mark, and the text it stands for. It needs no dictionary from before. */
export interface Lzma2Run {
  readonly packed: Buffer;
  readonly text: Buffer;
}

const SIGNATURE = Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4]);
const SIGNATURE_HEADER_BYTES = 32;
/** Dictionary of 2^25 bytes, what decoders must reserve; larger than any run made here. */
const DICTIONARY_PROPERTY = 26;

/**
 * Compresses texts with the 7-Zip program, all in one start of it, and cuts the LZMA2 data out of its archive.
 * The program's own container is not used, because it carries names and times that differ between its versions.
 * @returns one run per text, in the order given
 */
export async function compressLzma2(program: string, texts: readonly Buffer[]): Promise<Lzma2Run[]> {
  if (texts.length === 0) return [];
  const folder = await mkdtemp(join(tmpdir(), 'wikiseed-7z-'));
  try {
    const names = texts.map((_, i) => String(i).padStart(6, '0'));
    await Promise.all(names.map((name, i) => writeFile(join(folder, name), texts[i] as Buffer)));
    await writeFile(join(folder, 'list'), names.join('\n'));
    // One thread and a fixed method give the same bytes on every machine; -ms=off keeps the texts independent.
    const method = ['-m0=lzma2', '-mx=1', '-md=1m', '-mmt=1', '-mhc=off', '-mf=off', '-ms=off'];
    await run(program, ['a', '-bd', '-t7z', ...method, 'out.7z', '@list'], folder);
    const data = await readFile(join(folder, 'out.7z'));
    const sizes = packedSizes(data);
    if (sizes.length !== texts.length) throw new Error('7-Zip did not keep the texts apart');
    let at = SIGNATURE_HEADER_BYTES;
    return sizes.map((size, i) => {
      // The last byte is the end mark of the LZMA2 stream.
      const packed = Buffer.from(data.subarray(at, at + size - 1));
      at += size;
      return { packed, text: texts[i] as Buffer };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(program: string, args: string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: 'ignore' });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}`)),
    );
  });
}

/** Reads the sizes of the packed streams from the start of an uncompressed header database. */
function packedSizes(data: Buffer): number[] {
  let at = SIGNATURE_HEADER_BYTES + Number(data.readBigUInt64LE(12));
  const byte = (): number => data[at++] as number;
  const number = (): number => {
    const first = byte();
    let value = 0;
    for (let i = 0, mask = 0x80; i < 8; i += 1, mask >>= 1) {
      if ((first & mask) === 0) return value + (first & (mask - 1)) * 2 ** (8 * i);
      value += byte() * 2 ** (8 * i);
    }
    return value;
  };
  const expect = (id: number): void => {
    if (byte() !== id) throw new Error('7-Zip wrote an unexpected header');
  };
  for (const id of [0x01, 0x04, 0x06, 0x00]) expect(id);
  const count = number();
  expect(0x09);
  return Array.from({ length: count }, number);
}

/** Wraps a text in uncompressed LZMA2 chunks of at most 64 KiB; the first one resets the dictionary. */
export function storeLzma2(text: Buffer): Lzma2Run {
  const parts: Buffer[] = [];
  for (let at = 0; at < text.length; at += 65_536) {
    const chunk = text.subarray(at, at + 65_536);
    const size = chunk.length - 1;
    parts.push(Buffer.from([at === 0 ? 0x01 : 0x02, size >> 8, size & 0xff]), chunk);
  }
  return { packed: Buffer.concat(parts), text };
}

/**
 * Joins LZMA2 runs into a 7z archive with one member, as Wikimedia's history archives have.
 * @param memberName the member's name, by custom the archive's without `.7z`
 * @param write takes the parts in order; the first 32 bytes are a gap that the returned signature header fills
 * @returns the signature header, to be written at position 0 once everything else is known
 */
export async function writeSevenZip(
  memberName: string,
  runs: Iterable<Lzma2Run>,
  write: (data: Buffer) => Promise<void>,
): Promise<Buffer> {
  let packedBytes = 0;
  let textBytes = 0;
  let textCrc = 0;
  for (const run of runs) {
    await write(run.packed);
    packedBytes += run.packed.length;
    textBytes += run.text.length;
    textCrc = crc32(run.text, textCrc);
  }
  await write(Buffer.from([0]));
  packedBytes += 1;
  const header = archiveHeader({ memberName, packedBytes, textBytes, textCrc });
  await write(header);
  const start = Buffer.alloc(20);
  start.writeBigUInt64LE(BigInt(packedBytes), 0);
  start.writeBigUInt64LE(BigInt(header.length), 8);
  start.writeUInt32LE(crc32(header), 16);
  return Buffer.concat([SIGNATURE, u32(crc32(start)), start]);
}

interface ArchiveFacts {
  memberName: string;
  packedBytes: number;
  textBytes: number;
  textCrc: number;
}

/** The header database of 7zFormat.txt: one packed stream, one folder with one LZMA2 coder, one named file. */
function archiveHeader({ memberName, packedBytes, textBytes, textCrc }: ArchiveFacts): Buffer {
  const name = Buffer.from(`${memberName}\0`, 'utf16le');
  return Buffer.concat([
    Buffer.from([0x01, 0x04]),
    Buffer.from([0x06, 0x00, 0x01, 0x09]),
    sevenZipNumber(packedBytes),
    Buffer.from([0x00, 0x07, 0x0b, 0x01, 0x00]),
    Buffer.from([0x01, 0x21, 0x21, 0x01, DICTIONARY_PROPERTY]),
    Buffer.from([0x0c]),
    sevenZipNumber(textBytes),
    Buffer.from([0x0a, 0x01]),
    u32(textCrc),
    Buffer.from([0x00, 0x08, 0x00, 0x00]),
    Buffer.from([0x05, 0x01, 0x11]),
    sevenZipNumber(name.length + 1),
    Buffer.from([0x00]),
    name,
    Buffer.from([0x00, 0x00]),
  ]);
}

/** A number in the widest of the format's variable forms (0xff and 8 bytes), or one byte when it is below 128. */
function sevenZipNumber(value: number): Buffer {
  if (value < 0x80) return Buffer.from([value]);
  const out = Buffer.alloc(9, 0xff);
  out.writeBigUInt64LE(BigInt(value), 1);
  return out;
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value >>> 0);
  return out;
}
