import { Worker } from 'node:worker_threads';
import { assert, Interrupted, RetryableError } from '../lib/index.ts';
import type { Log } from '../ports/index.ts';
import {
  type HashReply,
  type HashRequest,
  type HashRole,
  type HashWorkerData,
  SLOT_BYTES,
  SLOT_COUNT,
} from './hash-protocol.ts';

/** All digests of one file, from one pass over its bytes. */
export interface FileDigests {
  md5: string;
  sha1: string;
  sha256: string;
  /** SHA-1 of each piece, 20 bytes each; empty for an empty file. */
  pieceSha1s: Buffer;
}

/** A block of shared memory to fill, write and hash. Give it back with `submit` or `drop`. */
export interface Slot {
  readonly index: number;
  /** `SLOT_BYTES` long; shared memory, so it may be written to disk while it is being hashed. */
  readonly bytes: Uint8Array;
}

/** Hashes one file at a time, off the main thread. */
export interface HashLane {
  /** Forgets everything and starts a file. Slots taken before stay valid. */
  begin(pieceLengthBytes: number): void;
  /** Waits until a block is free: this is the back pressure. */
  take(): Promise<Slot>;
  /** Hashes the first `sizeBytes` of the block. It is free again when hashed and when `written` has settled. */
  submit(slot: Slot, sizeBytes: number, written: Promise<unknown>): void;
  /** Gives an unused block back. */
  drop(slot: Slot): void;
  /** Digests of everything submitted since `begin`. */
  finish(): Promise<FileDigests>;
}

/** Worker threads for hashing, kept between files so that ten thousand small files do not start twenty thousand threads. */
export interface HashLanes {
  /** Lends a lane to `work` and takes it back whatever happens. */
  use<T>(work: (lane: HashLane) => Promise<T>): Promise<T>;
  /** Ends every thread; running work fails with Interrupted. */
  stop(): Promise<void>;
}

/** Idle lanes beyond this are ended: each holds two threads and 8 MiB. */
const IDLE_LANES_MAX = 4;

const ROLES: readonly HashRole[] = ['md5', 'sha'];

interface OwnedLane extends HashLane {
  isUsable(): boolean;
  setBusy(isBusy: boolean): void;
  end(): Promise<void>;
}

/** Starts no thread before the first file. */
export function createHashLanes(deps: { log: Log }): HashLanes {
  const idle: OwnedLane[] = [];
  const all = new Set<OwnedLane>();
  let isStopped = false;
  return {
    async use(work) {
      if (isStopped) throw new Interrupted();
      const lane = idle.pop() ?? startLane(deps.log);
      all.add(lane);
      lane.setBusy(true);
      try {
        return await work(lane);
      } finally {
        // Work that broke off may have left blocks on the way; such a lane is not lent again.
        if (lane.isUsable() && !isStopped && idle.length < IDLE_LANES_MAX) {
          lane.setBusy(false);
          idle.push(lane);
        } else {
          all.delete(lane);
          await lane.end();
        }
      }
    },
    async stop() {
      isStopped = true;
      idle.length = 0;
      await Promise.all([...all].map((lane) => lane.end()));
      all.clear();
    },
  };
}

function startLane(log: Log): OwnedLane {
  const memory = new SharedArrayBuffer(SLOT_COUNT * SLOT_BYTES);
  const slots: Slot[] = Array.from({ length: SLOT_COUNT }, (_, index) => ({
    index,
    bytes: new Uint8Array(memory, index * SLOT_BYTES, SLOT_BYTES),
  }));
  const free = [...slots];
  const holdersLeft = new Map<number, number>();
  const takers: { resolve(slot: Slot): void; reject(error: Error): void }[] = [];
  let finishing: {
    digests: Partial<FileDigests>;
    resolve(d: FileDigests): void;
    reject(error: Error): void;
  } | null = null;
  let broken: Error | null = null;

  const workers = ROLES.map(
    (role) =>
      new Worker(new URL('./hash.worker.ts', import.meta.url), {
        workerData: { role, memory } satisfies HashWorkerData,
        execArgv: [],
        name: `hash-${role}`,
      }),
  );
  const post = (request: HashRequest): void => {
    for (const worker of workers) worker.postMessage(request);
  };
  const giveBack = (slot: Slot): void => {
    const taker = takers.shift();
    if (taker === undefined) free.push(slot);
    else taker.resolve(slot);
  };
  const releaseHold = (index: number): void => {
    const left = (holdersLeft.get(index) ?? 0) - 1;
    holdersLeft.set(index, left);
    if (left === 0) giveBack(slots[index]!);
  };
  const fail = (error: Error): void => {
    broken ??= error;
    for (const taker of takers.splice(0)) taker.reject(broken);
    finishing?.reject(broken);
    finishing = null;
  };
  const onReply = (reply: HashReply): void => {
    if (reply.kind === 'free') {
      releaseHold(reply.slot);
      return;
    }
    assert(finishing !== null, 'digests arrived that nobody asked for');
    if (reply.role === 'md5') finishing.digests.md5 = reply.md5;
    else
      Object.assign(finishing.digests, {
        sha1: reply.sha1,
        sha256: reply.sha256,
        pieceSha1s: Buffer.from(reply.pieceSha1s),
      } satisfies Omit<FileDigests, 'md5'>);
    const { md5, sha1, sha256, pieceSha1s } = finishing.digests;
    if (md5 === undefined || sha1 === undefined || sha256 === undefined || pieceSha1s === undefined) return;
    finishing.resolve({ md5, sha1, sha256, pieceSha1s });
    finishing = null;
  };
  for (const worker of workers)
    worker
      .on('message', onReply)
      .on('error', (cause) => {
        log.error({ room: 'download', err: cause }, 'a hashing thread failed');
        fail(new RetryableError('hash_worker', 'a hashing thread failed', { cause }));
      })
      .on('exit', () => fail(new Interrupted()));

  return {
    begin: (pieceLengthBytes) => post({ kind: 'begin', pieceLengthBytes }),
    take() {
      if (broken !== null) return Promise.reject(broken);
      const slot = free.pop();
      if (slot !== undefined) return Promise.resolve(slot);
      return new Promise((resolve, reject) => takers.push({ resolve, reject }));
    },
    submit(slot, sizeBytes, written) {
      // One hold for each worker and one for the write.
      holdersLeft.set(slot.index, workers.length + 1);
      post({ kind: 'chunk', slot: slot.index, sizeBytes });
      const done = (): void => releaseHold(slot.index);
      written.then(done, done);
    },
    drop: giveBack,
    finish() {
      if (broken !== null) return Promise.reject(broken);
      return new Promise((resolve, reject) => {
        finishing = { digests: {}, resolve, reject };
        post({ kind: 'end' });
      });
    },
    isUsable: () => broken === null && finishing === null && free.length === SLOT_COUNT,
    // A thread between files must not keep the process alive; one at work must.
    setBusy: (isBusy) => {
      for (const worker of workers) isBusy ? worker.ref() : worker.unref();
    },
    async end() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
