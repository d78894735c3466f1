import { Turnstile } from './turnstile.ts';

/** Something that may be dropped when room is needed. */
export interface Droppable {
  readonly bytes: number;
  drop(): void;
}

/** Keeps what was used last within so many bytes. Pure. */
export class RecentlyUsed {
  readonly #maxBytes: number;
  /** Least recently used first: a Set keeps the order of insertion. */
  readonly #entries = new Set<Droppable>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds an entry, or makes it the one used last; drops others, and this one too if it alone is too large. */
  use(entry: Droppable): void {
    if (this.#entries.delete(entry)) {
      this.#entries.add(entry);
      return;
    }
    this.#entries.add(entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return;
      this.remove(oldest);
      oldest.drop();
    }
  }

  /** Takes an entry out, without dropping it. */
  remove(entry: Droppable): void {
    if (this.#entries.delete(entry)) this.#bytes -= entry.bytes;
  }
}

/** Used again rather than allocated: megabytes that come and go make the garbage collector look at everything each time. */
export class Buffers {
  readonly #idleMaxBytes: number;
  /** Given back longest ago first. */
  readonly #free: Buffer[] = [];
  #idleBytes = 0;

  constructor(idleMaxBytes: number) {
    this.#idleMaxBytes = idleMaxBytes;
  }

  /** Of those that nobody uses. */
  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** What is in it is what was there before. */
  take(length: number): Buffer {
    const at = this.#free.findLastIndex((each) => each.length === length);
    const found = at < 0 ? undefined : this.#free.splice(at, 1)[0];
    if (found === undefined) return Buffer.allocUnsafeSlow(length);
    this.#idleBytes -= length;
    return found;
  }

  /** From the next turn of the event loop on, when all who were just given some of it have copied what they want. */
  giveBack(buffer: Buffer): void {
    setImmediate(() => {
      this.#free.push(buffer);
      this.#idleBytes += buffer.length;
      // Lengths that are asked for no more must not keep out those that are.
      while (this.#free.length > FREE_BUFFERS_MAX || this.#idleBytes > this.#idleMaxBytes)
        this.#idleBytes -= this.#free.shift()?.length ?? 0;
    });
  }
}

const FREE_BUFFERS_MAX = 8;

/**
 * Memory for blocks that are given away: one memory for each of them kept the garbage collector busier than everything else. Not
 * Node's own pool: libraries take from that what lives as long as a connection, and each would keep the blocks of others.
 */
export class Slabs {
  readonly #slabBytes: number;
  #slab: Buffer | null = null;
  #used = 0;

  constructor(slabBytes: number) {
    this.#slabBytes = slabBytes;
  }

  /** What is in it is what was there before. */
  cut(length: number): Buffer {
    if (length > this.#slabBytes / 4) return Buffer.allocUnsafeSlow(length);
    if (this.#slab === null || this.#used + length > this.#slabBytes) {
      this.#slab = Buffer.allocUnsafeSlow(this.#slabBytes);
      this.#used = 0;
    }
    const cut = this.#slab.subarray(this.#used, this.#used + length);
    this.#used += length;
    return cut;
  }
}

/** What all torrents of a thread share, so that fifty of them need no more memory than one. */
export interface ProvenMemory {
  /** Checksums of blocks that were proven once. */
  checksums: RecentlyUsed;
  /** Bytes that were proven and are probably asked for next. */
  hot: RecentlyUsed;
  buffers: Buffers;
  /** For what peers are given. */
  slabs: Slabs;
  /** A proof holds a whole piece in memory, up to 64 MiB. */
  proofs: Turnstile;
}

/** Enough checksums for 256 GiB of what is asked for most, at 4 bytes for 16 KiB. */
const CHECKSUM_BYTES = 64 * 2 ** 20;
const HOT_BYTES = 64 * 2 ** 20;
const IDLE_BYTES = 64 * 2 ** 20;
/** Lives as long as any of its blocks. */
const SLAB_BYTES = 2 ** 18;
const PROOFS_AT_ONCE = 4;
const PROOF_BYTES = 128 * 2 ** 20;
/** A request of 17 bytes makes us read a whole piece: whoever asks for something of every piece is told no. */
const PROOFS_WAITING = 256;

/** Memory for one thread; the limits are for tests. */
export function createProvenMemory(
  limits: {
    checksumBytes?: number;
    hotBytes?: number;
    idleBytes?: number;
    proofsAtOnce?: number;
    proofBytes?: number;
    proofsWaiting?: number;
  } = {},
): ProvenMemory {
  return {
    checksums: new RecentlyUsed(limits.checksumBytes ?? CHECKSUM_BYTES),
    hot: new RecentlyUsed(limits.hotBytes ?? HOT_BYTES),
    buffers: new Buffers(limits.idleBytes ?? IDLE_BYTES),
    slabs: new Slabs(SLAB_BYTES),
    proofs: new Turnstile({
      atOnce: limits.proofsAtOnce ?? PROOFS_AT_ONCE,
      bytesAtOnce: limits.proofBytes ?? PROOF_BYTES,
      waitingMax: limits.proofsWaiting ?? PROOFS_WAITING,
    }),
  };
}
