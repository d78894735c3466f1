import { z } from 'zod';
import {
  durationText,
  parseDuration,
  parseRate,
  parseSize,
  rateText,
  sizeText,
  UnitError,
} from '../lib/units.ts';
import type { Kind } from './fields.ts';

/** The kinds of values a configuration key can have. Each refusal is a sentence that says what to write instead. */

/** A value that is refused; the message is completed by the caller with path and line. */
class Refusal extends Error {}

/** Stops the reading of a value with a sentence for the operator. */
export function refuse(sentence: string): never {
  throw new Refusal(sentence);
}

/** Makes a kind from a reader that refuses or returns, and its exact reverse. */
export function kind<Value>(decode: (raw: unknown) => Value, encode: (value: Value) => unknown): Kind<Value> {
  return z.codec(z.unknown(), z.custom<Value>(), {
    decode: (raw, context) => {
      try {
        return decode(raw);
      } catch (error) {
        if (!(error instanceof Refusal) && !(error instanceof UnitError)) throw error;
        context.issues.push({ code: 'custom', input: raw, message: error.message });
        return z.NEVER;
      }
    },
    encode: (value) => encode(value as Value),
  }) as Kind<Value>;
}

/** How a refused value is quoted: short, on one line, and groups and lists by their sort only. */
export function shown(raw: unknown): string {
  if (raw === null) return 'nothing';
  if (Array.isArray(raw)) return 'a list';
  if (typeof raw === 'object') return 'a group of keys';
  const text = JSON.stringify(raw) ?? String(raw);
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text;
}

const asIs = <Value>(value: Value): Value => value;

/** A kind that may also be `null`, meaning "off" or "none". */
export function orNull<Value>(inner: Kind<Value>): Kind<Value | null> {
  return z.nullable(inner) as Kind<Value | null>;
}

/** `true` or `false`. YAML 1.2 reads yes, no, on and off as words, hence the hint. */
export function flag(): Kind<boolean> {
  return kind(
    (raw) => (typeof raw === 'boolean' ? raw : refuse(`must be true or false, found ${shown(raw)}.`)),
    asIs,
  );
}

/** A whole number between two bounds, both included. */
export function count(min: number, max: number = Number.MAX_SAFE_INTEGER): Kind<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return kind((raw) => {
    const isFine = typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= min && raw <= max;
    return isFine ? raw : refuse(`must be a whole number ${range}, found ${shown(raw)}.`);
  }, asIs);
}

/** A percentage from 1 to 100; fractions are fine, a % sign is not part of it. */
export function percent(): Kind<number> {
  return kind((raw) => {
    const isFine = typeof raw === 'number' && raw >= 1 && raw <= 100;
    return isFine ? raw : refuse(`must be a percentage from 1 to 100 without a % sign, found ${shown(raw)}.`);
  }, asIs);
}

/** Text without line breaks; empty only where allowed. */
export function text(options: { mayBeEmpty?: boolean } = {}): Kind<string> {
  return kind((raw) => {
    if (typeof raw !== 'string') return refuse(`must be text, found ${shown(raw)}; put it in quotes.`);
    if (/[\r\n\0]/.test(raw)) return refuse('must be one line of text.');
    const trimmed = raw.trim();
    return trimmed === '' && !options.mayBeEmpty ? refuse('must not be empty.') : trimmed;
  }, asIs);
}

/** One of a few words. */
export function choice<const Word extends string>(words: readonly Word[]): Kind<Word> {
  return kind((raw) => {
    const word = words.find((known) => known === raw);
    return word ?? refuse(`must be ${oneOf(words)}, found ${shown(raw)}.`);
  }, asIs);
}

/** `a`, `a or b`, `a, b or c`. */
export function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A size with a unit, in bytes. */
export function size(limits: { min?: number; max?: number } = {}): Kind<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = limits;
  return kind((raw) => {
    const bytes = parseSize(textOrNumber(raw, 'a size, such as 500MB or 16MiB'));
    if (bytes < min) return refuse(`must be at least ${sizeText(min)}, found ${shown(raw)}.`);
    return bytes > max ? refuse(`must be at most ${sizeText(max)}, found ${shown(raw)}.`) : bytes;
  }, sizeText);
}

const PIECE_LENGTH_MIN_BYTES = 16 * 2 ** 10; // BEP 3 practice: clients refuse smaller pieces.
const PIECE_LENGTH_MAX_BYTES = 64 * 2 ** 20; // Larger pieces are refused by several clients.

/** A BitTorrent piece length: a power of two from 16KiB to 64MiB, in bytes. */
export function pieceLength(): Kind<number> {
  return kind((raw) => {
    const bytes = parseSize(textOrNumber(raw, 'a size, such as 16MiB'));
    const isPower = Number.isInteger(Math.log2(bytes));
    if (isPower && bytes >= PIECE_LENGTH_MIN_BYTES && bytes <= PIECE_LENGTH_MAX_BYTES) return bytes;
    return refuse(
      `must be a power of two from 16KiB to 64MiB, such as 4MiB or 16MiB (MiB, not MB), found ${shown(raw)}.`,
    );
  }, sizeText);
}

/** A limit in bytes per second, or `unlimited`, which becomes null. */
export function limit(): Kind<number | null> {
  return kind((raw) => {
    if (raw === 'unlimited') return null;
    const rate = parseRate(textOrNumber(raw, 'a rate such as 20MB/s, or unlimited'));
    // 0 means "none" to one reader and "unlimited" to another, so it may not be written.
    return rate > 0 ? rate : refuse('must be more than 0; write unlimited for no limit.');
  }, rateText);
}

/** A duration with a unit, in milliseconds. */
export function duration(limits: { minMs?: number; maxMs?: number } = {}): Kind<number> {
  const { minMs = 0, maxMs = Number.MAX_SAFE_INTEGER } = limits;
  return kind((raw) => {
    const ms = parseDuration(textOrNumber(raw, 'a duration, such as 90s, 4h or 7d'));
    if (ms < minMs) return refuse(`must be at least ${durationText(minMs)}, found ${shown(raw)}.`);
    return ms > maxMs ? refuse(`must be at most ${durationText(maxMs)}, found ${shown(raw)}.`) : ms;
  }, durationText);
}

function textOrNumber(raw: unknown, wanted: string): string | number {
  if (typeof raw === 'string' || typeof raw === 'number') return raw;
  return refuse(`must be ${wanted}, found ${shown(raw)}.`);
}

/** A list of values of one kind, each at most once. */
export function listOf<Value>(inner: Kind<Value>, options: { min?: number } = {}): Kind<readonly Value[]> {
  const { min = 0 } = options;
  const wanted = (issue: { input?: unknown }) => {
    return `must be a list, such as [a, b] or one "- " line for each, found ${shown(issue.input)}.`;
  };
  return z
    .array(inner, { error: wanted })
    .min(min, { error: () => `must have at least ${min === 1 ? 'one entry' : `${min} entries`}.` })
    .check((context) => {
      const seen = new Set<string>();
      for (const [index, value] of context.value.entries()) {
        const identity = JSON.stringify(value);
        if (seen.has(identity)) {
          const message = `is in the list twice: ${shown(value)}.`;
          context.issues.push({ code: 'custom', input: value, path: [index], message });
        }
        seen.add(identity);
      }
    }) as unknown as Kind<readonly Value[]>;
}
