import type { Disk } from '../../ports/index.ts';
import type { PieceGiver } from './piece-source.ts';

/** Pieces of a file on our own disk that may be right in parts: what cannot be read is not offered. */
export function localGiver(disk: Pick<Disk, 'open'>, path: string): PieceGiver {
  return {
    async *offers({ startBytes, endBytes }) {
      const bytes = Buffer.alloc(endBytes - startBytes);
      try {
        const file = await disk.open(path, 'read');
        try {
          for (let done = 0; done < bytes.length; ) {
            const got = await file.read(bytes.subarray(done), startBytes + done);
            if (got === 0) return;
            done += got;
          }
        } finally {
          await file.close();
        }
      } catch {
        // It is one place among several: the next one is asked.
        return;
      }
      yield { bytes, from: path, judged: () => {} };
    },
  };
}
