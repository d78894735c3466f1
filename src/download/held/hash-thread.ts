import { Worker } from 'node:worker_threads';
import { Interrupted, RetryableError, threadScript } from '../../lib/index.ts';
import {
  type HeldHashReply,
  type HeldHashRequest,
  SLOT_BYTES,
  SLOT_COUNT,
  type WholeDigests,
} from './hash-protocol.ts';

/** Hashes one file at a time, off the main thread. */
export interface HeldHasher {
  /** `onPiece` is told the SHA-1 of each piece in order, null for a spoilt one, all of them before `finish` resolves. */
  begin(pieceLength: number, options: { isWhole: boolean; onPiece(sha1: Buffer | null): void }): void;
  /** A block to fill, as soon as one is free: this is the back pressure. */
  take(): Promise<{ index: number; bytes: Uint8Array }>;
  /** Hashes the first `sizeBytes` of a block; 0 gives it back. A block may not reach over the end of a piece. */
  submit(index: number, sizeBytes: number): void;
  /** The piece that was begun, or would begin now, cannot be read; the next block begins the one after it. */
  spoil(): void;
  /** Of the whole file; null when `isWhole` was not asked for, or a piece was spoilt. */
  finish(): Promise<WholeDigests | null>;
}

/** Lends hashers, one thread each, started when needed. */
export interface HeldHashers {
  /** @throws Interrupted once stopped */
  use<T>(work: (hasher: HeldHasher) => Promise<T>): Promise<T>;
  /** Ends every thread; running work fails with Interrupted. */
  stop(): Promise<void>;
}

interface OwnedHasher extends HeldHasher {
  isIdle(): boolean;
  end(): Promise<void>;
}

/** One idle thread is kept: tens of thousands of small files must not start as many threads. */
export function createHeldHashers(): HeldHashers {
  const all = new Set<OwnedHasher>();
  let spare: OwnedHasher | null = null;
  let isStopped = false;
  return {
    async use(work) {
      if (isStopped) throw new Interrupted();
      const hasher = spare ?? startHasher();
      spare = null;
      all.add(hasher);
      try {
        return await work(hasher);
      } finally {
        // Work that broke off may have left blocks on the way; such a thread is not lent again.
        if (spare === null && !isStopped && hasher.isIdle()) spare = hasher;
        else {
          all.delete(hasher);
          await hasher.end();
        }
      }
    },
    async stop() {
      isStopped = true;
      spare = null;
      await Promise.all([...all].map((hasher) => hasher.end()));
      all.clear();
    },
  };
}

function startHasher(): OwnedHasher {
  const memory = new SharedArrayBuffer(SLOT_COUNT * SLOT_BYTES);
  const slots = Array.from({ length: SLOT_COUNT }, (_, index) => ({
    index,
    bytes: new Uint8Array(memory, index * SLOT_BYTES, SLOT_BYTES),
  }));
  const free = [...slots];
  const takers: { resolve(slot: (typeof slots)[number]): void; reject(error: Error): void }[] = [];
  let finishing: { resolve(digests: WholeDigests | null): void; reject(error: Error): void } | null = null;
  let onPiece: (sha1: Buffer | null) => void = () => {};
  let isBegun = false;
  let broken: Error | null = null;
  const worker = new Worker(threadScript(import.meta.url, 'held-hash'), {
    workerData: memory,
    execArgv: [],
    name: 'hash-held',
  });
  // Whoever waits for it keeps the process alive; the thread need not.
  worker.unref();
  const post = (request: HeldHashRequest): void => worker.postMessage(request);

  function giveBack(index: number): void {
    const slot = slots[index] as (typeof slots)[number];
    const taker = takers.shift();
    if (taker === undefined) free.push(slot);
    else taker.resolve(slot);
    if (free.length === SLOT_COUNT && finishing === null) worker.unref();
  }

  function fail(error: Error): void {
    broken ??= error;
    for (const taker of takers.splice(0)) taker.reject(broken);
    finishing?.reject(broken);
    finishing = null;
  }

  worker
    .on('message', (reply: HeldHashReply) => {
      if (reply.kind === 'free') {
        giveBack(reply.slot);
        return;
      }
      if (reply.kind === 'piece') {
        onPiece(reply.sha1 === null ? null : Buffer.from(reply.sha1));
        return;
      }
      const waiting = finishing;
      finishing = null;
      isBegun = false;
      worker.unref();
      waiting?.resolve(reply.digests);
    })
    .on('error', (cause) => fail(new RetryableError('hash_worker', 'a hashing thread failed', { cause })))
    .on('exit', () => fail(new Interrupted()));

  return {
    begin(pieceLength, options) {
      isBegun = true;
      onPiece = options.onPiece;
      post({ kind: 'begin', pieceLength, isWhole: options.isWhole });
    },
    take() {
      if (broken !== null) return Promise.reject(broken);
      worker.ref();
      const slot = free.pop();
      if (slot !== undefined) return Promise.resolve(slot);
      return new Promise((resolve, reject) => takers.push({ resolve, reject }));
    },
    submit(index, sizeBytes) {
      if (sizeBytes === 0) giveBack(index);
      else post({ kind: 'block', slot: index, sizeBytes });
    },
    spoil: () => post({ kind: 'spoil' }),
    finish() {
      if (broken !== null) return Promise.reject(broken);
      worker.ref();
      return new Promise((resolve, reject) => {
        finishing = { resolve, reject };
        post({ kind: 'end' });
      });
    },
    isIdle: () => broken === null && !isBegun && free.length === SLOT_COUNT,
    async end() {
      await worker.terminate();
    },
  };
}
