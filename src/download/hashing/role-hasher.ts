import { createHasher, type Hasher } from './hashers.ts';
import type { HashLibrary, HashRole, RoleState } from './protocol.ts';

/** All hashes that one thread computes of a file, from one pass. */
export interface RoleHasher {
  /** Bytes hashed so far. */
  bytes(): number;
  update(bytes: Uint8Array): void;
  /** State at the end of the last whole piece; null when that cannot be saved, or was told before. */
  takeState(): { bytes: number; states: string[]; newPieceSha1s: Uint8Array } | null;
  /** Whole-file digests in hex (md5, or sha1 and sha256), and the SHA-1 of each piece; the last piece is short. */
  digests(): { digests: string[]; pieceSha1s: Uint8Array };
}

/**
 * SHA-1 of each piece (BEP 3) is counted from the file's own start. The first piece starts where the file starts, so its hash is
 * that of the whole file so far: files of one piece are not hashed twice.
 * @throws Error when `from` is of another version of the library
 */
export async function createRoleHasher(options: {
  role: HashRole;
  library: HashLibrary;
  pieceLengthBytes: number;
  from: RoleState | null;
}): Promise<RoleHasher> {
  const { role, library, pieceLengthBytes, from } = options;
  const algorithms = role === 'md5' ? (['md5'] as const) : (['sha1', 'sha256'] as const);
  const wholes: Hasher[] = [];
  for (const algorithm of algorithms) wholes.push(await createHasher(algorithm, library));
  const piece = role === 'sha' ? await createHasher('sha1', library) : null;
  if (from !== null)
    for (const [index, whole] of wholes.entries())
      whole.load(Buffer.from(from.states[index] ?? '', 'base64'));
  const pieces: Buffer[] = from === null ? [] : [Buffer.from(from.pieceSha1s, 'base64')];
  let done = from?.bytes ?? 0;
  let toldPieces = pieces.length;
  let state: { bytes: number; states: string[] } | null = null;

  function endPiece(): void {
    if (piece !== null) {
      pieces.push(done <= pieceLengthBytes ? wholes[0]!.digest() : piece.digest());
      piece.reset();
    }
    const saved = wholes.map((whole) => whole.save()?.toString('base64'));
    if (saved.every((one) => one !== undefined)) state = { bytes: done, states: saved };
  }

  return {
    bytes: () => done,
    update(bytes) {
      for (let start = 0; start < bytes.length; ) {
        const left = pieceLengthBytes - (done % pieceLengthBytes);
        const part = bytes.subarray(start, start + left);
        for (const whole of wholes) whole.update(part);
        if (done >= pieceLengthBytes) piece?.update(part);
        start += part.length;
        done += part.length;
        if (part.length === left) endPiece();
      }
    },
    takeState() {
      if (state === null) return null;
      const taken = { ...state, newPieceSha1s: new Uint8Array(Buffer.concat(pieces.slice(toldPieces))) };
      toldPieces = pieces.length;
      state = null;
      return taken;
    },
    digests() {
      if (piece !== null && done % pieceLengthBytes !== 0)
        pieces.push(done < pieceLengthBytes ? wholes[0]!.digest() : piece.digest());
      return {
        digests: wholes.map((whole) => whole.digest().toString('hex')),
        pieceSha1s: new Uint8Array(Buffer.concat(pieces)),
      };
    },
  };
}
