import { basename, dirname } from 'node:path';
import sevenZip, { type SevenZipModule, type SevenZipModuleFactory } from '7z-wasm';
import { BrokenStructure } from './broken-structure.ts';
import type { TextEnd } from './text-end.ts';

/** Wikimedia's archives have a dictionary of 4 MB; one that asks for more than fits in here is not unpacked. */
const MEMORY_BYTES = 512 * 1024 * 1024;
const PAGE_BYTES = 64 * 1024;
/** How 7-Zip says that it needs more memory than it gets. */
const NO_MEMORY = /allocate required memory|not enough memory/i;

/** What the types of the package leave out: it is built with Emscripten. */
interface FileStream {
  nfd?: number;
  stream_ops: {
    write(stream: unknown, bytes: Int8Array, offset: number, length: number): number;
  };
}
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
/** Node's types leave it out. */
interface WithWebAssembly {
  WebAssembly: { Memory: { prototype: WasmMemory } };
}
interface NodeFileSystem {
  stream_ops: {
    read(stream: FileStream, bytes: Int8Array, offset: number, length: number, position: number): number;
  };
}
interface Machine {
  FS: Pick<SevenZipModule['FS'], 'mkdir' | 'mount'> & { streams: (FileStream | undefined)[] };
  NODEFS: NodeFileSystem & SevenZipModule['NODEFS'];
  callMain(args: string[]): number;
}

/**
 * Unpacks a 7z archive to nowhere, with 7-Zip itself, and so compares every member with its CRC. Blocks the thread it runs in
 * for as long as that takes. Memory: the dictionary, and some 20 MB.
 * @param file `readAt` reads from an open file, as `readSync` does
 * @param end gets the unpacked text
 * @throws BrokenStructure, and what reading the file throws
 */
export async function unpackSevenZip(
  { path, readAt }: { path: string; readAt(fd: number, target: Uint8Array, position: number): number },
  end: TextEnd,
  onProgress: (checkedBytes: number) => void,
): Promise<void> {
  limitMemory();
  const complaints: string[] = [];
  const machine = (await (sevenZip as unknown as SevenZipModuleFactory)({
    // Somebody who could be asked for a password does not exist.
    stdin: () => null as unknown as number,
    print: () => {},
    printErr: (line) => void (line.trim() === '' || complaints.push(line.trim())),
  })) as unknown as Machine;
  const trouble = readWith(machine, readAt, onProgress);
  writeTo(machine, end);
  machine.FS.mkdir('/archive');
  machine.FS.mount(machine.NODEFS, { root: dirname(path) }, '/archive');
  const code = machine.callMain(['e', '-t7z', '-so', '-bd', '-spd', '-pnone', `/archive/${basename(path)}`]);
  // That a disk fails says nothing about the archive.
  if (trouble.error !== null) throw trouble.error;
  const what = complaints.join(' ').replaceAll('/archive/', '') || `7-Zip ended with ${code}`;
  if (code !== 0 && NO_MEMORY.test(what))
    throw new Error(`unpacking needs more than ${MEMORY_BYTES} bytes of memory: ${what}`);
  if (code !== 0) throw new BrokenStructure(`the archive cannot be unpacked: ${what}`);
}

/** The memory of WebAssembly counts in no limit of a thread, and an archive says by itself how much it wants. */
function limitMemory(): void {
  const { prototype } = (globalThis as unknown as WithWebAssembly).WebAssembly.Memory;
  const { grow } = prototype;
  prototype.grow = function (this: WasmMemory, pages: number): number {
    if (this.buffer.byteLength + pages * PAGE_BYTES > MEMORY_BYTES)
      throw new RangeError('the limit is reached');
    return grow.call(this, pages);
  };
}

/** Reads as it did, but keeps errors, of which 7-Zip tells only that there was one. */
function readWith(
  machine: Machine,
  readAt: (fd: number, target: Uint8Array, position: number) => number,
  onProgress: (checkedBytes: number) => void,
): { error: unknown } {
  const trouble: { error: unknown } = { error: null };
  let readBytes = 0;
  const ops = machine.NODEFS.stream_ops;
  const { read } = ops;
  ops.read = (stream, bytes, offset, length, position) => {
    if (length === 0) return 0;
    let count: number;
    try {
      const target = new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length);
      count = readAt(stream.nfd as number, target, position);
    } catch (error) {
      trouble.error ??= error;
      // Fails in the same way, in its own words.
      return read(stream, bytes, offset, length, position);
    }
    // The header, which is read first, lies at the end: what counts is how much was read.
    readBytes += count;
    onProgress(readBytes);
    return count;
  };
  return trouble;
}

/** What would go to the standard output is only looked at. */
function writeTo(machine: Machine, end: TextEnd): void {
  const output = machine.FS.streams[1];
  if (output === undefined) throw new Error('7-Zip has no standard output');
  output.stream_ops = {
    ...output.stream_ops,
    write(_stream, bytes, offset, length) {
      end.add(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length));
      return length;
    },
  };
}
