import { setImmediate as nextTurn } from 'node:timers/promises';
import { RetryableError } from '../lib/index.ts';
import { type DumpStatus, KNOWN_VERSION, parseDumpStatus, runDateOfStatus } from './dump-status.ts';
import { parseListing, runDatesOf } from './listing.ts';
import type { KnownRun, Look, Sighting } from './source.ts';

/** Looks at one wiki's run by its own `dumpstatus.json`. See `DumpSource.askOne`. */
export async function askStatus(
  base: string,
  look: Look,
  { wikiDbName, isInIndex }: { wikiDbName: string; isInIndex: boolean | null },
  known: KnownRun | null,
): Promise<Exclude<Sighting, { kind: 'ask' }>> {
  const { runDate, signal, upstream } = look;
  const name = `${wikiDbName}/${runDate}/dumpstatus.json`;
  // A run that counts as gone is read anew: "as it was" would leave it gone.
  const validators = known?.status === 'absent' ? null : known?.validators;
  const answer = await upstream.get(`${base}/${name}`, { signal, known: validators });
  if (answer.kind === 'unchanged') return { wikiDbName, kind: 'unchanged' };
  if (answer.kind === 'body') {
    const document = await answer.text();
    // Of the largest wiki reading it takes 15 ms, and the judge reads it again; what follows an arrival belongs to the same turn.
    await nextTurn();
    const status = parseDumpStatus(document, name);
    const { version } = status;
    const date = runDateOfStatus(status, wikiDbName);
    const isOther = date === null ? listsAnything(status) : date !== runDate;
    if (isOther) throw new RetryableError('torn_status', `${name} describes another wiki or run`);
    if (version !== KNOWN_VERSION)
      look.log.warn(
        { wiki: wikiDbName, runDate, version },
        'dumpstatus.json is of a version we do not know, and read all the same',
      );
    return { wikiDbName, kind: 'document', document, validators: answer.validators };
  }
  return readDirectory(base, look, { wikiDbName, isInIndex }, known);
}

/** There is no status file: not yet, gone, or never. That alone proves nothing, sites have bad days; the listing tells which. */
async function readDirectory(
  base: string,
  look: Look,
  { wikiDbName, isInIndex }: { wikiDbName: string; isInIndex: boolean | null },
  known: KnownRun | null,
): Promise<Exclude<Sighting, { kind: 'ask' | 'document' }>> {
  const { runDate, signal, upstream, log } = look;
  const listing = await upstream.text(`${base}/${wikiDbName}/`, signal);
  const dates = listing === null ? [] : runDatesOf(parseListing(listing));
  if (listing !== null) look.onListing(wikiDbName, dates);
  const wasSeen =
    known?.status === 'finished' || (known?.status === 'in_progress' && known.hasDocument === true);
  const absent = (reason: string) => ({
    ...{ wikiDbName, kind: 'absent' as const },
    reason: wasSeen ? 'upstream has removed the run' : reason,
  });
  // A listing that is not there, or empty, says nothing of a run that was seen: a site that lost its disk looks like that.
  if (dates.length === 0 && isInIndex === false && !wasSeen)
    return absent('upstream has no dumps of this wiki');
  if (!dates.includes(runDate) && dates.some((date) => date > runDate))
    return absent('upstream has no run of this date');
  if (!wasSeen) return { wikiDbName, kind: 'not_yet', reason: 'the run has not begun yet' };
  // What was read of it stays good: nothing says that the run is gone.
  log.warn({ wiki: wikiDbName, runDate }, 'the status of a known run is not there now, the last one stays');
  return { wikiDbName, kind: 'unchanged' };
}

function listsAnything(status: DumpStatus): boolean {
  return [...status.jobs.values()].some((job) => (job.files?.size ?? 0) > 0);
}
