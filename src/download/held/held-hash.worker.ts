import { createHash, type Hash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { type HeldHashReply, type HeldHashRequest, SLOT_BYTES, type WholeDigests } from './hash-protocol.ts';

/* The thread that hashes held files while they are read again: md5, sha1, sha256 and the SHA-1 of each piece at once. */

/** One file. */
class HeldHash {
  readonly #pieceLength: number;
  readonly #onPiece: (sha1: Uint8Array | null) => void;
  #whole: { md5: Hash; sha1: Hash; sha256: Hash } | null;
  #piece: Hash | null = null;
  #pieceBytes = 0;

  constructor(pieceLength: number, isWhole: boolean, onPiece: (sha1: Uint8Array | null) => void) {
    this.#pieceLength = pieceLength;
    this.#onPiece = onPiece;
    this.#whole = isWhole
      ? { md5: createHash('md5'), sha1: createHash('sha1'), sha256: createHash('sha256') }
      : null;
  }

  block(bytes: Uint8Array): void {
    this.#whole?.md5.update(bytes);
    this.#whole?.sha1.update(bytes);
    this.#whole?.sha256.update(bytes);
    this.#piece ??= createHash('sha1');
    this.#piece.update(bytes);
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes >= this.#pieceLength) this.#endPiece();
  }

  spoil(): void {
    this.#whole = null;
    this.#piece = null;
    this.#pieceBytes = 0;
    this.#onPiece(null);
  }

  end(): WholeDigests | null {
    this.#endPiece();
    if (this.#whole === null) return null;
    const { md5, sha1, sha256 } = this.#whole;
    return { md5: md5.digest('hex'), sha1: sha1.digest('hex'), sha256: sha256.digest('hex') };
  }

  #endPiece(): void {
    if (this.#piece !== null) this.#onPiece(new Uint8Array(this.#piece.digest()));
    this.#piece = null;
    this.#pieceBytes = 0;
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const memory = workerData as SharedArrayBuffer;
  const say = (reply: HeldHashReply): void => port.postMessage(reply);
  const onPiece = (sha1: Uint8Array | null): void => say({ kind: 'piece', sha1 });
  let hash = new HeldHash(1, false, onPiece);
  port.on('message', (request: HeldHashRequest) => {
    switch (request.kind) {
      case 'begin':
        hash = new HeldHash(request.pieceLength, request.isWhole, onPiece);
        return;
      case 'block':
        hash.block(new Uint8Array(memory, request.slot * SLOT_BYTES, request.sizeBytes));
        say({ kind: 'free', slot: request.slot });
        return;
      case 'spoil':
        hash.spoil();
        return;
      case 'end':
        say({ kind: 'done', digests: hash.end() });
    }
  });
}
