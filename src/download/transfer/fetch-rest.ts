import type { DumpFile } from '../../catalog/index.ts';
import { Interrupted, seconds } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Log } from '../../ports/index.ts';
import { SourceFault } from '../sources/source-fault.ts';
import type { ByteSource, RangeClient, SourceBook } from '../sources/types.ts';
import { type Claim, createClaims } from './claims.ts';
import type { PartFile } from './part-file.ts';
import { receive } from './receive.ts';
import { createSourceTrouble } from './source-trouble.ts';

/** One file whose missing bytes are to be fetched. */
export interface FetchTask {
  row: DumpFile;
  part: PartFile;
  segmentBytes: number;
  signal: AbortSignal;
  log: Log;
  /** False at the last attempt: rather than lose the file, what is there is thrown away for a source that gives it only whole. */
  mayWait: boolean;
  /** What to wait for before more may come; null = nothing. */
  room(): Promise<void> | null;
  /** So many more bytes are in the part file. */
  onWritten(bytes: number): void;
  /** Bytes that were there are gone. */
  onAnew(): void;
}

/** What fetching needs. */
export interface FetchDeps {
  client: RangeClient;
  book: SourceBook;
  clock: Clock;
}

/** Connections for one file, over all sources. */
const CONNECTIONS_MAX = 4;
const PENDING_BYTES = 4 * 1024 * 1024;
/** What one connection may have in memory: as much again may be on its way to the disk. */
const pendingBytes = (segmentBytes: number): number => Math.min(PENDING_BYTES, segmentBytes / 16);
/** What may be in the part file without being safe: with all that is in memory it is one segment. */
export const unsafeBytes = (segmentBytes: number): number =>
  segmentBytes - 2 * CONNECTIONS_MAX * pendingBytes(segmentBytes);
/** A rest shorter than this is not worth another connection. */
const SPLIT_BYTES = 16 * 1024 * 1024;
/** Whether somebody could do better is looked at so often, even when no range ends; what a range brought counts so often. */
const LOOK_MS = seconds(30);

/**
 * Fetches what is missing from whoever has it: many ranges at once where that is welcome, and from the next source when one fails.
 * @returns address that gave the last bytes; null when nothing was missing
 * @throws Interrupted, the error of the disk, or what the last source had to say (see `SourceTrouble.finalError`)
 */
export async function fetchRest(deps: FetchDeps, task: FetchTask): Promise<string | null> {
  const { part, segmentBytes } = task;
  const { sizeBytes } = part.facts;
  const claims = createClaims({
    sizeBytes,
    segmentBytes,
    splitFromBytes: Math.min(SPLIT_BYTES, Math.ceil(segmentBytes / 2)),
    held: part.held,
    clock: deps.clock,
  });
  const trouble = createSourceTrouble(deps, task.row);
  const inner = new AbortController();
  const signal = AbortSignal.any([task.signal, inner.signal]);
  /** By source, so that none is asked for more than it gives at once. */
  const running = new Map<Promise<void>, { source: ByteSource; stop: AbortController }>();
  let failure: { error: unknown } | null = null;
  let fetchedFromUrl: string | null = null;

  const countAt = ({ id }: ByteSource): number =>
    [...running.values()].filter(({ source }) => source.id === id).length;

  async function fetchClaim(source: ByteSource, claim: Claim, stop: AbortController): Promise<void> {
    const noted = { atMs: deps.clock.monotonicMs(), position: claim.position };
    const noteBytes = (leastMs: number): void => {
      const [nowMs, bytes] = [deps.clock.monotonicMs(), claim.position - noted.position];
      if (bytes === 0 || nowMs - noted.atMs < leastMs) return;
      deps.book.noteBytes(source, { bytes, durationMs: nowMs - noted.atMs });
      Object.assign(noted, { atMs: nowMs, position: claim.position });
    };
    const own = AbortSignal.any([signal, stop.signal, claim.lost]);
    try {
      const wanted = { startBytes: claim.startBytes, endBytes: claim.endBytes, sizeBytes };
      const validator = part.validators.get(source.id) ?? null;
      const body = await deps.client.open(source, { ...wanted, validator, signal: own });
      step('download:answered');
      if (body.validator !== null) part.validators.set(source.id, body.validator);
      fetchedFromUrl = body.url;
      await receive(body, claim, {
        file: part.file,
        signal: own,
        pendingBytes: pendingBytes(segmentBytes),
        room: task.room,
        onWritten(range) {
          // What a source gave that has another version now is not to come back.
          if (stop.signal.aborted) return;
          part.held.add({ ...range, giver: source.id });
          step('download:part_grown');
          task.onWritten(range.endBytes - range.startBytes);
          // A source that became slow is to be known as such before its range ends.
          noteBytes(LOOK_MS);
        },
      });
      trouble.noteProgress(source);
    } catch (error) {
      if (error instanceof SourceFault) hear(source, error);
      else if (!(error instanceof Interrupted && (stop.signal.aborted || claim.lost.aborted))) {
        failure ??= { error };
        inner.abort();
      }
    } finally {
      claims.release(claim);
      noteBytes(0);
    }
  }

  function hear(source: ByteSource, fault: SourceFault): void {
    const facts = { wiki: task.row.wikiDbName, dumpFileId: task.row.id, source: source.id };
    task.log.info({ ...facts, kind: fault.kind, reason: fault.message }, 'a source failed');
    if (trouble.note(source, fault) === null) return;
    for (const other of running.values()) if (other.source.id === source.id) other.stop.abort();
    part.held.dropGiver(source.id);
    part.validators.delete(source.id);
    task.onAnew();
  }

  function start(source: ByteSource, claim: Claim | null): boolean {
    if (claim === null) return false;
    const stop = new AbortController();
    const work = fetchClaim(source, claim, stop).finally(() => running.delete(work));
    running.set(work, { source, stop });
    return true;
  }

  /** Gives every source that has a hand free something to do. */
  function fill(): void {
    // Segment by segment, so that a better source can take over; with nobody else to come, all at once.
    const maxBytes = trouble.isAlone() ? sizeBytes : segmentBytes;
    for (const source of trouble.usable())
      while (countAt(source) < source.rangesAtOnce) {
        // What is taken over leaves no connection more than before.
        const isRoomLeft = running.size < CONNECTIONS_MAX;
        if (start(source, claims.takeOver(source) ?? (isRoomLeft ? claims.take(source, maxBytes) : null)))
          continue;
        break;
      }
  }

  /** Until a range ends, or it is time to look whether somebody does better. */
  async function somethingNew(): Promise<void> {
    let cancel = (): void => {};
    const isTime = new Promise<void>((resolve) => {
      cancel = deps.clock.after(LOOK_MS, resolve);
    });
    await Promise.race([...running.keys(), isTime]).finally(() => cancel());
  }

  while (!claims.isComplete() || running.size > 0) {
    if (failure === null && !signal.aborted && !claims.isComplete()) fill();
    if (running.size > 0) {
      await somethingNew();
      continue;
    }
    if (task.signal.aborted) throw new Interrupted();
    if (failure !== null) throw (failure as { error: unknown }).error;
    const source = trouble.lastResort(task.mayWait && part.held.bytes() > 0);
    if (source === null) throw trouble.finalError();
    task.log.warn({ dumpFileId: task.row.id, source: source.id }, 'cannot go on, starting over');
    part.held.clear();
    part.validators.clear();
    task.onAnew();
    start(source, claims.take(source, sizeBytes));
  }
  if (failure !== null) throw (failure as { error: unknown }).error;
  return fetchedFromUrl;
}
