import { createGunzip } from 'node:zlib';
import { BrokenStructure, NOWHERE } from './broken-structure.ts';

/** Large blocks cost fewer calls. */
const OUTPUT_BYTES = 1024 * 1024;

/**
 * Damage that is met by something that cannot be lies at most so far before it more often than not; never behind it. One turned bit
 * of text is rarely met so: most often a few words are other ones, and only the checksum at the end of the member tells.
 */
const NEAR_BYTES = 64 * 1024;

/**
 * Reads a gzip file to its end: every member with its checksum and length, and nothing behind the last one.
 * @param chunks the file's bytes in order
 * @param onProgress called after each chunk with the bytes read so far
 * @param sink gets the unpacked bytes, before the checksum of their member is known to be right
 * @throws BrokenStructure, and what `chunks` throws
 */
export async function readGzip(
  chunks: AsyncIterable<Buffer>,
  onProgress: (checkedBytes: number) => void,
  sink = NOWHERE,
): Promise<void> {
  const gunzip = createGunzip({ chunkSize: OUTPUT_BYTES });
  let error: Error | null = null;
  let isOver = false;
  const over = new Promise<void>((resolve) => {
    const finish = (): void => {
      isOver = true;
      resolve();
    };
    gunzip.once('end', finish).once('error', (thrown) => {
      error = thrown;
      finish();
    });
  });
  let refusal: { cause: unknown } | null = null;
  gunzip.on('data', (bytes: Buffer) => {
    if (refusal !== null) return;
    try {
      sink.add(bytes);
    } catch (cause) {
      refusal = { cause };
      gunzip.destroy(new Error('nobody takes the unpacked bytes'));
    }
  });
  let sizeBytes = 0;
  let givenBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    // Zeros behind the last member end the stream at once; whatever else stands there is taken for another member.
    if (isOver) break;
    givenBytes = sizeBytes;
    await Promise.race([over, new Promise<void>((resolve) => gunzip.write(chunk, () => resolve()))]);
    onProgress(sizeBytes);
  }
  if (sizeBytes === 0) throw new BrokenStructure('the file is empty');
  if (!isOver) gunzip.end();
  await over;
  gunzip.destroy();
  // TypeScript does not see what listeners assign.
  const refused = refusal as { cause: unknown } | null;
  if (refused !== null) throw refused.cause;
  if (error !== null) {
    const told = new BrokenStructure(wording(error, gunzip.bytesWritten), { cause: error });
    // The checksum at the end says nothing of the place of the damage; anything else is met behind it, within the last chunk.
    const isAtEnd = givenBytes === sizeBytes;
    if (!isAtEnd || !/data check|length check/.test((error as Error).message))
      told.where = { startBytes: Math.max(0, gunzip.bytesWritten - NEAR_BYTES), endBytes: givenBytes };
    throw told;
  }
  if (gunzip.bytesWritten < sizeBytes)
    throw new BrokenStructure(`there are bytes behind the end at byte ${gunzip.bytesWritten}`);
}

function wording(error: Error & { code?: string }, offset: number): string {
  if (error.code === 'Z_BUF_ERROR') return `the file ends after ${offset} bytes, in the middle`;
  return `${error.message} (after byte ${offset})`;
}
