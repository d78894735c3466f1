import type { DumpFile, Verification } from '../catalog/index.ts';
import type { FileDigests } from './hash-lanes.ts';

/** What upstream said about the bytes. */
export type UpstreamFacts = Pick<DumpFile, 'sizeBytes' | 'upstreamSha1' | 'upstreamMd5' | 'upstreamSha256'>;

/** True when upstream published any hash; without one nothing can be proved, so nothing is fetched. */
export function hasUpstreamHash(row: UpstreamFacts): boolean {
  return row.upstreamSha1 !== null || row.upstreamMd5 !== null || row.upstreamSha256 !== null;
}

/** Proved, or the first thing that is wrong with the bytes. */
export type Verdict =
  | { isProved: true; verification: Verification }
  | { isProved: false; what: string; expected: string; got: string };

/**
 * Compares what was read with what upstream published. Every published hash must match; the strongest one of the usual
 * pair names the verification.
 */
export function judge(row: UpstreamFacts, read: FileDigests & { sizeBytes: number }): Verdict {
  if (read.sizeBytes !== row.sizeBytes)
    return { isProved: false, what: 'size', expected: String(row.sizeBytes), got: String(read.sizeBytes) };
  const pairs = [
    ['sha1', row.upstreamSha1, read.sha1],
    ['md5', row.upstreamMd5, read.md5],
    ['sha256', row.upstreamSha256, read.sha256],
  ] as const;
  for (const [what, expected, got] of pairs) {
    if (expected !== null && expected.toLowerCase() !== got) return { isProved: false, what, expected, got };
  }
  const proof = pairs.find(([, expected]) => expected !== null)?.[0];
  if (proof === undefined) return { isProved: false, what: 'hash', expected: 'any', got: 'none' };
  return { isProved: true, verification: proof === 'sha256' ? 'sha256-upstream' : proof };
}
