import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Tokenizer, TokenParser, TokenType } from '@streamparser/json';
import { RetryableError } from '../lib/index.ts';

/** A turn of the event loop for each: at some 30 MB/s of parsing about 2 ms. */
const SLICE_BYTES = 64 * 1024;
/** `index.json` is tens of megabytes; ten times that is a fault. */
const MAX_BYTES = 400_000_000;

/**
 * Reads `index.json` from a body as it comes: each wiki's entry, parsed, once and in upstream's order. Never more than one
 * entry is in memory.
 * @throws RetryableError `torn_index` when it is cut off, of another shape, or has something behind its end; `too_large`;
 * whatever the body throws
 */
export async function readIndex(
  body: Readable,
  onEntry: (wikiDbName: string, entry: unknown) => void,
): Promise<void> {
  const parser = createIndexParser(onEntry);
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BYTES)
      throw new RetryableError('too_large', `index.json has more than ${MAX_BYTES} bytes`);
    for (let from = 0; from < (chunk as Buffer).length; from += SLICE_BYTES) {
      parser.write((chunk as Buffer).subarray(from, from + SLICE_BYTES));
      await nextTurn();
    }
  }
  parser.end();
}

function createIndexParser(onEntry: (wikiDbName: string, entry: unknown) => void): {
  write(bytes: Buffer): void;
  end(): void;
} {
  const torn = (cause: unknown): RetryableError =>
    new RetryableError('torn_index', 'index.json is not complete', { cause });
  let hasWikis = false;
  let isEnded = false;
  // What onEntry throws must not pass for a fault of the document.
  let thrown: { error: unknown } | null = null;
  const values = new TokenParser({ paths: ['$.wikis.*'], keepStack: false });
  const tokens = new Tokenizer();
  values.onValue = ({ key, value }) => {
    if (typeof key !== 'string') return;
    try {
      onEntry(key, value);
    } catch (error) {
      thrown ??= { error };
    }
  };
  values.onEnd = () => {
    isEnded = true;
    if (!tokens.isEnded) tokens.end();
  };
  // An index that names no wiki has no value to tell of, so the tokens must say whether there was a list at all.
  let depth = 0;
  let keyIsWikis = false;
  tokens.onToken = (token) => {
    if (!hasWikis) {
      if (depth === 1 && token.token === TokenType.STRING) keyIsWikis = token.value === 'wikis';
      else if (depth === 1 && keyIsWikis && token.token === TokenType.LEFT_BRACE) hasWikis = true;
      else if (token.token !== TokenType.COLON) keyIsWikis = false;
      if (token.token === TokenType.LEFT_BRACE || token.token === TokenType.LEFT_BRACKET) depth += 1;
      if (token.token === TokenType.RIGHT_BRACE || token.token === TokenType.RIGHT_BRACKET) depth -= 1;
    }
    values.write(token);
  };
  const guarded = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      throw torn(error);
    }
    if (thrown !== null) throw thrown.error;
  };
  return {
    write: (bytes) =>
      guarded(() => {
        if (!isEnded) return tokens.write(bytes);
        // Rewritten in place: a shorter document leaves the end of the longer one behind itself.
        if (!/^\s*$/.test(bytes.toString('latin1'))) throw new Error('there is something behind its end');
      }),
    end: () =>
      guarded(() => {
        if (!tokens.isEnded) tokens.end();
        if (!isEnded || !hasWikis) throw new Error('it names no wikis');
      }),
  };
}
