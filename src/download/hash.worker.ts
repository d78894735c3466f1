import { createHash, type Hash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { type HashReply, type HashRequest, type HashWorkerData, SLOT_BYTES } from './hash-protocol.ts';

/** Hashes what the main thread put into shared memory. Runs only inside a worker thread started by `hash-lanes.ts`. */

interface Hasher {
  update(bytes: Uint8Array): void;
  digests(): HashReply;
}

function createMd5Hasher(): Hasher {
  const md5 = createHash('md5');
  return {
    update: (bytes) => void md5.update(bytes),
    digests: () => ({ kind: 'digests', role: 'md5', md5: md5.digest('hex') }),
  };
}

/**
 * Whole-file SHA-1 and SHA-256, and the SHA-1 of each piece (BEP 3) counted from the file's own start; the last piece is short.
 * The first piece starts where the file starts, so its hash is a copy of the running whole-file hash: files of one piece
 * are not hashed twice.
 */
function createShaHasher(pieceLengthBytes: number): Hasher {
  const sha1 = createHash('sha1');
  const sha256 = createHash('sha256');
  const pieces: Buffer[] = [];
  let piece: Hash | null = null;
  let leftInPiece = pieceLengthBytes;
  const closePiece = (): void => {
    pieces.push((piece ?? sha1.copy()).digest());
    piece = createHash('sha1');
    leftInPiece = pieceLengthBytes;
  };
  return {
    update(bytes) {
      sha256.update(bytes);
      for (let start = 0; start < bytes.length; ) {
        const part = bytes.subarray(start, start + leftInPiece);
        sha1.update(part);
        piece?.update(part);
        start += part.length;
        leftInPiece -= part.length;
        if (leftInPiece === 0) closePiece();
      }
    },
    digests() {
      if (leftInPiece < pieceLengthBytes) closePiece();
      return {
        kind: 'digests',
        role: 'sha',
        sha1: sha1.digest('hex'),
        sha256: sha256.digest('hex'),
        pieceSha1s: new Uint8Array(Buffer.concat(pieces)),
      };
    },
  };
}

function serve(): void {
  const port = parentPort;
  if (port === null) return;
  const { role, memory } = workerData as HashWorkerData;
  let hasher = createMd5Hasher();
  port.on('message', (request: HashRequest) => {
    if (request.kind === 'begin') {
      hasher = role === 'md5' ? createMd5Hasher() : createShaHasher(request.pieceLengthBytes);
    } else if (request.kind === 'chunk') {
      hasher.update(new Uint8Array(memory, request.slot * SLOT_BYTES, request.sizeBytes));
      port.postMessage({ kind: 'free', slot: request.slot } satisfies HashReply);
    } else {
      port.postMessage(hasher.digests());
    }
  });
}

serve();
