import { createGunzip } from 'node:zlib';
import { BrokenStructure } from './broken-structure.ts';
import { createTextEnd } from './text-end.ts';

/** Of the unpacked bytes only the end is kept; large blocks cost fewer calls. */
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
 * @param end gets the end of the unpacked text
 * @throws BrokenStructure, and what `chunks` throws
 */
export async function checkGzip(
  chunks: AsyncIterable<Buffer>,
  onProgress: (checkedBytes: number) => void,
  end = createTextEnd(),
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
  gunzip.on('data', (bytes: Buffer) => end.add(bytes));
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
