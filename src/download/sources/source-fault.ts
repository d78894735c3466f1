import { type ErrorFacts, WikiSeedError } from '../../lib/index.ts';
import type { ByteSource, FaultKind } from './types.ts';

/** Trouble with one source of a file; whoever downloads turns to another one, and when none is left says so with `cause`. */
export class SourceFault extends WikiSeedError {
  readonly kind: FaultKind;
  readonly sourceId: string;
  readonly retryAfterMs: number | undefined;
  /** It broke after we had read nothing for long, because of limits of our own: not to be counted against the source. */
  readonly mayBeOurs: boolean;

  constructor(
    source: Pick<ByteSource, 'id'>,
    kind: FaultKind,
    message: string,
    facts: ErrorFacts & { retryAfterMs?: number | undefined; mayBeOurs?: boolean } = {},
  ) {
    super(kind, message, facts);
    this.kind = kind;
    this.sourceId = source.id;
    this.retryAfterMs = facts.retryAfterMs;
    this.mayBeOurs = facts.mayBeOurs ?? false;
  }
}
