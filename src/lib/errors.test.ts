import { expect, test } from 'vitest';
import { describeError } from './errors.ts';

test.each([
  ['a', ['a']],
  ['a: b', ['a', 'b']],
  ['no answer: connect ECONNREFUSED', ['no answer', 'connect ECONNREFUSED', 'connect ECONNREFUSED']],
  ['cannot write x: ENOSPC', ['cannot write x: ENOSPC', 'ENOSPC']],
])('%s: a cause that only repeats what was said is not told again', (words, messages) => {
  const error = messages
    .toReversed()
    .reduce<Error | undefined>((cause, message) => new Error(message, { cause }), undefined);
  expect(describeError(error)).toBe(words);
});
