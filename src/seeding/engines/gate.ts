import { Interrupted, RetryableError } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import { type EngineDriver, EngineRefusal } from './driver.ts';
import type { Complaints } from './problems.ts';

/**
 * The way to a program: one call after the other, so that a thousand torrents do not ask at once. Nobody waits for more than the
 * call that is under way and those before it. Tells when the program is away or refuses us, and when that is over.
 */
export interface Gate {
  /** Calls throw what the driver throws; EngineRefusal while the program is not to be asked; Interrupted. */
  driver: EngineDriver;
  /** The same, ahead of all others: what must not be served any more does not wait. */
  first: EngineDriver;
  isRefused(): boolean;
  /** For how long it has answered without a gap, ms; 0 = it does not, or was never asked. */
  answersForMs(): number;
}

/** `refusedMs`: for so long a program that refuses us is left alone. */
export function createGate({
  driver,
  clock,
  tell,
  refusedMs,
}: {
  driver: EngineDriver;
  clock: Clock;
  tell: Complaints;
  refusedMs: number;
}): Gate {
  let refusal: { error: EngineRefusal; until: number } | null = null;
  let answersSinceMs: number | null = null;
  let isBusy = false;
  const ahead: (() => void)[] = [];
  const behind: (() => void)[] = [];

  async function pass<T>(line: (() => void)[], signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (isBusy) await new Promise<void>((resolve) => line.push(resolve));
    isBusy = true;
    try {
      if (signal.aborted) throw new Interrupted();
      if (refusal !== null && clock.monotonicMs() < refusal.until) throw refusal.error;
      const answer = await call();
      over();
      return answer;
    } catch (error) {
      note(error);
      throw error;
    } finally {
      const next = ahead.shift() ?? behind.shift();
      // Handed over without a gap, or somebody else would slip in.
      if (next === undefined) isBusy = false;
      else next();
    }
  }

  function over(): void {
    refusal = null;
    answersSinceMs ??= clock.monotonicMs();
    tell.over(null);
  }

  function note(error: unknown): void {
    if (error instanceof Interrupted || refusal?.error === error) return;
    if (error instanceof EngineRefusal) {
      answersSinceMs = null;
      refusal = { error, until: clock.monotonicMs() + refusedMs };
      tell.problem(null, { code: error.code, message: error.message, hint: error.hint });
    } else if (codeOf(error) === 'engine_down') {
      answersSinceMs = null;
      const { message, hint } = error as RetryableError;
      tell.problem(null, { code: 'engine_down', message, hint });
    } else over();
  }

  const through = (line: (() => void)[]): EngineDriver => ({
    ...driver,
    look: (hashes, signal) => pass(line, signal, () => driver.look(hashes, signal)),
    addStopped: (torrent, signal) => pass(line, signal, () => driver.addStopped(torrent, signal)),
    wantNothing: (torrent, signal) => pass(line, signal, () => driver.wantNothing(torrent, signal)),
    setUp: (view, signal) => pass(line, signal, () => driver.setUp(view, signal)),
    start: (hash, signal) => pass(line, signal, () => driver.start(hash, signal)),
    // Whatever must be stopped must be so at once.
    stop: (hash, signal) => pass(ahead, signal, () => driver.stop(hash, signal)),
    remove: (hash, signal) => pass(ahead, signal, () => driver.remove(hash, signal)),
    readAgain: (hash, signal) => pass(line, signal, () => driver.readAgain(hash, signal)),
    beginAgain: (torrent, signal) => pass(line, signal, () => driver.beginAgain(torrent, signal)),
    wrongFiles: (hash, signal) => pass(line, signal, () => driver.wrongFiles(hash, signal)),
    peersPort: (signal) => pass(line, signal, () => driver.peersPort(signal)),
  });

  return {
    driver: through(behind),
    first: through(ahead),
    isRefused: () => refusal !== null,
    answersForMs: () => (answersSinceMs === null ? 0 : clock.monotonicMs() - answersSinceMs),
  };
}

/** Code of an error that may heal; null for others. */
export const codeOf = (error: unknown): string | null =>
  error instanceof RetryableError ? error.code : null;

/** The program as a whole is to blame, not one torrent. */
export function isOfTheEngine(error: unknown): boolean {
  return error instanceof EngineRefusal || error instanceof Interrupted || codeOf(error) === 'engine_down';
}
