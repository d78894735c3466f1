const KIB = 1024;

/** Below 256 KiB the list of hashes grows and nothing is won. */
export const PIECE_LENGTH_MIN = 256 * KIB;

/** A torrent of fewer pieces can hardly be shared: a peer has nothing to give before its first piece is complete. */
export const PIECE_COUNT_MIN = 64;

/**
 * Picks the piece length: the configured one, or for small torrents the largest power of two that still gives at least
 * 64 pieces, but never less than 256 KiB. It depends on nothing else, so that every operator with the same setting
 * gets the same infohash.
 *
 * | total, with 16 MiB configured | piece length |
 * |---|---|
 * | from 1 GiB (64 x 16 MiB) | 16 MiB |
 * | 512 MiB | 8 MiB |
 * | 16 MiB (64 x 256 KiB) and less | 256 KiB |
 *
 * @param totalSizeBytes sum of all files, >= 0
 * @param configuredBytes a power of two; taken as it is when it is below 256 KiB
 * @returns bytes, a power of two, at most `configuredBytes`
 * @see BEP 3
 */
export function choosePieceLength(totalSizeBytes: number, configuredBytes: number): number {
  let length = configuredBytes;
  while (length > PIECE_LENGTH_MIN && totalSizeBytes < length * PIECE_COUNT_MIN) length /= 2;
  return length;
}
