import { describeError, errorCode, WikiSeedError } from '../../lib/index.ts';

/** The alert about a job that failed: what was not done, why, and what to do about it. */
export function alertOf(
  key: string,
  what: string,
  error: unknown,
): { key: string; severity: 'error'; message: string; hint: string | null } {
  const hint = (error instanceof WikiSeedError ? error.hint : undefined) ?? null;
  return { key, severity: 'error', message: `${what}: ${describeError(error)}`, hint };
}

/** True when an operator called the job off. */
export function isCancelled(error: unknown): boolean {
  return errorCode(error) === 'cancelled';
}
