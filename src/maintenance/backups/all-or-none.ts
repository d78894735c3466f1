import { isAbort } from '../../lib/index.ts';

/**
 * Begins all works at once; the first trouble of one aborts the others, and nothing is settled before every one of them has
 * ended: whoever waits for this may remove their files.
 * @param signal ends all of them
 * @throws what went wrong first, not the aborts that followed from it
 */
export async function allOrNone<T extends readonly unknown[]>(
  signal: AbortSignal,
  works: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> },
): Promise<T> {
  const failure = new AbortController();
  const all = AbortSignal.any([signal, failure.signal]);
  const errors: unknown[] = [];
  const results = await Promise.all(
    works.map((work) =>
      work(all).catch((error: unknown) => {
        errors.push(error);
        failure.abort();
      }),
    ),
  );
  if (errors.length === 0) return results as unknown as T;
  throw errors.find((error) => !isAbort(error)) ?? errors[0];
}
