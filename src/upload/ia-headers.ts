/** Item metadata for the moment an item is created: field name to one or more values. */
export type ItemMetadata = Readonly<Record<string, string | readonly string[]>>;

/** What one PUT says beside its bytes. */
export interface PutFacts {
  sizeBytes: number;
  /** Lower-case hex. */
  md5: string;
  sha256: string;
  /** Planned size of the whole item; the archive places large items by it. */
  itemSizeBytes: number;
  /** Metadata to create the item with; null when it exists already, because then it is ignored. */
  metadata: ItemMetadata | null;
}

/**
 * Encodes a header value as the archive reads it: anything with white space, non-ASCII or control characters, and whatever would look like our own
 * wrapper, travels as `uri(` + percent-encoded UTF-8 + `)`.
 */
export function headerValue(value: string): string {
  if (/^[\x21-\x7e]*$/.test(value) && !value.startsWith('uri(')) return value;
  const encoded = encodeURIComponent(value).replace(
    /[()'*!]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `uri(${encoded})`;
}

/** `x-archive-meta00-title: …`: two-digit index for each repeated value, `_` in names as `--`, empty values left out. */
export function metadataHeaders(metadata: ItemMetadata): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, given] of Object.entries(metadata)) {
    const values = (typeof given === 'string' ? [given] : given).filter((value) => value.trim() !== '');
    for (const [index, value] of values.entries())
      headers[`x-archive-meta${String(index).padStart(2, '0')}-${name.replaceAll('_', '--')}`] =
        headerValue(value);
  }
  return headers;
}

/** All headers of one PUT except `Authorization` and `Expect`, which belong to the connection. */
export function putHeaders(facts: PutFacts): Record<string, string> {
  return {
    'content-length': String(facts.sizeBytes),
    'content-md5': facts.md5,
    'content-type': 'application/octet-stream',
    'x-archive-auto-make-bucket': '1',
    'x-archive-queue-derive': '0',
    'x-archive-keep-old-version': '0',
    'x-archive-size-hint': String(facts.itemSizeBytes),
    'x-archive-filemeta00-sha256': facts.sha256,
    ...(facts.metadata === null ? {} : metadataHeaders(facts.metadata)),
  };
}
