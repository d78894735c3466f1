import type { ExpectedFile } from '../catalog/index.ts';

/** True when a file that is done has neither hash in the status document: they arrive a little later, job by job. */
export function needsHashes(files: readonly ExpectedFile[]): boolean {
  return files.some((file) => file.upstreamMd5 === null && file.upstreamSha1 === null);
}

/** Reads `<hex><two spaces><file name>` lines; anything else is ignored. */
export function parseSums(text: string, hexDigits: 32 | 40): Map<string, string> {
  const sums = new Map<string, string>();
  const line = new RegExp(`^([0-9a-f]{${hexDigits}})  (\\S+)$`);
  for (const raw of text.split('\n')) {
    const match = line.exec(raw.trimEnd());
    if (match !== null) sums.set(match[2] as string, match[1] as string);
  }
  return sums;
}

/**
 * Fills missing hashes from the run's checksum lists, then from the per-file lists; a hash that is nowhere stays null.
 * @param read text of a file of the run, null when it is not there
 */
export async function addHashes(
  files: readonly ExpectedFile[],
  run: { wikiDbName: string; runDate: string },
  read: (name: string) => Promise<string | null>,
): Promise<ExpectedFile[]> {
  const prefix = `${run.wikiDbName}-${run.runDate}`;
  const sha1s = parseSums((await read(`${prefix}-sha1sums.txt`)) ?? '', 40);
  const md5s = parseSums((await read(`${prefix}-md5sums.txt`)) ?? '', 32);
  const result: ExpectedFile[] = [];
  for (const file of files) {
    let upstreamSha1 = file.upstreamSha1 ?? sha1s.get(file.filename) ?? null;
    const upstreamMd5 = file.upstreamMd5 ?? md5s.get(file.filename) ?? null;
    if (upstreamSha1 === null && upstreamMd5 === null) {
      const own = await read(`sha1sums-${file.filename}.txt`);
      upstreamSha1 = own === null ? null : (parseSums(own, 40).get(file.filename) ?? null);
    }
    result.push({ ...file, upstreamSha1, upstreamMd5 });
  }
  return result;
}
