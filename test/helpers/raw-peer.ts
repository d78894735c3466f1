import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { onTestFinished } from 'vitest';

/*
 * A peer of bare bytes over any stream, for what no honest client does.
 */

export const UNCHOKE = 1;
export const PIECE_ID = 7;
export const REJECT = 16;

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
export const message = (id: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat([Buffer.of(id), ...parts]);
  return Buffer.concat([u32(body.length), body]);
};
export const request = (index: number, offset: number, length: number): Buffer =>
  message(6, u32(index), u32(offset), u32(length));
const INTERESTED = message(2);

/**
 * Says hello, that it has nothing, and that it is interested; the rest is for the test.
 * @param options.fast it knows refusals (BEP 6)
 */
export function rawPeer<Stream extends Duplex>(
  socket: Stream,
  { infoHash, pieces, fast }: { infoHash: string; pieces: number; fast: boolean },
) {
  const hasNothing = message(5, Buffer.alloc(Math.ceil(pieces / 8)));
  const events = new EventEmitter();
  const messages: { id: number; bytes: Buffer }[] = [];
  let rest = Buffer.alloc(0);
  let isGreeted = false;
  const closed = new Promise<void>((resolve) => {
    for (const event of ['end', 'close']) socket.on(event, () => resolve());
  });
  socket.on('error', () => {});
  socket.on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    if (!isGreeted && rest.length >= 68) {
      isGreeted = true;
      rest = rest.subarray(68);
      // Whoever says so before is let in 10 s later.
      socket.write(Buffer.concat([hasNothing, INTERESTED]));
      events.emit('greeted');
    }
    while (isGreeted && rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const length = rest.readUInt32BE(0);
      if (length > 0) messages.push({ id: rest[4]!, bytes: Buffer.from(rest.subarray(5, 4 + length)) });
      rest = rest.subarray(4 + length);
    }
    events.emit('more');
  });
  const reserved = Buffer.from([0, 0, 0, 0, 0, 0x10, 0, fast ? 4 : 0]);
  socket.write(
    Buffer.concat([
      Buffer.from('\x13BitTorrent protocol', 'latin1'),
      ...[reserved, Buffer.from(infoHash, 'hex'), randomBytes(20)],
    ]),
  );
  onTestFinished(() => void socket.destroy());
  const count = (id: number): number => messages.filter((each) => each.id === id).length;
  const until = (isThere: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!isThere()) return;
        events.off('more', look);
        resolve();
      };
      events.on('more', look);
      look();
    });
  const greeted = new Promise<void>((resolve) => events.once('greeted', resolve));
  return { socket, messages, count, until, greeted, closed };
}
