import { Interrupted, RetryableError } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import { EngineRefusal } from './driver.ts';
import type { Complaints } from './problems.ts';

/** Who may speak to a program now, and whether it is worth it. */
export interface Turns {
  /**
   * One thing at a time: a look between adding and starting would take the torrent for one that a hand stopped. Tells when the
   * program is away or refuses us, and when that is over.
   * @throws what `work` throws; EngineRefusal while the program is not to be asked; Interrupted
   */
  take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Resolves when what has begun has ended. */
  idle(): Promise<void>;
  isRefused(): boolean;
}

/** `refusedMs`: for so long a program that refuses us is left alone. */
export function createTurns({
  clock,
  tell,
  refusedMs,
}: {
  clock: Clock;
  tell: Complaints;
  refusedMs: number;
}): Turns {
  let refusal: { error: EngineRefusal; until: number } | null = null;
  let tail: Promise<unknown> = Promise.resolve();

  function take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const turn = tail.then(() => {
      if (signal.aborted) throw new Interrupted();
      if (refusal !== null && clock.monotonicMs() < refusal.until) throw refusal.error;
      return work();
    });
    tail = turn.catch(() => {});
    return turn.then(
      (value) => {
        refusal = null;
        tell.over(null);
        return value;
      },
      (error: unknown) => {
        if (error instanceof EngineRefusal && refusal?.error !== error) {
          refusal = { error, until: clock.monotonicMs() + refusedMs };
          tell.problem(null, { code: error.code, message: error.message, hint: error.hint });
        } else if (codeOf(error) === 'engine_down') {
          const { message, hint } = error as RetryableError;
          tell.problem(null, { code: 'engine_down', message, hint });
        }
        throw error;
      },
    );
  }

  return { take, idle: () => tail.then(() => {}), isRefused: () => refusal !== null };
}

/** Code of an error that may heal; null for others. */
export const codeOf = (error: unknown): string | null =>
  error instanceof RetryableError ? error.code : null;

/** The program as a whole is to blame, not one torrent. */
export function isOfTheEngine(error: unknown): boolean {
  return error instanceof EngineRefusal || error instanceof Interrupted || codeOf(error) === 'engine_down';
}
