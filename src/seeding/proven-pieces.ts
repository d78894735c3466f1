import { crc32 } from 'node:zlib';
import type { Droppable, ProvenMemory } from './proven-memory.ts';

/** What peers ask for at a time. */
const BLOCK_BYTES = 2 ** 14;
/** What is read at a time of a piece that was proven before: peers ask for neighbouring blocks one after the other. */
const WINDOW_BYTES = 2 ** 18;

/** A piece whose bytes are not those of its torrent. */
export class DamagedPieceError extends Error {
  readonly index: number;
  constructor(index: number) {
    super(`piece ${index} is not what the torrent was made from`);
    this.name = 'DamagedPieceError';
    this.index = index;
  }
}

/** Where the pieces come from, and what they must be. */
export interface ProvenPiecesOptions {
  pieceLength: number;
  totalBytes: number;
  /** SHA-1 of each piece, 20 bytes each. */
  sha1s: Uint8Array;
  /** Reads from a position of the torrent until `target` is full. */
  read: (position: number, target: Uint8Array) => Promise<void>;
  memory: ProvenMemory;
  /** Told once for each piece, until it is forgiven. */
  onDamaged: (index: number) => void;
}

/** Proven bytes, from a position of their piece on. */
interface Chunk extends Droppable {
  from: number;
  content: Buffer;
}

/**
 * The pieces of one torrent, of which no byte leaves unproven: the first touch reads the whole piece and compares its SHA-1 with the
 * torrent's; from then on CRC-32 of its blocks tell whether the disk still gives the same. Those are of proven bytes, so they stay
 * right whatever happens to the file.
 */
export class ProvenPieces {
  readonly #options: ProvenPiecesOptions;
  readonly #checksums = new Map<number, Droppable & { crcs: Uint32Array }>();
  /** Whole pieces that were just proven. */
  readonly #pieces = new Map<number, Chunk>();
  readonly #windows = new Map<number, Chunk>();
  readonly #windowsOfPiece: number;
  readonly #proving = new Map<number, Promise<Chunk>>();
  readonly #reading = new Map<number, Promise<Chunk | null>>();
  readonly #damaged = new Set<number>();
  #forgiven = 0;

  constructor(options: ProvenPiecesOptions) {
    this.#options = options;
    this.#windowsOfPiece = Math.ceil(options.pieceLength / WINDOW_BYTES);
  }

  /** Bytes of a piece, the last one is shorter. */
  lengthOf(index: number): number {
    return Math.min(this.#options.pieceLength, this.#options.totalBytes - index * this.#options.pieceLength);
  }

  /**
   * A copy of a range within a piece.
   * @param asker for whom; proofs are made for all in turn
   * @throws DamagedPieceError; what `read` throws
   */
  async read(index: number, offset: number, length: number, asker = ''): Promise<Buffer> {
    // A copy: a slow peer would otherwise keep a whole piece in memory for one of its blocks.
    const target = this.#options.memory.slabs.cut(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const { from, content } = this.#hotAt(index, at) ?? (await this.#load(index, at, asker));
      done += content.copy(target, done, at - from, Math.min(content.length, at - from + length - done));
    }
    return target;
  }

  /**
   * Tries damaged pieces of a range again when they are asked for next, because their files are said to be sound.
   * @returns those
   */
  forgive(first: number, last: number): number[] {
    this.#forgiven += 1;
    const forgiven = [...this.#damaged].filter((index) => index >= first && index <= last);
    for (const index of forgiven) this.#damaged.delete(index);
    return forgiven;
  }

  /** Forgets everything. */
  clear(): void {
    const { hot, checksums } = this.#options.memory;
    for (const entry of [...this.#pieces.values(), ...this.#windows.values()]) hot.remove(entry);
    for (const entry of this.#checksums.values()) checksums.remove(entry);
    for (const map of [this.#pieces, this.#windows, this.#checksums]) map.clear();
  }

  #hotAt(index: number, at: number): Chunk | undefined {
    const chunk = this.#pieces.get(index) ?? this.#windows.get(this.#windowAt(index, at));
    if (chunk !== undefined) this.#options.memory.hot.use(chunk);
    return chunk;
  }

  #windowAt(index: number, at: number): number {
    return index * this.#windowsOfPiece + Math.floor(at / WINDOW_BYTES);
  }

  async #load(index: number, at: number, asker: string): Promise<Chunk> {
    if (this.#damaged.has(index)) throw new DamagedPieceError(index);
    const known = this.#checksums.get(index);
    if (known !== undefined) {
      this.#options.memory.checksums.use(known);
      const window = this.#windowAt(index, at);
      const chunk = await shared(this.#reading, window, () => this.#readWindow(index, window, known.crcs));
      if (chunk !== null) return chunk;
      // Whether the disk is to blame, all of the piece has to say.
    }
    return shared(this.#proving, index, () =>
      this.#options.memory.proofs.pass(this.lengthOf(index), asker, () => this.#prove(index)),
    );
  }

  /** null: the bytes are not those that were proven. */
  async #readWindow(index: number, window: number, crcs: Uint32Array): Promise<Chunk | null> {
    const from = (window % this.#windowsOfPiece) * WINDOW_BYTES;
    const content = this.#options.memory.buffers.take(Math.min(WINDOW_BYTES, this.lengthOf(index) - from));
    await this.#options.read(index * this.#options.pieceLength + from, content);
    const first = from / BLOCK_BYTES;
    if (!checksumsOf(content).every((crc, block) => crc === crcs[first + block])) return null;
    const chunk: Chunk = {
      ...{ from, content, bytes: content.length },
      drop: () => this.#drop(this.#windows, window, content),
    };
    this.#windows.set(window, chunk);
    this.#options.memory.hot.use(chunk);
    return chunk;
  }

  async #prove(index: number): Promise<Chunk> {
    const { sha1s, pieceLength, memory, onDamaged } = this.#options;
    for (;;) {
      const forgiven = this.#forgiven;
      const content = memory.buffers.take(this.lengthOf(index));
      await this.#options.read(index * pieceLength, content);
      // In the pool of threads, so that other peers are served meanwhile.
      const sha1 = await crypto.subtle.digest('SHA-1', content);
      if (Buffer.compare(Buffer.from(sha1), sha1s.subarray(index * 20, index * 20 + 20)) === 0) {
        const chunk: Chunk = {
          ...{ from: 0, content, bytes: content.length },
          drop: () => this.#drop(this.#pieces, index, content),
        };
        this.#remember(index, content);
        this.#pieces.set(index, chunk);
        memory.hot.use(chunk);
        return chunk;
      }
      // Repaired while we read: so these bytes say nothing.
      if (forgiven !== this.#forgiven) continue;
      if (!this.#damaged.has(index)) {
        this.#damaged.add(index);
        onDamaged(index);
      }
      throw new DamagedPieceError(index);
    }
  }

  #drop(from: Map<number, Chunk>, key: number, content: Buffer): void {
    from.delete(key);
    this.#options.memory.buffers.giveBack(content);
  }

  #remember(index: number, content: Buffer): void {
    const { checksums } = this.#options.memory;
    const before = this.#checksums.get(index);
    if (before !== undefined) checksums.remove(before);
    const crcs = checksumsOf(content);
    const entry = { crcs, bytes: crcs.byteLength, drop: () => this.#checksums.delete(index) };
    this.#checksums.set(index, entry);
    checksums.use(entry);
  }
}

function checksumsOf(content: Buffer): Uint32Array {
  const crcs = new Uint32Array(Math.ceil(content.length / BLOCK_BYTES));
  for (let block = 0; block < crcs.length; block += 1)
    crcs[block] = crc32(content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
  return crcs;
}

/** One load for all who want the same meanwhile. */
function shared<T>(running: Map<number, Promise<T>>, key: number, load: () => Promise<T>): Promise<T> {
  const present = running.get(key);
  if (present !== undefined) return present;
  const promise = load().finally(() => running.delete(key));
  running.set(key, promise);
  return promise;
}
