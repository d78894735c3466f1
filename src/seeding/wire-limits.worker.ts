import type { Wire } from 'webtorrent';

/*
 * What one peer may cost us. bittorrent-protocol takes requests without end, has every one of them read at once and pushes the
 * answers into its stream whether they are taken or not: 680 kB of requests became 5 GB of memory. Here requests wait as requests,
 * and are read when what was read before is on its way.
 */

/** What peers may make us keep; all can be changed for tests. */
export interface WireBounds {
  /** Told to clients that ask (BEP 10 `reqq`); libtorrent asks at most this many unless told otherwise, aria2 fewer. */
  requestsWelcome: number;
  /** Requests of one peer that wait; more are refused. */
  requestsMax: number;
  /** Refusals with no block in between before a peer is sent away. */
  refusalsMax: number;
  /** Everybody asks for 16 KiB, some old ones for 32. */
  blockBytesMax: number;
  /** Of blocks that are read for one peer or that it has not taken yet. */
  bytesPerPeer: number;
  /** The same of all peers of all torrents. */
  bytesOfAll: number;
  /** What a peer may have also when others fill all of that. */
  bytesAlways: number;
}

const BOUNDS: WireBounds = {
  requestsWelcome: 500,
  requestsMax: 1000,
  refusalsMax: 1000,
  blockBytesMax: 2 ** 15,
  bytesPerPeer: 4 * 2 ** 20,
  bytesOfAll: 64 * 2 ** 20,
  bytesAlways: 64 * 2 ** 10,
};

/** Whoever asks for this much means harm; the protocol says to hang up. */
const BLOCK_BYTES_OUTRAGEOUS = 2 ** 17;
/** The longest honest ones are the bitfield of a large torrent and a block. */
const MESSAGE_BYTES_MAX = 2 ** 20;
/** Only the last block of a torrent is shorter, unless somebody asks for less. */
const BLOCK_BYTES_USUAL = 2 ** 14;
/** What BEP 9 gives for one request. */
const METADATA_BYTES = 2 ** 14;
/** A message of few bytes is an object in several lists. */
const OVERHEAD_BYTES = 128;

/** The limits of one thread. */
export interface WireLimits {
  /** Bytes that are read for peers, or that they have not taken yet. */
  readonly heldBytes: number;
  /** Peers that were sent away. */
  readonly sentAway: number;
  /** Bounds a connection from its handshake on; to be called in the torrent's event `wire`. */
  watch(wire: Wire): void;
}

/** Shared by the peers. */
interface Room {
  bounds: WireBounds;
  held: number;
  sentAway: number;
  /** Those that could go on if there were room, longest first. */
  waiting: Set<() => void>;
}

/** Limits for all torrents of a thread. */
export function createWireLimits(bounds: Partial<WireBounds> = {}): WireLimits {
  const room: Room = { bounds: { ...BOUNDS, ...bounds }, held: 0, sentAway: 0, waiting: new Set() };
  return {
    get heldBytes() {
      return room.held;
    },
    get sentAway() {
      return room.sentAway;
    },
    watch(wire) {
      new WatchedWire(wire, room);
    },
  };
}

/** Requests as they wait; strings, because there may be a thousand of each of a thousand peers. */
const keyOf = (...numbers: number[]): string => numbers.join(':');

/** Takes the place of the wire's own list of requests. */
class WatchedWire {
  readonly #wire: Wire;
  readonly #room: Room;
  /** In the order they came: blocks as `piece:offset:length`, parts of the torrent file as `part`. */
  readonly #queue = new Set<string>();
  /** Blocks that are being read; what it holds tells one request from the next for the same. */
  readonly #reading = new Map<string, object>();
  readonly #giveMetadata: (part: number) => void;
  #refusals = 0;
  /** Being read, and read but not taken. */
  #held = 0;
  #untaken = 0;
  #isOver = false;

  constructor(wire: Wire, room: Room) {
    this.#wire = wire;
    this.#room = room;
    this.#giveMetadata = wire.ut_metadata._onRequest.bind(wire.ut_metadata);
    wire.extendedHandshake.reqq = room.bounds.requestsWelcome;
    this.#watchOutgoing();
    this.#watchIncoming();
    for (const event of ['finish', 'end', 'close']) wire.once(event, () => this.#end());
  }

  #watchOutgoing(): void {
    const wire = this.#wire;
    const push = wire.push.bind(wire);
    wire.push = (data) => {
      if (data === null) return push(null);
      if (this.#isOver) return false;
      const kept = this.#isBehindWith(data) ? ownMemory(data) : data;
      this.#untaken += costOf(data.length);
      this.#hold(costOf(data.length));
      // Blocks never get there: it is something else that it makes us say and does not listen to.
      if (this.#untaken > 2 * this.#room.bounds.bytesPerPeer) this.#sendAway();
      return push(kept);
    };
    // Whenever the socket takes some; the stream is piped already, so this changes nothing of when it does.
    wire.on('data', (data: Uint8Array) => {
      if (this.#isOver) return;
      this.#untaken -= costOf(data.length);
      this.#hold(-costOf(data.length));
      this.#goOn();
    });
    const choke = wire.choke.bind(wire);
    wire.choke = () => {
      const isNews = !wire.amChoking;
      choke();
      if (isNews) this.#forgetBlocks();
    };
  }

  /** Blocks are cut from memories of 256 KiB, which live as long as any of their blocks: one who does not read keeps no others' alive. */
  #isBehindWith(data: Uint8Array): boolean {
    const { bytesAlways } = this.#room.bounds;
    const isShort = data.length < BLOCK_BYTES_USUAL;
    return data.buffer.byteLength > 2 * data.length && this.#untaken > (isShort ? 0 : bytesAlways);
  }

  #watchIncoming(): void {
    const wire = this.#wire;
    wire._onRequest = (index, offset, length) => this.#ask(index, offset, length);
    wire.ut_metadata._onRequest = (part) => {
      if (this.#isOver || !Number.isInteger(part) || part < 0) return;
      this.#queue.add(keyOf(part));
      // More parts than there may be.
      if (this.#queue.size > this.#room.bounds.requestsMax) this.#sendAway();
      else this.#goOn();
    };
    wire.on('cancel', (index: number, offset: number, length: number) => {
      const key = keyOf(index, offset, length);
      const isKnown = this.#queue.delete(key) || this.#reading.delete(key);
      // BEP 6: every request is answered, also one that was taken back.
      if (isKnown && wire.hasFast) wire.reject(index, offset, length);
    });
    const onLength = wire._onMessageLength.bind(wire);
    wire._onMessageLength = (buffer) => {
      const length = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength).getUint32(0);
      // It would be gathered until it is complete.
      if (length > MESSAGE_BYTES_MAX) this.#sendAway();
      else onLength(buffer);
    };
  }

  #ask(index: number, offset: number, length: number): void {
    const { requestsMax, blockBytesMax } = this.#room.bounds;
    if (this.#isOver) return;
    const isTooLong = length > blockBytesMax;
    const key = keyOf(index, offset, length);
    // One answer is enough.
    if (this.#queue.has(key) || this.#reading.has(key)) return;
    const isFull = this.#queue.size + this.#reading.size >= requestsMax;
    // Those who do not know refusals would wait for ever.
    if (length > BLOCK_BYTES_OUTRAGEOUS || (isTooLong && !this.#wire.hasFast)) this.#sendAway();
    else if (this.#wire.amChoking || isTooLong || length <= 0 || isFull) this.#refuse(index, offset, length);
    else {
      this.#queue.add(key);
      this.#goOn();
    }
  }

  #refuse(index: number, offset: number, length: number): void {
    this.#refusals += 1;
    if (this.#refusals > this.#room.bounds.refusalsMax) this.#sendAway();
    else if (this.#wire.hasFast) this.#wire.reject(index, offset, length);
  }

  /** Begins with as many requests as there is room for. */
  #goOn = (): void => {
    for (const key of this.#queue) {
      const [index = 0, offset, length = METADATA_BYTES] = key.split(':').map(Number);
      if (!this.#hasRoom(costOf(length))) return;
      this.#queue.delete(key);
      if (offset === undefined) this.#tell(index);
      else this.#read(key, index, offset, length);
    }
  };

  #tell(part: number): void {
    try {
      this.#giveMetadata(part);
    } catch {
      // It asks in a way that it did not say it understands; nobody else would catch that, and the thread would end.
      this.#sendAway();
    }
  }

  #hasRoom(bytes: number): boolean {
    const { bytesPerPeer, bytesOfAll, bytesAlways } = this.#room.bounds;
    const held = this.#held + bytes;
    // One at a time goes on whatever the bounds are.
    if (this.#held === 0 || held <= bytesAlways) return true;
    if (held > bytesPerPeer) return false;
    if (this.#room.held + bytes <= bytesOfAll) return true;
    this.#room.waiting.add(this.#goOn);
    return false;
  }

  #read(key: string, index: number, offset: number, length: number): void {
    const wire = this.#wire;
    const request = {};
    this.#reading.set(key, request);
    this.#hold(costOf(length));
    wire.emit('request', index, offset, length, (error: Error | null, bytes?: Uint8Array) => {
      const isWanted = this.#reading.get(key) === request;
      if (isWanted) this.#reading.delete(key);
      this.#hold(-costOf(length));
      if (isWanted && bytes !== undefined && error === null) {
        this.#refusals = 0;
        wire.piece(index, offset, bytes);
      } else if (isWanted && wire.hasFast) wire.reject(index, offset, length);
      this.#goOn();
    });
  }

  /** Choking takes back all that was asked for; parts of the torrent file are given all the same. */
  #forgetBlocks(): void {
    const blocks = [...this.#reading.keys(), ...this.#queue].filter((key) => key.includes(':'));
    this.#reading.clear();
    for (const key of blocks) {
      this.#queue.delete(key);
      const [index = 0, offset = 0, length = 0] = key.split(':').map(Number);
      if (this.#wire.hasFast) this.#wire.reject(index, offset, length);
    }
  }

  #hold(bytes: number): void {
    const room = this.#room;
    this.#held += bytes;
    room.held += bytes;
    if (bytes > 0) return;
    const enough = room.bounds.bytesOfAll - costOf(room.bounds.blockBytesMax);
    for (const goOn of room.waiting) {
      if (room.held > enough) return;
      room.waiting.delete(goOn);
      goOn();
    }
  }

  #sendAway(): void {
    if (this.#isOver) return;
    this.#room.sentAway += 1;
    this.#end();
    this.#wire.destroy();
  }

  /** What is being read is given up when it has been read. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue.clear();
    this.#reading.clear();
    this.#room.waiting.delete(this.#goOn);
    this.#hold(-this.#untaken);
    this.#untaken = 0;
  }
}

function ownMemory(data: Uint8Array): Uint8Array {
  // Buffer's `slice` would be a view of the same memory.
  return Uint8Array.prototype.slice.call(data);
}

function costOf(bytes: number): number {
  return bytes + OVERHEAD_BYTES;
}
