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

/** Lets so many in at a time, in the order in which they came, and sends away who would wait too long. */
export class Turnstile {
  #free: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number, waitingMax: number) {
    this.#free = atOnce;
    this.#waitingMax = waitingMax;
  }

  /** @throws Error when too many wait already; what `work` throws */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else if (this.#waiting.length >= this.#waitingMax) throw new Error('too much is asked for at once');
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

/** Used again rather than allocated: megabytes that come and go make the garbage collector look at everything each time. */
export class Buffers {
  readonly #free: Buffer[] = [];

  /** What is in it is what was there before. */
  take(length: number): Buffer {
    const at = this.#free.findIndex((each) => each.length === length);
    return (at < 0 ? undefined : this.#free.splice(at, 1)[0]) ?? Buffer.allocUnsafeSlow(length);
  }

  /** From the next turn of the event loop on, when all who were just given some of it have copied what they want. */
  giveBack(buffer: Buffer): void {
    setImmediate(() => {
      if (this.#free.length < FREE_BUFFERS_MAX) this.#free.push(buffer);
    });
  }
}

const FREE_BUFFERS_MAX = 8;

/** What all torrents of a thread share, so that fifty of them need no more memory than one. */
export interface ProvenMemory {
  /** Checksums of blocks that were proven once. */
  checksums: RecentlyUsed;
  /** Bytes that were proven and are probably asked for next. */
  hot: RecentlyUsed;
  buffers: Buffers;
  /** A proof holds a whole piece in memory, up to 16 MiB. */
  proofs: Turnstile;
}

/** Enough checksums for 256 GiB of what is asked for most, at 4 bytes for 16 KiB. */
const CHECKSUM_BYTES = 64 * 2 ** 20;
const HOT_BYTES = 64 * 2 ** 20;
const PROOFS_AT_ONCE = 4;
/** A request of 17 bytes makes us read 16 MiB: whoever asks for something of every piece is told no. */
const PROOFS_WAITING = 256;

/** Memory for one thread; the limits are for tests. */
export function createProvenMemory(
  limits: { checksumBytes?: number; hotBytes?: number; proofsAtOnce?: number; proofsWaiting?: number } = {},
): ProvenMemory {
  return {
    checksums: new RecentlyUsed(limits.checksumBytes ?? CHECKSUM_BYTES),
    hot: new RecentlyUsed(limits.hotBytes ?? HOT_BYTES),
    buffers: new Buffers(),
    proofs: new Turnstile(limits.proofsAtOnce ?? PROOFS_AT_ONCE, limits.proofsWaiting ?? PROOFS_WAITING),
  };
}
