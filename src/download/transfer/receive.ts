import { Interrupted } from '../../lib/index.ts';
import type { DiskFile } from '../../ports/index.ts';
import type { RangeBody } from '../sources/types.ts';
import type { Claim } from './claims.ts';

/** Where the bytes of one connection go. */
export interface Receiver {
  file: DiskFile;
  signal: AbortSignal;
  /** So much may wait in memory beside a write as large: this is the back pressure of the disk. */
  pendingBytes: number;
  /** What to wait for before more is taken; null = nothing. */
  room(): Promise<void> | null;
  /** They are in the file. */
  onWritten(range: { startBytes: number; endBytes: number }): void;
}

/**
 * Writes a body into its place, from memory as it came, with few large writes. However it ends, what came is in the file.
 * @throws Interrupted, the SourceFault of the body, or the error of the disk, which goes before what the network had to say
 */
export async function receive(body: RangeBody, claim: Claim, to: Receiver): Promise<void> {
  const wantedEndBytes = claim.endBytes;
  let batch: Buffer[] = [];
  let batchBytes = 0;
  let writtenUpTo = claim.startBytes;
  let writing: Promise<void> | null = null;
  let failure: { error: unknown } | null = null;

  const write = (): void => {
    const [buffers, startBytes, endBytes] = [batch, writtenUpTo, writtenUpTo + batchBytes];
    batch = [];
    batchBytes = 0;
    writing = to.file.writeAll(buffers, startBytes).then(
      () => {
        writing = null;
        writtenUpTo = endBytes;
        to.onWritten({ startBytes, endBytes });
      },
      (error: unknown) => {
        writing = null;
        failure = { error };
      },
    );
  };
  const finish = async (): Promise<void> => {
    if (writing !== null) await writing;
    if (failure === null && batchBytes > 0) write();
    if (writing !== null) await writing;
    if (failure !== null) throw (failure as { error: unknown }).error;
  };

  try {
    for await (const chunk of body.chunks) {
      if (to.signal.aborted) throw new Interrupted();
      if (failure !== null) break;
      const left = claim.endBytes - claim.position;
      const part = chunk.length > left ? chunk.subarray(0, left) : chunk;
      batch.push(part);
      batchBytes += part.length;
      claim.position += part.length;
      if (batchBytes >= to.pendingBytes / 4 && writing === null) write();
      // Another connection took the rest over. A body that was wanted whole is read to its end: that keeps the connection, and shows
      // one that is too long.
      if (claim.position >= claim.endBytes && claim.endBytes < wantedEndBytes) break;
      if (batchBytes >= to.pendingBytes && writing !== null) await writing;
      const wait = to.room();
      if (wait !== null) await wait;
    }
  } catch (error) {
    body.discard();
    await finish();
    throw to.signal.aborted ? new Interrupted() : error;
  }
  await finish();
}
