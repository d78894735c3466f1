import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { RetryableError } from '../lib/index.ts';

/** A turn of the event loop for each; an entry, however long, is parsed in one: 5 ms for the 660 kB of the largest wiki. */
const SLICE_BYTES = 256 * 1024;
/** `index.json` is tens of megabytes; ten times that is a fault. */
const MAX_BYTES = 400_000_000;

/** Told of one wiki: its entry, and the bytes it was parsed from: never changed later, but perhaps a view of all that came in with them. */
export type OnEntry = (wikiDbName: string, entry: unknown, bytes: Buffer) => void;

/**
 * Reads `index.json` from a body as it comes: each wiki's entry, parsed, once and in upstream's order. Never more than one
 * entry is in memory.
 * @throws RetryableError `torn_index` when it is cut off, of another shape, or has something behind its end; `too_large`;
 * whatever the body throws
 */
export async function readIndex(body: Readable, onEntry: OnEntry): Promise<void> {
  const scanner = createIndexScanner(onEntry);
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BYTES)
      throw new RetryableError('too_large', `index.json has more than ${MAX_BYTES} bytes`);
    for (let from = 0; from < (chunk as Buffer).length; from += SLICE_BYTES) {
      scanner.write((chunk as Buffer).subarray(from, from + SLICE_BYTES));
      await nextTurn();
    }
  }
  scanner.end();
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = [0x5b, 0x7b] as const;
const CLOSE = [0x5d, 0x7d] as const;

/**
 * Finds where each entry begins and ends, by brackets and quotes alone, and leaves it to `JSON.parse`: 27 MB take
 * 0.5 s of CPU and 37 MB of memory, with `@streamparser/json` 0.8 s and 45 MB, and the bytes would have to be written anew. What stands around the entries is kept, with a 0 for each of them, and parsed at the end:
 * that is what tells a whole document.
 */
function createIndexScanner(onEntry: OnEntry): { write(bytes: Buffer): void; end(): void } {
  let depth = 0;
  let isInString = false;
  let isEscaped = false;
  /** Within the object of all wikis. */
  let isInWikis = false;
  let hasWikis = false;
  /** The last string at the depth of names, as it stands there, and whether its colon was seen. */
  let name: string | null = null;
  let isNamed = false;
  let around: Buffer[] = [];
  /** Pieces of the entry that is being read; null: none is. */
  let entry: Buffer[] | null = null;
  /** Pieces of the string at the depth of names; null: none is being read. */
  let spelled: Buffer[] | null = null;

  function tellEntry(): void {
    const [only] = entry ?? [];
    const bytes = entry?.length === 1 && only !== undefined ? only : Buffer.concat(entry ?? []);
    entry = null;
    let wikiDbName: string;
    let value: unknown;
    try {
      wikiDbName = JSON.parse(name ?? '');
      value = JSON.parse(bytes.toString('utf8'));
    } catch (cause) {
      throw torn(cause);
    }
    around.push(ZERO);
    onEntry(wikiDbName, value, bytes);
  }

  return {
    write(bytes) {
      /** From where on the slice belongs to what is being read now. */
      let from = 0;
      const keep = (to: number): void => {
        const piece = bytes.subarray(from, to);
        if (entry !== null) entry.push(piece);
        // A view would keep all that came with it in memory until the end.
        else around.push(Buffer.from(piece));
        from = to;
      };
      let spelledFrom = 0;
      for (let at = 0; at < bytes.length; at += 1) {
        const byte = bytes[at] as number;
        if (isInString) {
          if (isEscaped) isEscaped = false;
          else if (byte === BACKSLASH) isEscaped = true;
          else if (byte === QUOTE) {
            isInString = false;
            if (spelled !== null) {
              name = Buffer.concat([...spelled, bytes.subarray(spelledFrom, at + 1)]).toString('utf8');
              spelled = null;
            }
          }
          continue;
        }
        // Names stand at depth 1 of the document and at depth 2 of the object of all wikis.
        const isAtNames = depth === 1 || (depth === 2 && isInWikis);
        if (byte === QUOTE) {
          isInString = true;
          if (isAtNames && !isNamed) {
            spelled = [];
            spelledFrom = at;
          }
        } else if (byte === COLON && isAtNames && !isNamed) {
          isNamed = true;
          if (depth === 2) {
            keep(at + 1);
            entry = [];
          }
        } else if (byte === COMMA && isAtNames) {
          if (entry !== null) {
            keep(at);
            tellEntry();
          }
          isNamed = false;
        } else if (byte === OPEN[0] || byte === OPEN[1]) {
          if (depth === 1 && byte === OPEN[1] && isNamed && isCalledWikis(name)) {
            isInWikis = true;
            hasWikis = true;
            isNamed = false;
          }
          depth += 1;
        } else if (byte === CLOSE[0] || byte === CLOSE[1]) {
          if (entry !== null && depth === 2) {
            keep(at);
            tellEntry();
          }
          depth -= 1;
          if (depth === 1 && isInWikis) {
            isInWikis = false;
            isNamed = true;
          }
          if (depth < 0) throw torn(new Error('it closes more than it opened'));
        }
      }
      if (spelled !== null) spelled.push(bytes.subarray(spelledFrom));
      keep(bytes.length);
      if (around.length > 1000) around = [Buffer.concat(around)];
    },
    end() {
      let document: unknown;
      try {
        document = JSON.parse(Buffer.concat(around).toString('utf8'));
      } catch (cause) {
        throw torn(cause);
      }
      if (!hasWikis || typeof document !== 'object') throw torn(new Error('it names no wikis'));
    },
  };
}

const ZERO = Buffer.from('0');

function isCalledWikis(name: string | null): boolean {
  try {
    return JSON.parse(name ?? '') === 'wikis';
  } catch {
    return false;
  }
}

const torn = (cause: unknown): RetryableError =>
  new RetryableError('torn_index', 'index.json is not complete', { cause });
