import { AssertionError } from './errors.ts';

/** Throws `AssertionError` when our own reasoning is wrong; never used for input from outside. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Compile-time proof that a switch is exhaustive. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected value ${JSON.stringify(value)}`);
}
