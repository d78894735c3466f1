import { randomBytes } from 'node:crypto';

/** Source of chance; tests pass a seeded one. */
export interface Random {
  /** 0 <= x < 1 */
  next(): number;
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
}

/** The real thing. */
export function createSystemRandom(): Random {
  return { next: () => Math.random(), hex: (bytes) => randomBytes(bytes).toString('hex') };
}
