/** The container of a file is not whole; the message says where and how. Thrown by the checks, inside their thread. */
export class BrokenStructure extends Error {
  /** Bytes among which the wrong ones are, as far as the container tells; undefined when it does not. */
  where?: { startBytes: number; endBytes: number };
}

/** Gives the bytes of a file one after the other. */
export interface ByteSource {
  /** Fills `target` from the next byte on. Fewer bytes than asked are no end of file; 0 is. */
  read(target: Uint8Array): number;
}

/** Takes unpacked bytes in their order. They are lent for the call; whoever keeps them copies them. What it throws ends the unpacking. */
export interface UnpackedSink {
  add(bytes: Uint8Array): void;
}

/** Unpacks to nowhere. */
export const NOWHERE: UnpackedSink = { add() {} };
