import { type DumpFileId, describeError, isAbort, WikiSeedError } from '../lib/index.ts';
import { DAMAGE_AT_ONCE } from '../monitoring/index.ts';
import { operate } from './daemon.ts';
import type { CliIo } from './io.ts';
import type { LoadedConfig } from './load.ts';

/** What became of the findings of a reading. */
export interface Recorded {
  /** Files that count as damaged now. */
  damaged: ReadonlySet<number>;
  /** Why they could not be recorded, with what to do; null = they were. */
  problem: string | null;
}

/**
 * Tells WikiSeed which files were found damaged, so that they count as no copy: through the running daemon, else in the database,
 * which is locked meanwhile. That it cannot be done is part of the answer: the findings themselves are worth telling.
 */
export async function recordDamage(
  io: CliIo,
  loaded: LoadedConfig,
  found: readonly { id: DumpFileId; sha1: string; verifiedAt: number | null }[],
): Promise<Recorded> {
  const damaged = new Set<number>();
  const files = found.map(({ id, sha1, verifiedAt }) => ({ id, sha1, verifiedAt }));
  try {
    if (files.length > 0)
      await operate(io, loaded, async ({ actions }) => {
        for (let from = 0; from < files.length; from += DAMAGE_AT_ONCE) {
          const answer = await actions.recordDamage(files.slice(from, from + DAMAGE_AT_ONCE));
          for (const id of answer.damaged) damaged.add(id);
        }
      });
    return { damaged, problem: null };
  } catch (error) {
    if (isAbort(error) || io.signal.aborted) throw error;
    const hint = error instanceof WikiSeedError && error.hint !== undefined ? ` ${error.hint}` : '';
    return { damaged, problem: `${describeError(error)}.${hint}` };
  }
}
