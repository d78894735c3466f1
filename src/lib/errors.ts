/** Facts every WikiSeed error carries besides its message. */
export interface ErrorFacts {
  /** What the operator can do about it, one sentence; omitted when there is nothing to do. */
  hint?: string;
  cause?: unknown;
  /** Ids of what it is about, for log fields: `{ dumpId: 12, wiki: 'aawiki' }`. Never secrets, never signed addresses. */
  subject?: Readonly<Record<string, string | number | null>>;
}

/** Base of all classified errors; `code` is stable snake_case and may be matched by tests and alerts. */
export class WikiSeedError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly subject: Readonly<Record<string, string | number | null>>;

  constructor(code: string, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = facts.hint;
    this.subject = facts.subject ?? {};
  }
}

/** The world may heal: the queue tries again after its backoff, or after `retryAfterMs` when the other side named a time. */
export class RetryableError extends WikiSeedError {
  readonly retryAfterMs: number | undefined;
  constructor(code: string, message: string, facts: ErrorFacts & { retryAfterMs?: number } = {}) {
    super(code, message, facts);
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/**
 * The other side as a whole cannot serve now: overloaded, down, out of reach. Its target stops for all jobs until one of
 * them gets an answer again; the attempt is not counted. A job that meets it again and again is treated like any other error.
 */
export class UnavailableError extends RetryableError {
  /** How long the target rests, when the room keeps a pace of its own; else `retryAfterMs` and the backoff decide. */
  readonly pauseMs: number | undefined;
  /** True when the trouble cannot be the job's own: an account over its limit. */
  readonly isNeverOwnFault: boolean;
  constructor(
    code: string,
    message: string,
    facts: ErrorFacts & { retryAfterMs?: number; pauseMs?: number; isNeverOwnFault?: boolean } = {},
  ) {
    super(code, message, facts);
    this.pauseMs = facts.pauseMs;
    this.isNeverOwnFault = facts.isNeverOwnFault ?? false;
  }
}

/**
 * What came is wrong in itself: a hash, a size. Another attempt may bring better bytes; after the last one the job and its
 * subject are put in quarantine.
 */
export class CorruptError extends RetryableError {}

/** This job can never succeed; it fails at once and the cycle goes on without it. */
export class PermanentError extends WikiSeedError {}

/**
 * Going on would harm: job types that name the target `scope` are not claimed for `pauseMs`. The attempt is not counted; a
 * job that stops its target again and again is given up, unless `isNeverOwnFault`.
 */
export class HaltPipelineError extends WikiSeedError {
  readonly pauseMs: number;
  /** The target that stops; `all` stops everything. Undefined = the first target of the failing job's type. */
  readonly scope: string | undefined;
  /** True when the trouble cannot be the job's own: a full disk. */
  readonly isNeverOwnFault: boolean;
  constructor(
    code: string,
    message: string,
    facts: ErrorFacts & { pauseMs: number; scope?: string; isNeverOwnFault?: boolean },
  ) {
    super(code, message, facts);
    this.pauseMs = facts.pauseMs;
    this.scope = facts.scope;
    this.isNeverOwnFault = facts.isNeverOwnFault ?? false;
  }
}

/** Not now and nobody's fault: back to pending for `delayMs`, the attempt is not counted. `cursor` is kept for the next run. */
export class Snooze extends WikiSeedError {
  readonly delayMs: number;
  readonly cursor: unknown;
  constructor(reason: string, delayMs: number, cursor?: unknown) {
    super('snoozed', reason);
    this.delayMs = delayMs;
    this.cursor = cursor;
  }
}

/** Cut short by an abort; while we are stopping the attempt is not counted. */
export class Interrupted extends WikiSeedError {
  constructor(message = 'interrupted by shutdown') {
    super('interrupted', message);
  }
}

/** Wrong configuration or usage; the command line prints it and exits with 2. */
export class UsageError extends WikiSeedError {
  constructor(message: string, hint?: string) {
    super('usage', message, hint === undefined ? {} : { hint });
  }
}

/** Another process holds the data directory; the command line exits with 11. */
export class AlreadyRunningError extends WikiSeedError {}

/** Our bug: an impossible state. */
export class AssertionError extends WikiSeedError {
  constructor(message: string) {
    super('assertion', message);
  }
}

/** Message of anything thrown, with the chain of causes; at most 2,000 characters. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current !== undefined && current !== null; depth += 1) {
    const part = current instanceof Error ? current.message || current.name : String(current);
    // Who passes an error on often repeats its words.
    if (parts.at(-1)?.includes(part) !== true) parts.push(part);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ').slice(0, 2000);
}

/** Stable code of anything thrown: our own code, Node's (`ENOSPC`), or `unknown`. */
export function errorCode(error: unknown): string {
  if (error instanceof WikiSeedError) return error.code;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'unknown';
}

/** True for the error an aborted signal produces, whatever API threw it. */
export function isAbort(error: unknown): boolean {
  return error instanceof Interrupted || (error instanceof Error && error.name === 'AbortError');
}
