import { createHash } from 'node:crypto';
import type { Bzip2, Bzip2Block } from './bzip2.ts';
import { vocabulary, wikitext } from './prose.ts';
import { seededRandom } from './random.ts';
import { compressLzma2, type Lzma2Run } from './seven-zip.ts';

/** The body of one revision: its size and hash as the export gives them, and the escaped text or a shared unit of it. */
export interface RevisionText {
  /** UTF-8 bytes of the unescaped text. */
  readonly bytes: number;
  /** SHA-1 of the unescaped text in base 36, 31 digits, as MediaWiki writes it. */
  readonly sha1: string;
  readonly body: string | PoolUnit;
}

/** A text that many pages share, compressed once: writing it again costs only a copy. */
export interface PoolUnit {
  readonly escaped: Buffer;
  readonly block: Bzip2Block;
  readonly lzma2: Lzma2Run | null;
}

/** Shared revision texts of three lengths: about 5 kB, 40 kB and 600 kB. A small world has none of the longer ones. */
export interface TextPool {
  readonly short: readonly RevisionText[];
  readonly medium: readonly RevisionText[];
  readonly large: readonly RevisionText[];
}

/** Escapes the characters that MediaWiki's export escapes in text and attributes. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (c) =>
    c === '&' ? '&amp;' : c === '<' ? '&lt;' : c === '>' ? '&gt;' : '&quot;',
  );
}

/** SHA-1 in MediaWiki's base 36 notation. */
export function sha1Base36(text: string): string {
  const hex = createHash('sha1').update(text).digest('hex');
  return BigInt(`0x${hex}`).toString(36).padStart(31, '0');
}

/** A revision text that is its page's own. */
export function ownText(text: string): RevisionText {
  return { bytes: Buffer.byteLength(text), sha1: sha1Base36(text), body: escapeXml(text) };
}

interface PoolOptions {
  seed: number;
  bzip2: Bzip2;
  /** Path of the 7-Zip program; null leaves out what only archives need. */
  sevenZip: string | null;
  /** Size of the world: smaller ones do not use the longer texts, and need not wait for their compression. */
  sizeBytes: number;
}

/** Generates and compresses the shared texts. */
export async function buildTextPool({ seed, bzip2, sevenZip, sizeBytes }: PoolOptions): Promise<TextPool> {
  const words = vocabulary(seededRandom(`${seed}/words`), 'latin', 4000);
  const texts = (kind: string, count: number, bytes: number): string[] =>
    Array.from({ length: count }, (_, i) =>
      wikitext(seededRandom(`${seed}/pool/${kind}/${i}`), words, bytes * (0.7 + (0.6 * i) / count)),
    );
  const short = texts('short', sizeBytes < 200_000 ? 0 : 24, 5_000);
  const medium = texts('medium', sizeBytes < 2_000_000 ? 0 : 12, 40_000);
  const large = texts('large', sizeBytes < 100_000_000 ? 0 : 8, 600_000);
  const all = [...short, ...medium, ...large];
  const escaped = all.map((text) => Buffer.from(escapeXml(text)));
  const runs = sevenZip === null ? null : await compressLzma2(sevenZip, escaped);
  const units = all.map((text, i): RevisionText => {
    const buffer = escaped[i] as Buffer;
    const unit: PoolUnit = { escaped: buffer, block: bzip2.block(buffer), lzma2: runs?.[i] ?? null };
    return { bytes: Buffer.byteLength(text), sha1: sha1Base36(text), body: unit };
  });
  return {
    short: units.slice(0, short.length),
    medium: units.slice(short.length, short.length + medium.length),
    large: units.slice(short.length + medium.length),
  };
}
