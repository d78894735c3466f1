import type { ExpectedFile, HashAlgorithm } from '../catalog/index.ts';

const HEX_DIGITS: Readonly<Record<HashAlgorithm, number>> = { md5: 32, sha1: 40, sha256: 64 };

/** One request each: a run with hundreds of files whose hashes are late waits for its next look. */
const MAX_SINGLE_LISTS = 20;

/** True when a file has no hash yet: upstream writes them a little later than the file, job by job. */
export function needsHashes(files: readonly ExpectedFile[]): boolean {
  return files.some(isUnproved);
}

function isUnproved({ hashes }: ExpectedFile): boolean {
  return Object.keys(hashes).length === 0;
}

/** Reads `<hex><two spaces><file name>` lines, by file name. Anything else is ignored, as is a last line without its end. */
export function parseSums(text: string, algorithm: HashAlgorithm): Map<string, string> {
  const sums = new Map<string, string>();
  const line = new RegExp(`^([0-9a-f]{${HEX_DIGITS[algorithm]}}) [ *](\\S+)\\r?$`, 'i');
  for (const raw of text.split('\n').slice(0, -1)) {
    const match = line.exec(raw);
    if (match !== null) sums.set(match[2] as string, (match[1] as string).toLowerCase());
  }
  return sums;
}

/** Reads `{"sha1": {"files": {"<file name>": "<hex>"}}}`, by file name. A torn list is as good as none: the next look reads again. */
export function parseJsonSums(text: string, algorithm: HashAlgorithm): Map<string, string> {
  const sums = new Map<string, string>();
  const hex = new RegExp(`^[0-9a-f]{${HEX_DIGITS[algorithm]}}$`, 'i');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return sums;
  }
  const files = field(field(document, algorithm), 'files');
  if (typeof files !== 'object' || files === null) return sums;
  for (const [filename, hash] of Object.entries(files))
    if (typeof hash === 'string' && hex.test(hash)) sums.set(filename, hash.toLowerCase());
  return sums;
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

/**
 * Gives files without any hash those of the run's checksum lists, else of their own lists; one that is nowhere stays without.
 * Lists are read only while some file still needs them.
 * @param read text of a file of the run, null when it is not there
 */
export async function addHashes(
  files: readonly ExpectedFile[],
  run: { wikiDbName: string; runDate: string },
  read: (name: string) => Promise<string | null>,
): Promise<ExpectedFile[]> {
  const found = new Map<string, ExpectedFile['hashes']>();
  const lacking = (): ExpectedFile[] => files.filter((file) => isUnproved(file) && !found.has(file.filename));
  const take = (sums: ReadonlyMap<string, string>, algorithm: HashAlgorithm): void => {
    for (const { filename } of lacking()) {
      const hash = sums.get(filename);
      if (hash !== undefined) found.set(filename, { [algorithm]: hash });
    }
  };
  // SHA-1 proves more than MD5; JSON is the same list in another form, for when one of them is being rewritten.
  for (const algorithm of ['sha1', 'md5'] as const) {
    const list = `${run.wikiDbName}-${run.runDate}-${algorithm}sums`;
    if (lacking().length > 0) take(parseSums((await read(`${list}.txt`)) ?? '', algorithm), algorithm);
    if (lacking().length > 0) take(parseJsonSums((await read(`${list}.json`)) ?? '', algorithm), algorithm);
  }
  for (const { filename } of lacking().slice(0, MAX_SINGLE_LISTS)) {
    for (const algorithm of ['sha1', 'md5'] as const) {
      if (found.has(filename)) continue;
      const sum = parseSums((await read(`${algorithm}sums-${filename}.txt`)) ?? '', algorithm).get(filename);
      if (sum !== undefined) found.set(filename, { [algorithm]: sum });
    }
  }
  return files.map((file) => {
    const hashes = found.get(file.filename);
    return hashes === undefined ? file : { ...file, hashes };
  });
}
