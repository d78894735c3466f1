import type { DumpFile } from '../../catalog/index.ts';
import { Interrupted } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { DiskFile, Log } from '../../ports/index.ts';
import { SourceFault } from '../sources/source-fault.ts';
import type { ByteRange, ByteSource, RangeClient, SourceBook } from '../sources/types.ts';
import type { GivenRange } from './held-ranges.ts';
import type { PartFile } from './part-file.ts';
import { suspectsOf } from './suspects.ts';

/** What repairing needs. */
export interface RepairDeps {
  client: RangeClient;
  book: SourceBook;
  segmentBytes: number;
}

/** A complete part file whose bytes are not what upstream says. */
export interface RepairTask {
  row: DumpFile;
  part: PartFile;
  signal: AbortSignal;
  log: Log;
  /** Where a look at the container says that it is broken; null when that cannot be seen. Reads the file. */
  brokenAt(): Promise<ByteRange | null>;
  /** Hashes the file anew. True when its bytes are proved, or nothing is to be proved any more. */
  isRight(): Promise<boolean>;
  onProgress(checkedBytes: number): void;
}

/** Looks at the container at most so often: each finds one broken place, and reads all that lies before it. */
const LOOKS_MAX = 8;

/**
 * Finds the wrong segments by asking other sources for them one by one, the most suspicious first, and replaces what differs.
 * What the origin says goes before what others say.
 * @returns true when the bytes are right now; false when no other source could help
 */
export async function repair(deps: RepairDeps, task: RepairTask): Promise<boolean> {
  const { part, row } = task;
  const asked = new Set<string>();
  const units = suspectsOf(part.held.list(), deps.segmentBytes);
  /** Those of which two sources had different bytes. */
  const disputed = new Set<GivenRange>();
  const out = new Set<string>();
  const seen = new Set<GivenRange>();

  /** Another source than the one that gave these bytes; the origin first, because it is the one that is believed. */
  function otherSource(unit: GivenRange): ByteSource | null {
    const isAble = ({ id }: ByteSource): boolean =>
      id !== unit.giver && !out.has(id) && !asked.has(`${unit.startBytes} ${id}`);
    const able = deps.book.sourcesFor(row).ready.filter(isAble);
    return able.find(({ kind }) => kind === 'origin') ?? able[0] ?? null;
  }

  /** @returns what was found: `null` when nobody else could be asked */
  async function askAgain(unit: GivenRange): Promise<'same' | 'replaced' | null> {
    let replacedBytes = 0;
    seen.add(unit);
    for (;;) {
      if (task.signal.aborted) throw new Interrupted();
      const source = otherSource(unit);
      if (source === null) return replacedBytes > 0 ? 'replaced' : null;
      asked.add(`${unit.startBytes} ${source.id}`);
      const facts = {
        dumpFileId: row.id,
        source: source.id,
        startBytes: unit.startBytes,
        endBytes: unit.endBytes,
      };
      try {
        await compareAndReplace(deps, task, unit, source, (bytes) => {
          replacedBytes += bytes;
          disputed.add(unit);
        });
        task.log.info({ ...facts, replacedBytes }, 'a segment was fetched again');
        return replacedBytes > 0 ? 'replaced' : 'same';
      } catch (error) {
        if (!(error instanceof SourceFault)) throw error;
        task.log.info({ ...facts, kind: error.kind, reason: error.message }, 'a source failed');
        deps.book.noteFault(source, row, { kind: error.kind, retryAfterMs: error.retryAfterMs });
        out.add(source.id);
      }
    }
  }

  function settle(): void {
    const givers = new Set(part.held.list().map(({ giver }) => giver));
    const liars = new Set([...disputed].filter(isReplaced).map(({ giver }) => giver));
    const { all } = deps.book.sourcesFor(row);
    for (const source of all)
      if (liars.has(source.id)) {
        deps.book.noteFault(source, row, { kind: 'wrong_bytes' });
        task.log.warn(
          { dumpFileId: row.id, source: source.id, filename: row.filename },
          'a source gave wrong bytes; they were replaced',
        );
      } else if (givers.has(source.id)) deps.book.noteGood(source, row);
  }

  /** Other bytes than the first giver's are in the file now. */
  const isReplaced = (unit: GivenRange): boolean =>
    part.held.within(unit).some(({ giver }) => giver !== unit.giver);

  let isPointedOut = true;
  for (let look = 0; look < LOOKS_MAX && isPointedOut; look += 1) {
    isPointedOut = false;
    // With nobody else to ask there is no use in looking.
    if (!units.some((unit) => otherSource(unit) !== null)) return false;
    const broken = units.length > 1 ? await task.brokenAt() : null;
    if (broken === null) break;
    for (const unit of units.filter((one) => overlaps(one, broken)).sort(byPlace)) {
      if ((await askAgain(unit)) !== 'replaced') continue;
      isPointedOut = true;
      if (!(await task.isRight())) break;
      settle();
      return true;
    }
  }
  // Each segment is asked for once at each source; what two of them agree on is not asked for a third time.
  for (let pass = 1; ; pass += 1) {
    let hasAsked = false;
    for (const unit of pass === 1 ? units.filter((one) => !seen.has(one)) : [...disputed]) {
      const found = await askAgain(unit);
      hasAsked ||= found !== null;
      if (found !== 'replaced' || !(await task.isRight())) continue;
      settle();
      return true;
    }
    if (!hasAsked && pass > 1) return false;
  }
}

/** Replaces what is other at this source, chunk by chunk; it counts as the giver of that. */
async function compareAndReplace(
  { client }: Pick<RepairDeps, 'client'>,
  { part, signal, onProgress }: RepairTask,
  unit: ByteRange,
  source: ByteSource,
  onReplaced: (bytes: number) => void,
): Promise<void> {
  let isFirst = true;
  const body = await client.open(source, {
    ...unit,
    sizeBytes: part.facts.sizeBytes,
    validator: null,
    signal,
  });
  let at = unit.startBytes;
  try {
    for await (const chunk of body.chunks) {
      if (signal.aborted) throw new Interrupted();
      const range = { startBytes: at, endBytes: at + chunk.length };
      at = range.endBytes;
      if (await isSame(part.file, chunk, range.startBytes)) continue;
      // Nothing that is known of the old bytes holds any more, not even after a crash.
      if (isFirst) {
        part.digests = null;
        await part.checkpoint(null);
      }
      isFirst = false;
      await part.file.write(chunk, range.startBytes);
      part.held.add({ ...range, giver: source.id });
      onReplaced(chunk.length);
      step('download:segment_replaced');
    }
  } finally {
    body.discard();
  }
  onProgress(at);
}

async function isSame(file: DiskFile, chunk: Buffer, position: number): Promise<boolean> {
  const stored = Buffer.allocUnsafe(chunk.length);
  for (let done = 0; done < stored.length; ) {
    const count = await file.read(stored.subarray(done), position + done);
    if (count === 0) return false;
    done += count;
  }
  return stored.equals(chunk);
}

const overlaps = (a: ByteRange, b: ByteRange): boolean =>
  a.startBytes < b.endBytes && b.startBytes < a.endBytes;
const byPlace = (a: ByteRange, b: ByteRange): number => a.startBytes - b.startBytes;
