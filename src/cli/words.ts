/** A number with its noun: `1 torrent`, `3 torrents`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** A number that may not be known. */
export const orUnknown = (count: number | null): string => (count === null ? 'unknown' : String(count));
