import type { DumpFile } from '../../catalog/index.ts';
import { HaltPipelineError, hours, PermanentError, RetryableError } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import type { SourceFault } from '../sources/source-fault.ts';
import type { ByteSource, FaultKind, SourceBook } from '../sources/types.ts';

/** What went wrong at the sources of one file during one attempt, and whom that leaves. */
export interface SourceTrouble {
  /**
   * Those to ask now, the best first: all that stand before the origin together, else the first one alone. The origin is not
   * burdened while a mirror serves.
   */
  usable(): ByteSource[];
  /** True when the file has no other source than the origin. */
  isAlone(): boolean;
  /** A range came to its end. */
  noteProgress(source: ByteSource): void;
  /** @returns `from_zero_of_it` when what this source gave has to go, because it has another version now */
  note(source: ByteSource, fault: SourceFault): 'from_zero_of_it' | null;
  /**
   * A source that can only be used from the first byte on; null when none is left to try. It is given once.
   * @param keeps what is there is not to be thrown away while somebody may go on from it after a wait
   */
  lastResort(keeps: boolean): ByteSource | null;
  /** What the attempt ends with. */
  finalError(): Error;
}

/** Another answer can be hoped for within the same attempt. */
const PASSING: readonly FaultKind[] = ['broken_off', 'stalled', 'unreachable', 'overloaded', 'status'];
/** It has the file, but does not give the rest of it. */
const ONLY_WHOLE: readonly FaultKind[] = ['no_ranges', 'bad_range', 'changed'];
/** With others to ask, a mirror may fail so often without a range that came whole. */
const STRIKES = 3;
/** A mirror that rests for longer, such as one that lied, is not waited for. */
const LONGEST_WAIT_MS = hours(1);

/** See `SourceTrouble`. */
export function createSourceTrouble(
  { book, clock }: { book: SourceBook; clock: Pick<Clock, 'now'> },
  row: DumpFile,
): SourceTrouble {
  const met = new Map<string, ByteSource>();
  const last = new Map<string, SourceFault>();
  const strikes = new Map<string, number>();
  const out = new Set<string>();
  const triedWhole = new Set<string>();
  const changedOnce = new Set<string>();

  function ready(): ByteSource[] {
    const { all, ready: rested } = book.sourcesFor(row);
    for (const source of all) met.set(source.id, source);
    return rested.filter(({ id }) => !out.has(id));
  }

  /** Those that could go on from what is there, and are only resting or in passing trouble. A refusal is neither. */
  function waitedFor(): ByteSource[] {
    const { all, ready: rested } = book.sourcesFor(row);
    return all.filter((source) => {
      const kind = last.get(source.id)?.kind;
      if (kind !== undefined) return PASSING.includes(kind);
      if (rested.some(({ id }) => id === source.id)) return false;
      if (source.kind === 'origin') return !(book.restError(row) instanceof HaltPipelineError);
      return (book.readyAt(row) ?? 0) - clock.now() <= LONGEST_WAIT_MS;
    });
  }

  function waitError(source: ByteSource, cause: SourceFault): RetryableError {
    const retryAfterMs = (book.readyAt(row) ?? 0) - clock.now();
    return new RetryableError(
      'source_waits',
      `${new URL(source.url).host} can go on with ${row.filename}, but not now; others would begin anew`,
      { cause, ...(retryAfterMs > 0 ? { retryAfterMs: Math.min(retryAfterMs, LONGEST_WAIT_MS) } : {}) },
    );
  }

  return {
    usable() {
      const sources = ready();
      const origin = sources.findIndex(({ kind }) => kind !== 'mirror');
      return sources.slice(0, origin === -1 ? sources.length : Math.max(1, origin));
    },
    isAlone() {
      ready();
      return met.size === 1;
    },
    noteProgress: ({ id }) => void strikes.delete(id),
    note(source, fault) {
      const { id } = source;
      met.set(id, source);
      last.set(id, fault);
      // It is asked again at once for what is missing: bytes came before it, as slowly as we let them.
      if (fault.mayBeOurs) return null;
      book.noteFault(source, row, { kind: fault.kind, retryAfterMs: fault.retryAfterMs });
      if (fault.kind === 'changed' && !changedOnce.has(id)) {
        changedOnce.add(id);
        return 'from_zero_of_it';
      }
      const count = (strikes.get(id) ?? 0) + 1;
      strikes.set(id, count);
      const others = ready().filter((other) => other.id !== id).length;
      // With nobody else to ask, the queue knows best when to come back. The origin is never asked again at once.
      const isPatient = source.kind !== 'origin' && count < STRIKES && others > 0;
      if (!PASSING.includes(fault.kind) || !isPatient) out.add(id);
      return null;
    },
    lastResort(keeps) {
      const { all } = book.sourcesFor(row);
      if (keeps && waitedFor().length > 0) return null;
      const found = [...all, ...met.values()].find(({ id }) => {
        const kind = last.get(id)?.kind;
        return kind !== undefined && ONLY_WHOLE.includes(kind) && !triedWhole.has(id);
      });
      if (found === undefined) return null;
      triedWhole.add(found.id);
      return found;
    },
    finalError() {
      const sources = [...met.values()];
      const kindOf = ({ id }: ByteSource): FaultKind | undefined => last.get(id)?.kind;
      const lacking = sources.filter((source) => kindOf(source) === 'not_found').length;
      if (lacking === sources.length && lacking > 1)
        return new PermanentError('not_found', `none of ${lacking} sources has ${row.filename}`, {
          subject: { sources: lacking },
        });
      const origin = last.get('origin');
      const other = [...last.values()].findLast(({ sourceId }) => sourceId !== 'origin');
      // What others say is nobody's last word while the origin rests: it decides what there is, and of what size.
      if (origin === undefined) return book.restError(row);
      const [waited] = waitedFor();
      if (waited !== undefined && ONLY_WHOLE.includes(origin.kind)) return waitError(waited, origin);
      if (origin.kind === 'not_found' && sources.length > 1)
        return new RetryableError(
          'not_at_origin',
          `the origin has no ${row.filename}, and no other source could be asked`,
          {
            cause: other?.cause ?? other,
          },
        );
      return origin.cause instanceof Error ? origin.cause : origin;
    },
  };
}
