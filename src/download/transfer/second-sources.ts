import type { DumpFile } from '../../catalog/index.ts';
import { hours, RetryableError } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import type { SourceFault } from '../sources/source-fault.ts';
import type { ByteSource, FaultKind, SourceBook } from '../sources/types.ts';
import type { Doubt } from './suspects.ts';

/** Whom to ask for the doubtful segments of a file during one attempt. */
export interface SecondSources {
  /** Another source than the one that gave these bytes; the origin first, because it is the one that is believed. */
  next(doubt: Doubt): ByteSource | null;
  /** It gave the whole segment, the same or another one. */
  noteAnswer(doubt: Doubt, source: ByteSource): void;
  noteFault(source: ByteSource, fault: SourceFault): void;
  /** What the attempt ends with when somebody who is not to be asked now may help later; null when there is nobody. */
  worthWaitingFor(): RetryableError | null;
}

/** Trouble that may be over at the next attempt. */
const MAY_PASS: readonly FaultKind[] = [
  ...(['broken_off', 'stalled', 'unreachable', 'overloaded', 'status', 'forbidden'] as const),
];
/** A connection that broke says little of a source that gave whole segments just before. */
const MAY_BE_CHANCE: readonly FaultKind[] = ['broken_off', 'stalled'];
/** One that rests for longer, such as one that lied, is not waited for. */
const LONGEST_WAIT_MS = hours(1);

/** See `SecondSources`. */
export function createSecondSources(
  { book, clock }: { book: SourceBook; clock: Clock },
  row: DumpFile,
  doubts: readonly Doubt[],
): SecondSources {
  const out = new Map<string, SourceFault>();
  /** Gave a whole segment since it failed last. */
  const proved = new Set<string>();
  const isAble = (doubt: Doubt, { id }: ByteSource): boolean =>
    id !== doubt.giver && !doubt.askedAt.includes(id);

  return {
    next(doubt) {
      const able = book.sourcesFor(row).ready.filter((one) => isAble(doubt, one) && !out.has(one.id));
      return able.find(({ kind }) => kind === 'origin') ?? able[0] ?? null;
    },
    noteAnswer(doubt, { id }) {
      doubt.askedAt.push(id);
      proved.add(id);
    },
    noteFault(source, fault) {
      if (!fault.mayBeOurs)
        book.noteFault(source, row, { kind: fault.kind, retryAfterMs: fault.retryAfterMs });
      // Asking again at once ends: each time one more segment has to have come.
      if (!MAY_BE_CHANCE.includes(fault.kind) || !proved.delete(source.id)) out.set(source.id, fault);
    },
    worthWaitingFor() {
      const { all, ready } = book.sourcesFor(row);
      const open = doubts.filter(({ askedAt, isDisputed }) => askedAt.length === 0 || isDisputed);
      const waitMs = (book.readyAt(row) ?? 0) - clock.now();
      const isWaitedFor = (source: ByteSource): boolean => {
        const fault = out.get(source.id);
        if (fault !== undefined) return MAY_PASS.includes(fault.kind);
        return !ready.some(({ id }) => id === source.id) && waitMs <= LONGEST_WAIT_MS;
      };
      const waitedFor = all.filter(
        (source) => open.some((doubt) => isAble(doubt, source)) && isWaitedFor(source),
      );
      const [first] = waitedFor;
      if (first === undefined) return null;
      const causes = waitedFor.flatMap(({ id }) => out.get(id) ?? []);
      const retryAfterMs = Math.max(0, waitMs, ...causes.map((fault) => fault.retryAfterMs ?? 0));
      return new RetryableError(
        'repair_waits',
        `${row.filename} has wrong bytes, and ${new URL(first.url).host}, which may have better ones, cannot be asked now; what is there is kept`,
        {
          subject: { dumpFileId: row.id, wiki: row.wikiDbName },
          ...(causes[0] === undefined ? {} : { cause: causes[0] }),
          ...(retryAfterMs > 0 ? { retryAfterMs: Math.min(retryAfterMs, LONGEST_WAIT_MS) } : {}),
        },
      );
    },
  };
}
