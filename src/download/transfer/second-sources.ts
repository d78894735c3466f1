import type { DumpFile } from '../../catalog/index.ts';
import { HaltPipelineError, hours, RetryableError, UnavailableError } from '../../lib/index.ts';
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
  /**
   * What the attempt ends with when somebody who is not to be asked now may help later; null when there is nobody.
   * @param onlyOrigin wait for no other: without its word no bytes are given up for good
   */
  worthWaitingFor(onlyOrigin: boolean): RetryableError | null;
}

/** Trouble that may be over at the next attempt. */
const MAY_PASS: readonly FaultKind[] = [
  ...(['broken_off', 'stalled', 'unreachable', 'overloaded', 'status', 'forbidden'] as const),
];
/** A connection that broke says little of a source that gave whole segments just before. */
const MAY_BE_CHANCE: readonly FaultKind[] = ['broken_off', 'stalled'];
/** A mirror that rests for longer, such as one that lied, is not waited for. */
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

  /** It is left alone even when nobody else can be asked: whoever asks here may have met its trouble a moment ago. */
  const originRestsMs = (): number => Math.max(0, (book.readyAt(row, 'origin') ?? 0) - clock.now());

  /** Nothing that this file can help: such an attempt is not counted. After a refusal it is, so that mirrors go on with other files. */
  function isOriginDown({ kind }: ByteSource): boolean {
    if (kind !== 'origin') return false;
    const fault = out.get('origin');
    if (fault !== undefined) return fault.cause instanceof UnavailableError;
    return !(book.restError(row) instanceof HaltPipelineError);
  }

  return {
    next(doubt) {
      const isRested = ({ kind }: ByteSource): boolean => kind !== 'origin' || originRestsMs() === 0;
      const able = book
        .sourcesFor(row)
        .ready.filter((one) => isAble(doubt, one) && !out.has(one.id) && isRested(one));
      return able.find(({ kind }) => kind === 'origin') ?? able[0] ?? null;
    },
    noteAnswer(doubt, { id }) {
      doubt.askedAt.push(id);
      proved.add(id);
    },
    noteFault(source, fault) {
      if (!fault.mayBeOurs)
        book.noteFault(source, row, { kind: fault.kind, retryAfterMs: fault.retryAfterMs });
      // The origin is not asked again at once; of others that ends, since each time one more segment has to have come.
      const isChance = MAY_BE_CHANCE.includes(fault.kind) && (source.kind !== 'origin' || fault.mayBeOurs);
      if (!isChance || !proved.delete(source.id)) out.set(source.id, fault);
    },
    worthWaitingFor(onlyOrigin) {
      const { all, ready } = book.sourcesFor(row);
      const waitMs = (book.readyAt(row) ?? 0) - clock.now();
      const isOpen = ({ askedAt, isDisputed }: Doubt): boolean => askedAt.length === 0 || isDisputed;
      const isWaitedFor = (source: ByteSource): boolean => {
        const isOrigin = source.kind === 'origin';
        // Where two others agree, the origin may still say that both are wrong.
        if (!doubts.some((doubt) => isAble(doubt, source) && (isOrigin || isOpen(doubt)))) return false;
        const fault = out.get(source.id);
        if (fault !== undefined) return MAY_PASS.includes(fault.kind);
        if (isOrigin) return originRestsMs() > 0;
        return !ready.some(({ id }) => id === source.id) && waitMs <= LONGEST_WAIT_MS;
      };
      const waitedFor = all.filter(
        (source) => isWaitedFor(source) && !(onlyOrigin && source.kind !== 'origin'),
      );
      const first = waitedFor.find(({ kind }) => kind === 'origin') ?? waitedFor[0];
      if (first === undefined) return null;
      const causes = waitedFor.flatMap(({ id }) => out.get(id) ?? []);
      const restMs = first.kind === 'origin' ? originRestsMs() : waitMs;
      const retryAfterMs = Math.max(0, restMs, ...causes.map((fault) => fault.retryAfterMs ?? 0));
      const WaitError = isOriginDown(first) ? UnavailableError : RetryableError;
      return new WaitError(
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
