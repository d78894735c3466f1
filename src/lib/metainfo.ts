import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/*
 * A .torrent file as its bytes stand (BEP 3). The info dictionary decides the infohash, so it is never taken apart and put together
 * again: whoever changes what surrounds it keeps it byte for byte.
 */

/** One file, in torrent order. */
export interface MetainfoFile {
  /** Below the folder of the torrent, with `/`. */
  path: string;
  sizeBytes: number;
  /** Zeros that are on no disk (BEP 47). */
  isPadding: boolean;
  /** Where it begins in the torrent. */
  offset: number;
}

/** What a .torrent file says. */
export interface Metainfo {
  /** 40 lower-case hex digits. */
  infoHash: string;
  name: string;
  pieceLength: number;
  /** SHA-1 of each piece, 20 bytes each. */
  pieces: Buffer;
  files: MetainfoFile[];
  totalSizeBytes: number;
  /** Roots of `url-list` (BEP 19). */
  webseeds: string[];
}

/** Bytes that are no .torrent file of several files. */
export class MetainfoError extends Error {
  readonly code = 'torrent_file_unreadable';
}

/** Some milliseconds' worth. */
const FILES_AT_ONCE = 4000;

const [LETTER_D, LETTER_L, LETTER_I, LETTER_E, COLON] = [0x64, 0x6c, 0x69, 0x65, 0x3a];

/** Reads bencode from a place on, without making values of what is only passed by. */
class Reader {
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
    this.expect(LETTER_D);
    while (!this.ends()) entry(this.key());
  }

  list(item: () => void): void {
    this.beginList();
    while (!this.ends()) item();
  }

  beginList(): void {
    this.expect(LETTER_L);
  }

  skip(depth = 0): void {
    const sign = this.bytes[this.at];
    if (depth > 20) throw new MetainfoError('it is nested too deep');
    if (sign === LETTER_I) {
      const end = this.bytes.indexOf(LETTER_E, this.at);
      if (end < 0) throw new MetainfoError('it ends too early');
      this.at = end + 1;
    } else if (sign === LETTER_L) this.list(() => this.skip(depth + 1));
    else if (sign === LETTER_D) {
      this.expect(LETTER_D);
      while (!this.ends()) {
        this.passText();
        this.skip(depth + 1);
      }
    } else this.passText();
  }

  /** The bytes of the next value as they stand. */
  raw(): Buffer {
    const from = this.at;
    this.skip();
    return this.bytes.subarray(from, this.at);
  }

  isList(): boolean {
    return this.bytes[this.at] === LETTER_L;
  }

  private key(): string {
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

function segment(text: string): string {
  if (text === '' || text === '.' || text === '..' || /[/\\\0]/.test(text))
    throw new MetainfoError(`${JSON.stringify(text.slice(0, 80))} cannot be the name of a file`);
  return text;
}

/**
 * Reads a .torrent of several files; paths are checked, because it lay on a disk meanwhile. One with 30,000 files takes 30 ms, in
 * turns, so that everything else goes on.
 * @throws MetainfoError
 */
export async function readMetainfo(bytes: Uint8Array): Promise<Metainfo> {
  const { info, webseeds } = envelopeOf(bytes);
  const reader = new Reader(info);
  const files: MetainfoFile[] = [];
  let [name, pieceLength, totalSizeBytes] = ['', 0, 0];
  let pieces: Buffer = Buffer.alloc(0);
  const readFile = (): void => {
    const path: string[] = [];
    let [sizeBytes, isPadding] = [-1, false];
    reader.dictionary((key) => {
      if (key === 'length') sizeBytes = reader.integer();
      else if (key === 'path') reader.list(() => void path.push(segment(reader.text())));
      else if (key === 'attr') isPadding = reader.text().includes('p');
      else reader.skip();
    });
    if (sizeBytes < 0 || path.length === 0) throw new MetainfoError('a file has no length, or no path');
    files.push({ path: path.join('/'), sizeBytes, isPadding, offset: totalSizeBytes });
    totalSizeBytes += sizeBytes;
  };
  let filesAt: number | null = null;
  reader.dictionary((key) => {
    if (key === 'name') name = segment(reader.text());
    else if (key === 'piece length') pieceLength = reader.integer();
    // What a buffer is cut from stays in memory with it.
    else if (key === 'pieces') pieces = Buffer.from(reader.bytesOf());
    else {
      if (key === 'files') filesAt = reader.at;
      reader.skip();
    }
  });
  if (filesAt === null) throw new MetainfoError('it has no list of files');
  await nextTurn();
  reader.at = filesAt;
  reader.beginList();
  while (!reader.ends()) {
    readFile();
    if (files.length % FILES_AT_ONCE === 0) await nextTurn();
  }
  if (name === '' || pieceLength < 1 || pieces.length !== 20 * Math.ceil(totalSizeBytes / pieceLength))
    throw new MetainfoError('its pieces do not fit its files');
  const infoHash = createHash('sha1').update(info).digest('hex');
  return { infoHash, name, pieceLength, pieces, files, totalSizeBytes, webseeds };
}

function envelopeOf(bytes: Uint8Array): { entries: [string, Buffer][]; info: Buffer; webseeds: string[] } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new Reader(buffer);
  const entries: [string, Buffer][] = [];
  reader.dictionary((key) => entries.push([key, reader.raw()]));
  if (reader.at !== buffer.length) throw new MetainfoError('something follows it');
  const entry = (wanted: string): Buffer | undefined => entries.find(([key]) => key === wanted)?.[1];
  const info = entry('info');
  if (info === undefined) throw new MetainfoError('it has no info dictionary');
  const webseeds: string[] = [];
  const list = entry('url-list');
  if (list !== undefined) {
    const values = new Reader(list);
    const read = (): void => void webseeds.push(values.text());
    if (values.isList()) values.list(read);
    else read();
  }
  return { entries, info, webseeds: webseeds.filter((url) => url !== '') };
}

/**
 * The same .torrent with other webseeds; every other byte stays, those of the info dictionary before all.
 * @param webseeds roots (BEP 19) in order; none = no `url-list`
 * @throws MetainfoError
 */
export function withWebseeds(bytes: Uint8Array, webseeds: readonly string[]): Buffer {
  const kept = envelopeOf(bytes).entries.filter(([key]) => key !== 'url-list');
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.from(`${Buffer.byteLength(value)}:`), Buffer.from(value)]);
  const list = Buffer.concat([Buffer.from('l'), ...webseeds.map(text), Buffer.from('e')]);
  const entries: [string, Buffer][] = webseeds.length === 0 ? kept : [...kept, ['url-list', list]];
  // Keys in the order of their bytes, as bencode wants them.
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat([
    Buffer.from('d'),
    ...entries.flatMap(([key, raw]) => [Buffer.from(`${key.length}:${key}`, 'latin1'), raw]),
    Buffer.from('e'),
  ]);
}
