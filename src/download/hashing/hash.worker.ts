import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashReply, HashRequest, HashRole } from './protocol.ts';
import { createRoleHasher, type RoleHasher } from './role-hasher.ts';

/**
 * Reads a file behind those who write it, and hashes what it reads: the bytes come from the page cache. Runs only inside a thread
 * that `lane.ts` started.
 */

/** Small enough for the processor's cache, so that the second and third hash of a block do not wait for memory. */
const READ_BYTES = 512 * 1024;
/** Between two looks at what the main thread has to say. */
const TURN_BYTES = 4 * 1024 * 1024;

const port = parentPort;
const role = workerData as HashRole;
const block = Buffer.allocUnsafeSlow(READ_BYTES);

interface Work {
  file: number;
  fd: number;
  hasher: RoleHasher;
  endBytes: number;
  isLast: boolean;
}
let work: Work | null = null;
let isTurning = false;
/** Requests are served one after the other: `begin` waits for its hashes. */
let serving: Promise<void> = Promise.resolve();

const say = (reply: HashReply): void => port?.postMessage(reply);

function drop(): void {
  if (work !== null) closeSync(work.fd);
  work = null;
}

function fail(file: number, error: unknown): void {
  const { code = 'unknown', message } = error as NodeJS.ErrnoException;
  drop();
  say({ kind: 'failed', file, code, message });
}

async function begin(request: HashRequest & { kind: 'begin' }): Promise<void> {
  drop();
  const { file, path } = request;
  const options = { role, library: request.library, pieceLengthBytes: request.pieceLengthBytes };
  let hasher: RoleHasher;
  try {
    hasher = await createRoleHasher({ ...options, from: request.from });
  } catch (error) {
    if (request.from === null) return fail(file, error);
    hasher = await createRoleHasher({ ...options, from: null });
    say({ kind: 'from_zero', file });
  }
  try {
    work = { file, fd: openSync(path, 'r'), hasher, endBytes: 0, isLast: false };
  } catch (error) {
    fail(file, error);
  }
}

/** Hashes a few blocks, then lets messages in. */
function turn(): void {
  isTurning = false;
  if (work === null) return;
  const { file, fd, hasher, endBytes } = work;
  try {
    for (let done = 0; done < TURN_BYTES && hasher.bytes() < endBytes; ) {
      const wanted = Math.min(READ_BYTES, endBytes - hasher.bytes());
      const count = readSync(fd, block, 0, wanted, hasher.bytes());
      if (count === 0)
        throw Object.assign(new Error(`the file ends after ${hasher.bytes()} bytes`), { code: 'short_file' });
      hasher.update(count === READ_BYTES ? block : block.subarray(0, count));
      done += count;
    }
  } catch (error) {
    fail(file, error);
    return;
  }
  const state = hasher.takeState();
  if (state !== null) say({ kind: 'state', file, ...state });
  if (hasher.bytes() < endBytes || !work.isLast) say({ kind: 'at', file, bytes: hasher.bytes() });
  else {
    say({ kind: 'digests', file, ...hasher.digests() });
    drop();
    return;
  }
  if (hasher.bytes() < endBytes) wake();
}

function wake(): void {
  if (isTurning) return;
  isTurning = true;
  setImmediate(turn);
}

async function serve(request: HashRequest): Promise<void> {
  if (request.kind === 'begin') return begin(request);
  if (work?.file !== request.file) return;
  if (request.kind === 'drop') return drop();
  if (request.kind === 'upTo') work.endBytes = request.bytes;
  else work.isLast = true;
  wake();
}

port?.on('message', (request: HashRequest) => {
  serving = serving.then(() => serve(request));
});
