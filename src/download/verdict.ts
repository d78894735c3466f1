import type { DumpFile, HashAlgorithm, UpstreamHashes, Verification } from '../catalog/index.ts';
import type { FileDigests } from './hashing/index.ts';

/** What upstream says about the bytes of a file. */
export interface UpstreamFacts {
  sizeBytes: number;
  /** Empty: upstream gives none. */
  hashes: UpstreamHashes;
}

/** Every algorithm, the one first that names the verification when several are published. */
const ALGORITHMS: readonly HashAlgorithm[] = ['sha1', 'md5', 'sha256'];

const VERIFICATIONS: Readonly<Record<HashAlgorithm, Verification>> = {
  sha1: 'sha1',
  md5: 'md5',
  // The catalog's own SHA-256 exists for every file; this one is upstream's.
  sha256: 'sha256-upstream',
};

/** The hashes that upstream publishes for a row of `dumps`. */
export function upstreamHashesOf(
  row: Pick<DumpFile, 'upstreamMd5' | 'upstreamSha1' | 'upstreamSha256'>,
): UpstreamHashes {
  const { upstreamMd5: md5, upstreamSha1: sha1, upstreamSha256: sha256 } = row;
  return {
    ...(md5 === null ? {} : { md5 }),
    ...(sha1 === null ? {} : { sha1 }),
    ...(sha256 === null ? {} : { sha256 }),
  };
}

/** True when upstream published any hash. */
export function hasUpstreamHash({ hashes }: UpstreamFacts): boolean {
  return ALGORITHMS.some((algorithm) => hashes[algorithm] !== undefined);
}

/** True unless two statements contradict each other; a hash that only one of them names contradicts nothing. */
export function maySameBytesFit(one: UpstreamFacts, other: UpstreamFacts): boolean {
  return (
    one.sizeBytes === other.sizeBytes &&
    ALGORITHMS.every((algorithm) => {
      const [a, b] = [one.hashes[algorithm], other.hashes[algorithm]];
      return a === undefined || b === undefined || a.toLowerCase() === b.toLowerCase();
    })
  );
}

/** proved: by a published hash; wrong: the first thing that is; unprovable: the size is right, and there is no hash. */
export type Verdict =
  | { kind: 'proved'; verification: Verification }
  | { kind: 'wrong'; what: string; expected: string; got: string }
  | { kind: 'unprovable' };

/** Compares what was read with what upstream published. Every published hash must match. */
export function judge(
  facts: UpstreamFacts,
  read: Pick<FileDigests, HashAlgorithm> & { sizeBytes: number },
): Verdict {
  if (read.sizeBytes !== facts.sizeBytes)
    return { kind: 'wrong', what: 'size', expected: String(facts.sizeBytes), got: String(read.sizeBytes) };
  let verification: Verification | null = null;
  for (const algorithm of ALGORITHMS) {
    const expected = facts.hashes[algorithm];
    if (expected === undefined) continue;
    const got = read[algorithm];
    if (expected.toLowerCase() !== got) return { kind: 'wrong', what: algorithm, expected, got };
    verification ??= VERIFICATIONS[algorithm];
  }
  return verification === null ? { kind: 'unprovable' } : { kind: 'proved', verification };
}
