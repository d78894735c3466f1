import sevenZip, { type SevenZipModuleFactory } from '7z-wasm';
import { BrokenStructure, NOWHERE } from './broken-structure.ts';
import type { RandomSource } from './seven-zip-frame.ts';

/** Wikimedia's archives have a dictionary of 4 MB; one that asks for more than fits in here is not unpacked. */
const MEMORY_BYTES = 512 * 1024 * 1024;
const PAGE_BYTES = 64 * 1024;
/** How 7-Zip says that it needs more memory than it gets. */
const NO_MEMORY = /allocate required memory|not enough memory/i;
/** Under this name 7-Zip sees the archive. */
const ARCHIVE = '/archive.7z';
/** EIO in Emscripten's own numbers. */
const INPUT_OUTPUT_ERROR = 29;

/** What the types of the package leave out: it is built with Emscripten. */
interface StreamOps {
  read(stream: unknown, bytes: Int8Array, offset: number, length: number, position: number): number;
  write(stream: unknown, bytes: Int8Array, offset: number, length: number): number;
}
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
/** Node's types leave it out. */
interface WithWebAssembly {
  WebAssembly: { Memory: { prototype: WasmMemory } };
}
interface Machine {
  FS: {
    streams: ({ stream_ops: StreamOps } | undefined)[];
    writeFile(path: string, bytes: Uint8Array): void;
    lookupPath(path: string): { node: { usedBytes: number; stream_ops: StreamOps } };
    ErrnoError: new (code: number) => Error;
  };
  callMain(args: string[]): number;
}
/** Errors of the world, of which 7-Zip tells only that there was one. */
interface Trouble {
  error: { cause: unknown } | null;
}

/**
 * Unpacks a 7z archive with 7-Zip itself, all members one after the other, and so compares every member with its CRC. Blocks the thread it
 * runs in for as long as that takes. Memory: the dictionary, and some 20 MB.
 * @param onProgress called with the packed bytes read so far
 * @param sink gets the unpacked bytes, before the checksum of their member is known to be right
 * @throws BrokenStructure, and what `source` and `sink` throw
 */
export async function unpackSevenZip(
  source: RandomSource,
  onProgress: (readBytes: number) => void,
  sink = NOWHERE,
): Promise<void> {
  limitMemory();
  const complaints: string[] = [];
  const machine = (await (sevenZip as unknown as SevenZipModuleFactory)({
    // Somebody who could be asked for a password does not exist.
    stdin: () => null as unknown as number,
    print: () => {},
    printErr: (line) => void (line.trim() === '' || complaints.push(line.trim())),
  })) as unknown as Machine;
  const trouble: Trouble = { error: null };
  const guarded = (work: () => number): number => {
    try {
      return work();
    } catch (cause) {
      trouble.error ??= { cause };
      throw new machine.FS.ErrnoError(INPUT_OUTPUT_ERROR);
    }
  };
  readFrom(machine, source, { guarded, onProgress });
  const output = machine.FS.streams[1];
  if (output === undefined) throw new Error('7-Zip has no standard output');
  output.stream_ops = {
    ...output.stream_ops,
    write: (_stream, bytes, offset, length) =>
      guarded(() => {
        sink.add(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length));
        return length;
      }),
  };
  const code = machine.callMain(['e', '-t7z', '-so', '-bd', '-spd', '-pnone', ARCHIVE]);
  // That a disk fails says nothing about the archive.
  if (trouble.error !== null) throw trouble.error.cause;
  const what = complaints.join(' ').replaceAll(ARCHIVE, 'it') || `7-Zip ended with ${code}`;
  if (code !== 0 && NO_MEMORY.test(what))
    throw new Error(`unpacking needs more than ${MEMORY_BYTES} bytes of memory: ${what}`);
  if (code !== 0) throw new BrokenStructure(`the archive cannot be unpacked: ${what}`);
}

let isMemoryLimited = false;

/** The memory of WebAssembly counts in no limit of a thread, and an archive says by itself how much it wants. */
function limitMemory(): void {
  if (isMemoryLimited) return;
  isMemoryLimited = true;
  const { prototype } = (globalThis as unknown as WithWebAssembly).WebAssembly.Memory;
  const { grow } = prototype;
  prototype.grow = function (this: WasmMemory, pages: number): number {
    if (this.buffer.byteLength + pages * PAGE_BYTES > MEMORY_BYTES)
      throw new RangeError('the limit is reached');
    return grow.call(this, pages);
  };
}

/** An empty file in the machine's memory that says it is as long as the archive, and reads from there. */
function readFrom(
  machine: Machine,
  source: RandomSource,
  { guarded, onProgress }: { guarded(work: () => number): number; onProgress(readBytes: number): void },
): void {
  machine.FS.writeFile(ARCHIVE, new Uint8Array());
  const { node } = machine.FS.lookupPath(ARCHIVE);
  let readBytes = 0;
  node.usedBytes = source.sizeBytes;
  node.stream_ops = {
    ...node.stream_ops,
    read: (_stream, bytes, offset, length, position) =>
      guarded(() => {
        if (length === 0) return 0;
        const count = source.readAt(
          new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length),
          position,
        );
        // The header, which is read first, lies at the end: what counts is how much was read.
        readBytes += count;
        onProgress(readBytes);
        return count;
      }),
  };
}
