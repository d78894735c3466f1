import { setImmediate as nextTurn } from 'node:timers/promises';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Wiki } from '../catalog/index.ts';
import { Interrupted, RetryableError, WikiSeedError } from '../lib/index.ts';
import { networkError } from '../ports/index.ts';
import { KNOWN_VERSION, readStatus, runDateOfStatus } from './dump-status.ts';
import { readIndex } from './index-stream.ts';
import type { KnownRun, Look, ScanEnd, Sighting } from './source.ts';
import type { UpstreamAnswer, Validators } from './upstream.ts';

/** A torn index is read this often before it is done without. */
const INDEX_ATTEMPTS = 3;

/** What `index.json` says of one wanted wiki. */
interface Entry {
  /** null: it has no run, or nothing is listed of it. */
  runDate: string | null;
  /** Its status, packed, and how long it was; only of the run that is looked for. */
  packed: { bytes: Buffer; length: number } | null;
}

/** Everything that a scan needs of `index.json`. */
interface Index {
  entries: ReadonlyMap<string, Entry>;
  listedNames: string[];
  validators: Validators | null;
  /** Some wiki has a run of the looked for date, or a newer one: the index is not one that was left behind. */
  isAlive: boolean;
}

/**
 * Looks at every wiki's newest run in one request. See `DumpSource.scan`.
 * The index is read to its end before the first sighting is told: whoever judges may need the connection it takes, and a torn
 * one is known as such before anything is written down.
 */
export async function* scanIndex(
  base: string,
  look: Look,
  wikis: readonly Wiki[],
  known: (wikiDbName: string) => KnownRun | null,
): AsyncGenerator<Sighting, ScanEnd, void> {
  const url = `${base}/index.json`;
  const answer = await look.upstream.get(url, { signal: look.signal, known: look.scanned });
  const index = answer.kind === 'body' ? await readWhole(answer, url, look, wikis) : null;
  if (answer.kind === 'missing')
    look.log.warn({ url }, 'there is no index.json, so every wiki is asked singly');
  for (const { wikiDbName } of wikis) {
    // Whoever judges a sighting takes its time; pages and leases must not wait for a thousand of them.
    await nextTurn();
    if (look.signal.aborted) throw new Interrupted();
    const before = known(wikiDbName);
    if (answer.kind === 'unchanged') yield sightUnchanged(wikiDbName, before);
    else if (index === null) yield sightWithoutIndex(wikiDbName, before);
    else yield sightEntry(wikiDbName, index, look, before);
  }
  if (answer.kind === 'unchanged') return { validators: look.scanned, isUnchanged: true, listedNames: [] };
  const { validators = null, listedNames = [] } = index ?? {};
  return { validators, isUnchanged: false, listedNames };
}

/** A single look is due where the index never told: an unfinished run of which it showed a newer one, or none. */
function sightUnchanged(wikiDbName: string, before: KnownRun | null): Sighting {
  const isTold =
    before !== null &&
    (before.status !== 'in_progress' || (before.validators === null && before.hasDocument === true));
  return isTold ? { wikiDbName, kind: 'unchanged' } : { wikiDbName, kind: 'ask', isInIndex: null };
}

function sightWithoutIndex(wikiDbName: string, before: KnownRun | null): Sighting {
  if (before?.status === 'absent') return { wikiDbName, kind: 'unchanged' };
  return { wikiDbName, kind: 'ask', isInIndex: null };
}

function sightEntry(
  wikiDbName: string,
  index: Index,
  { runDate, isEarly }: Look,
  before: KnownRun | null,
): Sighting {
  const entry = index.entries.get(wikiDbName);
  if (entry?.packed != null)
    return {
      ...{ wikiDbName, kind: 'document', validators: null },
      document: unpack(entry.packed),
    };
  const newest = entry?.runDate ?? '';
  // Gone, or never made, and not made since: else this very run would stand here.
  if (before?.status === 'absent') return { wikiDbName, kind: 'unchanged' };
  if (before?.status === 'finished' && newest > runDate) return { wikiDbName, kind: 'unchanged' };
  // Believed in the first week, and once; later the wiki is asked, in case its entry is one that was left behind.
  const isNew = before === null || (isEarly && before.hasDocument !== true);
  if (isNew && index.isAlive && newest !== '' && newest < runDate)
    return { wikiDbName, kind: 'not_yet', reason: 'the run has not begun yet' };
  return { wikiDbName, kind: 'ask', isInIndex: entry !== undefined };
}

/** For answers of some kilobytes; zlib's own 128 kB for each of a thousand would be most of the memory in use. */
const PACKED_CHUNK_BYTES = 16 * 1024;

/** A thousand entries wait for their turn; packed they take a fifth. */
function pack(bytes: Buffer): NonNullable<Entry['packed']> {
  const packed = zstdCompressSync(bytes, {
    chunkSize: PACKED_CHUNK_BYTES,
    pledgedSrcSize: bytes.length,
    // Half the time and memory of the default, and as small.
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
  });
  // A copy, because a short answer comes as a view of a whole chunk.
  return { bytes: Buffer.from(packed), length: bytes.length };
}

function unpack({ bytes, length }: NonNullable<Entry['packed']>): string {
  return zstdDecompressSync(bytes, { chunkSize: Math.max(length, 64) }).toString('utf8');
}

/** null: it stays torn and is done without. */
async function readWhole(
  answer: Extract<UpstreamAnswer, { kind: 'body' }>,
  url: string,
  look: Look,
  wikis: readonly Wiki[],
): Promise<Index | null> {
  const wanted = new Set(wikis.map((wiki) => wiki.wikiDbName));
  const entries = new Map<string, Entry>();
  const listedNames: string[] = [];
  const versions = new Map<string, number>();
  let isAlive = false;
  const onEntry = (wikiDbName: string, value: unknown, bytes: Buffer): void => {
    listedNames.push(wikiDbName);
    const status = readStatus(value);
    const runDate = status === null ? null : runDateOfStatus(status, wikiDbName);
    isAlive ||= runDate !== null && runDate >= look.runDate;
    if (!wanted.has(wikiDbName)) return;
    const isLookedFor = runDate === look.runDate;
    if (isLookedFor && status?.version !== KNOWN_VERSION) {
      const version = status?.version ?? 'none';
      versions.set(version, (versions.get(version) ?? 0) + 1);
    }
    entries.set(wikiDbName, { runDate, packed: isLookedFor ? pack(bytes) : null });
  };
  try {
    await readIndex(answer.body, onEntry);
  } catch (error) {
    answer.discard();
    if (look.signal.aborted) throw new Interrupted();
    if (!(error instanceof WikiSeedError)) throw networkError(error, url, look.signal);
    const isTorn = error instanceof RetryableError && error.code === 'torn_index';
    if (!isTorn || look.attempt < INDEX_ATTEMPTS) throw error;
    look.log.warn({ attempt: look.attempt }, 'index.json stays torn, so every wiki is asked singly');
    return null;
  }
  for (const [version, count] of versions)
    look.log.warn(
      { version, wikis: count },
      'index.json is of a version we do not know, and read all the same',
    );
  return { entries, listedNames, validators: answer.validators, isAlive };
}
