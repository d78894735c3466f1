import type { DumpFile } from '../../catalog/index.ts';
import { PermanentError } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import {
  type ByteRange,
  type ByteSource,
  type FaultKind,
  type RangeClient,
  type SourceBook,
  SourceFault,
} from '../sources/index.ts';
import type { OfferedPiece, PieceSource } from './piece-source.ts';

/** What asking servers needs. */
export interface ServerDeps {
  book: SourceBook;
  client: RangeClient;
  clock: Clock;
}

/** Weather on the way; anything else will be the same for the next piece. */
const PASSING: readonly FaultKind[] = ['broken_off', 'stalled', 'unreachable', 'status'];
const PASSING_MAX = 2;

/**
 * Mirrors, the origin and a verified copy at the Internet Archive, in the order of the source book.
 * @param isContested upstream is known to have other bytes now: whoever sends those is no liar
 */
export function createServerPieces(
  deps: ServerDeps & { isContested: (row: DumpFile) => boolean },
): PieceSource {
  return {
    giverFor(row) {
      const faults = new Map<string, number>();
      const isContested = deps.isContested(row);
      return {
        async *offers(range, signal) {
          for (const source of readySources(deps.book, row)) {
            if ((faults.get(source.id) ?? 0) >= PASSING_MAX) continue;
            try {
              const bytes = await fetchRange(deps, row, { source, range, signal });
              yield {
                bytes,
                from: source.url,
                judged(isRight) {
                  if (isRight) {
                    deps.book.noteGood(source, row);
                    return;
                  }
                  faults.set(source.id, PASSING_MAX);
                  if (!isContested) deps.book.noteFault(source, row, { kind: 'wrong_bytes' });
                },
              } satisfies OfferedPiece;
            } catch (error) {
              if (!(error instanceof SourceFault)) throw error;
              const { kind } = error;
              faults.set(source.id, PASSING.includes(kind) ? (faults.get(source.id) ?? 0) + 1 : PASSING_MAX);
              deps.book.noteFault(source, row, error);
            }
          }
        },
      };
    },
  };
}

/** None when the recorded address is not one that may be asked. */
export function readySources(book: SourceBook, row: DumpFile): readonly ByteSource[] {
  try {
    return book.sourcesFor(row).ready;
  } catch (error) {
    if (error instanceof PermanentError) return [];
    throw error;
  }
}

async function fetchRange(
  { book, client, clock }: ServerDeps,
  row: DumpFile,
  { source, range, signal }: { source: ByteSource; range: ByteRange; signal: AbortSignal },
): Promise<Buffer> {
  const startedMs = clock.monotonicMs();
  const body = await client.open(source, { ...range, sizeBytes: row.sizeBytes, validator: null, signal });
  const bytes = Buffer.allocUnsafe(range.endBytes - range.startBytes);
  let gotBytes = 0;
  try {
    for await (const chunk of body.chunks) {
      chunk.copy(bytes, gotBytes);
      gotBytes += chunk.length;
    }
  } catch (error) {
    body.discard();
    throw error;
  }
  book.noteBytes(source, { bytes: gotBytes, durationMs: clock.monotonicMs() - startedMs });
  return bytes;
}
