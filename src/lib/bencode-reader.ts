import { setImmediate as nextTurn } from 'node:timers/promises';

/** Bytes that are no .torrent file of several files. */
export class MetainfoError extends Error {
  readonly code = 'torrent_file_unreadable';
}

/** Passed by in one turn: some milliseconds' worth. */
const VALUES_AT_ONCE = 20_000;
/** Of lists and dictionaries within each other. */
const DEPTH_MAX = 20;
const [LETTER_D, LETTER_L, LETTER_I, LETTER_E, COLON] = [0x64, 0x6c, 0x69, 0x65, 0x3a];

/** What comes next in a list or dictionary that is passed by. */
type Next = 'item' | 'key' | 'value';

/** Reads bencode from a place on, without making values of what is only passed by. */
export class Reader {
  at: number;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  private number(end: number): number {
    let value = 0;
    const from = this.at;
    for (let digit = this.bytes[this.at]; digit !== end; digit = this.bytes[this.at]) {
      if (digit === undefined || digit < 0x30 || digit > 0x39) throw new MetainfoError('it is no bencode');
      value = value * 10 + digit - 0x30;
      this.at += 1;
    }
    if (this.at === from || !Number.isSafeInteger(value)) throw new MetainfoError('it is no bencode');
    this.at += 1;
    return value;
  }

  /** Passes a string by. @returns where it began */
  private passText(): number {
    const length = this.number(COLON);
    const from = this.at;
    if (from + length > this.bytes.length) throw new MetainfoError('it ends too early');
    this.at += length;
    return from;
  }

  /** A string, as the bytes it is made of. */
  bytesOf(): Buffer {
    const from = this.passText();
    return this.bytes.subarray(from, this.at);
  }

  /** A string, as text. Cutting out a buffer for each of 100,000 names would take longer than all the rest. */
  text(): string {
    const from = this.passText();
    return this.bytes.toString('utf8', from, this.at);
  }

  /** A number that is not negative. */
  integer(): number {
    this.expect(LETTER_I);
    return this.number(LETTER_E);
  }

  /** Calls for every entry, which must be read or skipped. */
  dictionary(entry: (key: string) => void): void {
    this.beginDictionary();
    while (!this.ends()) entry(this.key());
  }

  list(item: () => void): void {
    this.beginList();
    while (!this.ends()) item();
  }

  beginDictionary(): void {
    this.expect(LETTER_D);
  }

  beginList(): void {
    this.expect(LETTER_L);
  }

  /** Passes a value by. */
  skip(): void {
    this.pass([], Number.POSITIVE_INFINITY);
  }

  /** The bytes of the next value as they stand; of a large one in turns. */
  async raw(): Promise<Buffer> {
    const from = this.at;
    const open: Next[] = [];
    while (!this.pass(open, VALUES_AT_ONCE)) await nextTurn();
    return this.bytes.subarray(from, this.at);
  }

  /**
   * Passes at most so many parts of a value by.
   * @param open lists and dictionaries that were begun, kept from call to call; empty at the beginning
   * @returns true when the value is over
   */
  private pass(open: Next[], count: number): boolean {
    for (let passed = 0; passed < count; passed += 1) {
      const top = open.length - 1;
      const next = open[top];
      const sign = this.bytes[this.at];
      if (sign === LETTER_E && (next === 'item' || next === 'key')) {
        this.at += 1;
        open.pop();
      } else if (next === 'key') {
        this.passText();
        open[top] = 'value';
        continue;
      } else {
        if (open.length > DEPTH_MAX) throw new MetainfoError('it is nested too deep');
        if (next === 'value') open[top] = 'key';
        if (sign === LETTER_L || sign === LETTER_D) {
          this.at += 1;
          open.push(sign === LETTER_L ? 'item' : 'key');
          continue;
        }
        if (sign === LETTER_I) {
          const end = this.bytes.indexOf(LETTER_E, this.at);
          if (end < 0) throw new MetainfoError('it ends too early');
          this.at = end + 1;
        } else this.passText();
      }
      if (open.length === 0) return true;
    }
    return false;
  }

  isList(): boolean {
    return this.bytes[this.at] === LETTER_L;
  }

  key(): string {
    const from = this.passText();
    return this.bytes.toString('latin1', from, this.at);
  }

  /** True behind the last item of a list. */
  ends(): boolean {
    if (this.bytes[this.at] !== LETTER_E) return false;
    this.at += 1;
    return true;
  }

  private expect(letter: number): void {
    if (this.bytes[this.at] !== letter) throw new MetainfoError('it is not what a .torrent file is');
    this.at += 1;
  }
}
