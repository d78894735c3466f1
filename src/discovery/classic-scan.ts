import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Wiki } from '../catalog/index.ts';
import { Interrupted, RetryableError, WikiSeedError } from '../lib/index.ts';
import { networkError } from '../ports/index.ts';
import { KNOWN_VERSION, readStatus, runDateOfStatus } from './dump-status.ts';
import { inParts } from './in-parts.ts';
import { readIndex } from './index-stream.ts';
import { isTurn, type KnownRun, type Look, type ScanEnd, type Sighting } from './source.ts';
import type { UpstreamAnswer, Validators } from './upstream.ts';

/** Enough to see that an index without any run of the date is old: upstream begins all wikis within days. */
const SAMPLE_WIKIS = 3;
const LOST_MAX = 3;
const LOST_SHARE_MAX = 0.05;
/** A torn index is read this often before it is done without. */
const INDEX_ATTEMPTS = 3;

/** What `index.json` says of one wanted wiki. */
interface Entry {
  /** null: it has no run, or nothing is listed of it. */
  runDate: string | null;
  /** Its status as it came; only of the run that is looked for. */
  bytes: Buffer | null;
}

/** Everything that a scan needs of `index.json`. */
interface Index {
  entries: Map<string, Entry>;
  listedNames: string[];
  validators: Validators | null;
  /** Some wiki has a run of the looked for date, or a newer one: the index is not one that was left behind. */
  isAlive: boolean;
  /** It names about all wikis that were seen in it before: one that it lacks is really not there. */
  isWhole: boolean;
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
  const mayAsk = index === null ? () => true : await whoIsAsked(index, look, wikis, known);
  for (const { wikiDbName } of wikis) {
    // Whoever judges a sighting takes its time; pages and leases must not wait for a thousand of them.
    await nextTurn();
    if (look.signal.aborted) throw new Interrupted();
    const before = known(wikiDbName);
    if (answer.kind === 'unchanged') yield sightUnchanged(wikiDbName, before);
    else if (index === null) yield sightWithoutIndex(wikiDbName, before);
    else {
      const sighting = sightEntry(wikiDbName, index, look, before, mayAsk);
      // What was told is not needed again, and all of it together is the most that a look holds.
      index.entries.delete(wikiDbName);
      yield sighting;
    }
  }
  if (answer.kind === 'unchanged') return { validators: look.scanned, isUnchanged: true, listedNames: [] };
  const { validators = null, listedNames = [] } = index ?? {};
  return { validators, isUnchanged: false, listedNames };
}

/**
 * Which wikis whose runs have not begun, as the index says, are asked all the same. An index that knows runs of this date is
 * believed, and each wiki asked once a week in case its entry was left behind. Of one that knows none, a few are asked: it may
 * be old as a whole, or upstream is late. Asking all of them would cost two requests for each wiki and day.
 */
async function whoIsAsked(
  index: Index,
  look: Look,
  wikis: readonly Wiki[],
  known: (wikiDbName: string) => KnownRun | null,
): Promise<(wikiDbName: string) => boolean> {
  let isBelieved = index.isAlive;
  await inParts(wikis, ({ wikiDbName }) => {
    isBelieved ||= known(wikiDbName)?.hasDocument === true;
  });
  if (isBelieved) {
    return (wikiDbName) => known(wikiDbName) !== null && isTurn(wikiDbName, look.nowMs);
  }
  let left = SAMPLE_WIKIS;
  return () => left-- > 0;
}

/** A single look is due where the index never told: an unfinished run with a status document of its own. */
function sightUnchanged(wikiDbName: string, before: KnownRun | null): Sighting {
  const isTold = before !== null && (before.status !== 'in_progress' || before.validators === null);
  return isTold ? { wikiDbName, kind: 'unchanged' } : { wikiDbName, kind: 'ask', isInIndex: null };
}

function sightWithoutIndex(wikiDbName: string, before: KnownRun | null): Sighting {
  if (before?.status === 'absent' || before?.status === 'finished') return { wikiDbName, kind: 'unchanged' };
  return { wikiDbName, kind: 'ask', isInIndex: null };
}

function sightEntry(
  wikiDbName: string,
  index: Index,
  { runDate }: Look,
  before: KnownRun | null,
  mayAsk: (wikiDbName: string) => boolean,
): Sighting {
  const entry = index.entries.get(wikiDbName);
  if (entry?.bytes != null)
    return {
      ...{ wikiDbName, kind: 'document', validators: null },
      document: entry.bytes.toString('utf8'),
    };
  const newest = entry?.runDate ?? '';
  // Gone, or never made, and not made since: else this very run would stand here.
  if (before?.status === 'absent') return { wikiDbName, kind: 'unchanged' };
  if (before?.status === 'finished' && newest > runDate) return { wikiDbName, kind: 'unchanged' };
  // The index shows an older run: ours has not begun, or its entry was left behind.
  if (before?.hasDocument !== true && newest !== '' && newest < runDate && !mayAsk(wikiDbName))
    return { wikiDbName, kind: 'not_yet', reason: 'the run has not begun yet' };
  // An index that lost many wikis says nothing of them; asking them all would not make it whole.
  if (entry === undefined && !index.isWhole && !mayAsk(wikiDbName))
    return before === null
      ? { wikiDbName, kind: 'not_yet', reason: 'index.json does not name this wiki now' }
      : { wikiDbName, kind: 'unchanged' };
  return { wikiDbName, kind: 'ask', isInIndex: entry !== undefined || (index.isWhole ? false : null) };
}

/** Lent bytes for keeps. A piece of what came in would keep all of that in memory; what was put together from pieces is our own already. */
function own(bytes: Buffer): Buffer {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Buffer.from(bytes);
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
    // Some 27 MB wait for their turn. Packing them each would cost more: what Node packs and unpacks with is large, and lives
    // until the next full collection of garbage.
    entries.set(wikiDbName, { runDate, bytes: isLookedFor ? own(bytes) : null });
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
  // Wikis go a few a year: an index that lacks more than three and a twentieth of them lost something.
  const seen = wikis.filter((wiki) => (wiki.dumpedSeenAt ?? null) !== null);
  const lost = seen.filter((wiki) => !entries.has(wiki.wikiDbName)).length;
  const isWhole = entries.size > 0 && (lost <= LOST_MAX || lost <= seen.length * LOST_SHARE_MAX);
  if (!isWhole)
    look.log.warn({ lost, known: seen.length }, 'index.json lacks many wikis that it named before');
  return { entries, listedNames, validators: answer.validators, isAlive, isWhole };
}
