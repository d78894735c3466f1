import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MetainfoError, Reader } from './bencode-reader.ts';

export { MetainfoError } from './bencode-reader.ts';

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

/** What is read in one turn, so that everything else goes on: some milliseconds' worth of each. */
const FILES_AT_ONCE = 2000;
const HASHED_AT_ONCE_BYTES = 2 ** 20;

function segment(text: string): string {
  if (text === '' || text === '.' || text === '..' || /[/\\\0]/.test(text))
    throw new MetainfoError(`${JSON.stringify(text.slice(0, 80))} cannot be the name of a file`);
  return text;
}

/**
 * Reads a .torrent of several files; paths are checked, because it lay on a disk meanwhile. One with 30,000 files takes 40 ms, in
 * turns of a few, so that everything else goes on.
 * @throws MetainfoError
 */
export async function readMetainfo(bytes: Uint8Array): Promise<Metainfo> {
  const { info, webseeds } = await envelopeOf(bytes);
  const reader = new Reader(info);
  let files: MetainfoFile[] | null = null;
  let [name, pieceLength] = ['', 0];
  let pieces: Buffer = Buffer.alloc(0);
  reader.beginDictionary();
  while (!reader.ends()) {
    const key = reader.key();
    if (key === 'name') name = segment(reader.text());
    else if (key === 'piece length') pieceLength = reader.integer();
    // What a buffer is cut from stays in memory with it.
    else if (key === 'pieces') pieces = Buffer.from(reader.bytesOf());
    else if (key === 'files') files = await readFiles(reader);
    else reader.skip();
  }
  if (files === null) throw new MetainfoError('it has no list of files');
  const last = files.at(-1);
  const totalSizeBytes = last === undefined ? 0 : last.offset + last.sizeBytes;
  if (name === '' || pieceLength < 1 || pieces.length !== 20 * Math.ceil(totalSizeBytes / pieceLength))
    throw new MetainfoError('its pieces do not fit its files');
  const infoHash = await sha1InTurns(info);
  return { infoHash, name, pieceLength, pieces, files, totalSizeBytes, webseeds };
}

async function readFiles(reader: Reader): Promise<MetainfoFile[]> {
  const files: MetainfoFile[] = [];
  let offset = 0;
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
    files.push({ path: path.join('/'), sizeBytes, isPadding, offset });
    offset += sizeBytes;
  };
  await nextTurn();
  reader.beginList();
  while (!reader.ends()) {
    readFile();
    if (files.length % FILES_AT_ONCE === 0) await nextTurn();
  }
  await nextTurn();
  return files;
}

async function sha1InTurns(bytes: Buffer): Promise<string> {
  const hash = createHash('sha1');
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE_BYTES) {
    hash.update(bytes.subarray(at, at + HASHED_AT_ONCE_BYTES));
    await nextTurn();
  }
  return hash.digest('hex');
}

async function envelopeOf(
  bytes: Uint8Array,
): Promise<{ entries: [string, Buffer][]; info: Buffer; webseeds: string[] }> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new Reader(buffer);
  const entries: [string, Buffer][] = [];
  reader.beginDictionary();
  while (!reader.ends()) entries.push([reader.key(), await reader.raw()]);
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
export async function withWebseeds(bytes: Uint8Array, webseeds: readonly string[]): Promise<Buffer> {
  const kept = (await envelopeOf(bytes)).entries.filter(([key]) => key !== 'url-list');
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
