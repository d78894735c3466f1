import type { DumpFile } from '../../catalog/index.ts';
import { PermanentError, RetryableError } from '../../lib/index.ts';
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
  /** A source that can only be used from the first byte on; null when none is left to try. It is given once. */
  lastResort(): ByteSource | null;
  /** What the attempt ends with. */
  finalError(): Error;
}

/** Another answer can be hoped for within the same attempt. */
const PASSING: readonly FaultKind[] = ['broken_off', 'stalled', 'unreachable', 'overloaded', 'status'];
/** It has the file, but does not give the rest of it. */
const ONLY_WHOLE: readonly FaultKind[] = ['no_ranges', 'bad_range', 'changed'];
/** With others to ask, a source may fail so often without a range that came whole. */
const STRIKES = 3;

/** See `SourceTrouble`. */
export function createSourceTrouble(book: SourceBook, row: DumpFile): SourceTrouble {
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
      book.noteFault(source, row, { kind: fault.kind, retryAfterMs: fault.retryAfterMs });
      if (fault.kind === 'changed' && !changedOnce.has(id)) {
        changedOnce.add(id);
        return 'from_zero_of_it';
      }
      const count = (strikes.get(id) ?? 0) + 1;
      strikes.set(id, count);
      const others = ready().filter((other) => other.id !== id).length;
      // With nobody else to ask, the queue knows best when to come back.
      if (!PASSING.includes(fault.kind) || count >= STRIKES || others === 0) out.add(id);
      return null;
    },
    lastResort() {
      const { all } = book.sourcesFor(row);
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
      if (origin === undefined && other === undefined) return book.restError(row);
      if (origin?.kind === 'not_found' && sources.length > 1)
        return new RetryableError(
          'not_at_origin',
          `the origin has no ${row.filename}, and no other source could be asked`,
          {
            cause: other?.cause ?? other,
          },
        );
      const fault = (origin ?? other) as SourceFault;
      return fault.cause instanceof Error ? fault.cause : fault;
    },
  };
}
