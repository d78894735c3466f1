import { isAbort } from '../../lib/index.ts';

/** Begins a part of the work; its signal aborts as soon as any part fails. */
export type Begin = <P>(part: (signal: AbortSignal) => Promise<P>) => Promise<P>;

/**
 * Work in parts that run at the same time: the first trouble of one aborts the others, and nothing is settled before every
 * part has ended, so that whoever waits for this may remove the files of all.
 * @param signal ends all of them
 * @throws what went wrong first, not the aborts that followed from it
 */
export async function allOrNone<T>(signal: AbortSignal, work: (begin: Begin) => Promise<T>): Promise<T> {
  const failure = new AbortController();
  const all = AbortSignal.any([signal, failure.signal]);
  const errors: unknown[] = [];
  const parts: Promise<void>[] = [];
  const fail = (error: unknown): void => {
    errors.push(error);
    failure.abort();
  };
  const begin: Begin = (part) => {
    const begun = part(all);
    parts.push(begun.then(() => {}, fail));
    return begun;
  };
  const value = await work(begin).catch(fail);
  await Promise.all(parts);
  if (errors.length === 0) return value as T;
  throw errors.find((error) => !isAbort(error)) ?? errors[0];
}
