import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { FileDigests, HashState } from '../hashing/index.ts';
import type { UpstreamFacts } from '../verdict.ts';
import type { GivenRange } from './held-ranges.ts';
import type { Doubt } from './suspects.ts';

/** What is known of the bytes in a part file; everything it names is on stable storage. */
export interface PartState {
  /** What upstream said of the file when its first byte was fetched. */
  facts: UpstreamFacts;
  pieceLengthBytes: number;
  ranges: readonly GivenRange[];
  /** Validators that the sources gave, by source. */
  validators: Readonly<Record<string, string>>;
  hashing: HashState | null;
  /** Of the complete file. */
  digests: FileDigests | null;
  /** How far a repair of the complete file got; null when none was begun. */
  doubts: readonly Doubt[] | null;
}

const count = z.number().int().nonnegative();
const RoleState = z.object({ bytes: count, states: z.array(z.string()), pieceSha1s: z.string() });
const Stored = z.object({
  format: z.literal(1),
  facts: z.object({
    sizeBytes: count,
    hashes: z.object({ md5: z.string(), sha1: z.string(), sha256: z.string() }).partial(),
  }),
  pieceLengthBytes: count,
  givers: z.array(z.string()),
  /** First byte, the byte behind the last, and which of `givers`. */
  ranges: z.array(z.tuple([count, count, count])),
  validators: z.record(z.string(), z.string()),
  hashing: z.object({ md5: RoleState.nullable(), sha: RoleState.nullable() }).nullable(),
  digests: z
    .object({ md5: z.string(), sha1: z.string(), sha256: z.string(), pieceSha1s: z.string() })
    .nullable(),
  doubts: z
    .array(
      z.object({
        ...{ startBytes: count, endBytes: count, giver: z.string() },
        ...{ askedAt: z.array(z.string()), isDisputed: z.boolean() },
      }),
    )
    .nullish(),
});

/** One line of JSON and one with its SHA-256, so that a torn or altered file is told from a whole one. */
export function writePartState(state: PartState): string {
  const givers = [...new Set(state.ranges.map(({ giver }) => giver))];
  const { digests } = state;
  const json = JSON.stringify({
    format: 1,
    facts: state.facts,
    pieceLengthBytes: state.pieceLengthBytes,
    givers,
    ranges: state.ranges.map((range) => [range.startBytes, range.endBytes, givers.indexOf(range.giver)]),
    validators: state.validators,
    hashing: state.hashing,
    digests: digests && { ...digests, pieceSha1s: digests.pieceSha1s.toString('base64') },
    doubts: state.doubts?.map((doubt) => ({ ...doubt })) ?? null,
  } satisfies z.infer<typeof Stored>);
  return `${json}\n${sha256(json)}\n`;
}

/** null for anything that is not exactly what `writePartState` made. */
export function readPartState(text: string): PartState | null {
  const [json = '', checksum, end, ...more] = text.split('\n');
  if (end !== '' || more.length > 0 || checksum !== sha256(json)) return null;
  const stored = Stored.safeParse(JSON.parse(json)).data;
  if (stored === undefined) return null;
  const { givers, digests } = stored;
  const ranges = stored.ranges.map(([startBytes, endBytes, giver]) => ({
    startBytes,
    endBytes,
    giver: givers[giver] ?? 'unknown',
  }));
  return {
    facts: stored.facts as UpstreamFacts,
    pieceLengthBytes: stored.pieceLengthBytes,
    ranges,
    validators: stored.validators,
    hashing: stored.hashing,
    digests: digests && { ...digests, pieceSha1s: Buffer.from(digests.pieceSha1s, 'base64') },
    doubts: stored.doubts ?? null,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
