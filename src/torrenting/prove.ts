import type { Arrangement } from './arrangement.ts';
import { type HashedProof, type ProveDeps, proveAndHash } from './prove-and-hash.ts';
import { type Proof, proveSources } from './sources.ts';

/**
 * Proves the files of a torrent, and where it can hashes the pieces with it. A recorded torrent without aligned files is
 * read twice, as it always was: of a large file, a reading that proves it and cuts it up at once keeps one thread busy,
 * two readings keep all of them so.
 * @throws as `proveSources`
 */
export async function prove(
  deps: ProveDeps,
  arrangement: Arrangement,
  { isRecorded }: { isRecorded: boolean },
): Promise<Proof | HashedProof> {
  const isUnpacked = arrangement.rest.some(({ kind }) => kind === 'unpacked');
  if (!isRecorded || isUnpacked || arrangement.aligned.length > 0) return proveAndHash(deps, arrangement);
  const dumps = arrangement.rest.flatMap((file) => (file.kind === 'dump' ? [file.content] : []));
  const totalBytes = dumps.reduce((sum, { dump }) => sum + dump.sizeBytes, 0);
  return proveSources(
    { ...deps, onProgress: (doneBytes) => deps.onProgress?.(doneBytes, totalBytes) },
    dumps,
  );
}
