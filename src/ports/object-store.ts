/** Facts of one stored object. */
export interface ObjectFacts {
  sizeBytes: number;
  /** Hex SHA-256 that we stored with it; null when absent. */
  sha256: string | null;
}

/** What is too large for memory: read while it is sent. */
export interface ObjectStream {
  sizeBytes: number;
  /** Hex. */
  md5: string;
  /** From the beginning, exactly `sizeBytes` of them; ended early when sending ends early. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** A bucket. Reads and writes may be repeated; errors arrive classified, an aborted signal as Interrupted. */
export interface ObjectStore {
  /** null when there is no object of that key. */
  head(key: string, signal?: AbortSignal): Promise<ObjectFacts | null>;
  /** @throws whatever reading a stream says, besides */
  put(
    key: string,
    content: Uint8Array | ObjectStream,
    facts: { contentType: string; cacheControl: string; sha256: string },
    signal?: AbortSignal,
  ): Promise<void>;
  get(key: string, signal?: AbortSignal): Promise<Uint8Array | null>;
}
