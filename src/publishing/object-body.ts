import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ObjectStream } from '../ports/index.ts';

/** What goes over the wire for one object. */
export interface ObjectBody {
  body: Uint8Array | Readable;
  sizeBytes: number;
  /** Base64, for Content-MD5. */
  md5: string;
  /** What reading it threw; null = nothing. */
  failure(): { error: unknown } | null;
  /** Reads no further. */
  end(): void;
}

/**
 * The bytes at once, or one behind the other as the network takes them.
 * @param onFailure called when reading them fails: whoever sends does not notice, and would wait for the rest
 */
export function bodyOf(content: Uint8Array | ObjectStream, onFailure: () => void): ObjectBody {
  if (content instanceof Uint8Array) {
    const md5 = createHash('md5').update(content).digest('base64');
    return { body: content, sizeBytes: content.length, md5, failure: () => null, end: () => {} };
  }
  let failure: { error: unknown } | null = null;
  const body = Readable.from(content.chunks(), { objectMode: false });
  body.on('error', (error) => {
    failure ??= { error };
    onFailure();
  });
  return {
    ...{ body, sizeBytes: content.sizeBytes },
    md5: Buffer.from(content.md5, 'hex').toString('base64'),
    failure: () => failure,
    end: () => void body.destroy(),
  };
}
