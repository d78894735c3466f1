import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { RetryableError } from '../lib/errors.ts';

/** What a channel tells whoever opened it. */
export interface DatagramEvents {
  onMessage(message: Buffer): void;
  /** The other side says that nobody listens there, or the network is gone. */
  onError(error: Error): void;
}

/** One address over UDP; what others send is never seen. */
export interface DatagramChannel {
  send(message: Uint8Array): void;
  /** Idempotent; nothing is told afterwards. */
  close(): void;
}

/** UDP, as rooms see it. */
export interface Datagrams {
  /** @throws RetryableError `network`: the name cannot be resolved, or there is no way to its addresses */
  open(address: { host: string; port: number }, events: DatagramEvents): Promise<DatagramChannel>;
}

/** Sockets of Node. A host with several addresses is spoken to at the first one that there is a way to. */
export function createDatagrams(): Datagrams {
  return {
    async open({ host, port }, events) {
      const where = `${host}:${port}`;
      try {
        const found = await lookup(host, { all: true });
        let trouble: unknown = new Error('the name has no address');
        for (const { address, family } of found) {
          try {
            return channelOver(await connected(address, port, family === 6), events);
          } catch (error) {
            trouble = error;
          }
        }
        throw trouble;
      } catch (error) {
        throw new RetryableError('network', `${where} cannot be reached: ${(error as Error).message}`, {
          cause: error,
        });
      }
    },
  };
}

function connected(address: string, port: number, isSix: boolean): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isSix ? 'udp6' : 'udp4');
    const onError = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once('error', onError);
    socket.connect(port, address, () => {
      socket.off('error', onError);
      resolve(socket);
    });
  });
}

function channelOver(socket: Socket, events: DatagramEvents): DatagramChannel {
  let isOpen = true;
  socket.unref();
  socket.on('message', (message) => isOpen && events.onMessage(message));
  socket.on('error', (error) => isOpen && events.onError(error));
  return {
    send(message) {
      if (!isOpen) return;
      socket.send(message, (error) => {
        if (error !== null && isOpen) events.onError(error);
      });
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      socket.close();
    },
  };
}
