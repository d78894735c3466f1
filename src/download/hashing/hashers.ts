import { createHash } from 'node:crypto';
import { createMD5, createSHA1, createSHA256, type IHasher } from 'hash-wasm';
import type { HashLibrary } from './protocol.ts';

/** Algorithms that are computed of every file. */
export type Algorithm = 'md5' | 'sha1' | 'sha256';

/** One running hash. */
export interface Hasher {
  reset(): void;
  update(bytes: Uint8Array): void;
  /** Of all bytes since `reset`, which may go on afterwards. */
  digest(): Buffer;
  /** null where the state cannot be saved. */
  save(): Buffer | null;
  /** @throws Error when it is no state of this very hash and version */
  load(state: Buffer): void;
}

/** A hash at its beginning. */
export async function createHasher(algorithm: Algorithm, library: HashLibrary): Promise<Hasher> {
  return library === 'openssl' ? opensslHasher(algorithm) : wasmHasher(await WASM[algorithm]());
}

const WASM: Readonly<Record<Algorithm, () => Promise<IHasher>>> = {
  md5: createMD5,
  sha1: createSHA1,
  sha256: createSHA256,
};

function opensslHasher(algorithm: Algorithm): Hasher {
  let hash = createHash(algorithm);
  return {
    reset: () => {
      hash = createHash(algorithm);
    },
    update: (bytes) => void hash.update(bytes),
    digest: () => hash.copy().digest(),
    save: () => null,
    load: () => {
      throw new Error('OpenSSL gives no state');
    },
  };
}

function wasmHasher(hash: IHasher): Hasher {
  hash.init();
  return {
    reset: () => void hash.init(),
    update: (bytes) => void hash.update(bytes),
    digest() {
      const state = hash.save();
      const digest = Buffer.from(hash.digest('binary'));
      hash.load(state);
      return digest;
    },
    save: () => Buffer.from(hash.save()),
    load: (state) => void hash.load(state),
  };
}
