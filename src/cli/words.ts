import { plainText } from './table.ts';

// As on the status page.
const SPELLED: Readonly<Record<string, string>> = {
  ia: 'to the Internet Archive',
  db: 'database',
  r2: 'R2',
};

/** Stored names for people: `find_dumps` -> `find dumps`, `upload_ia` -> `upload to the Internet Archive`. */
export function wordsOf(name: string): string {
  const words = name.split('_').map((word) => SPELLED[word] ?? word);
  return plainText(words.join(' '));
}

/** A number with its noun: `1 torrent`, `3 torrents`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
