import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { isIPv4 } from 'node:net';

/** The part of utp-native that is used here; the package carries no types. */
interface UtpServer extends EventEmitter {
  listen(port: number, host?: string): void;
  address(): { address: string; port: number };
  send(bytes: Uint8Array, offset: number, length: number, port: number, host: string, done: Sent): void;
  setSendBufferSize(bytes: number): number;
  setRecvBufferSize(bytes: number): number;
  /** More are not answered. */
  maxConnections: number;
}
interface UtpLibrary {
  createServer(...options: unknown[]): UtpServer;
}
type Sent = (error?: Error | null) => void;

/**
 * Lets the uTP of webtorrent listen where it should: the package takes no address for it. uTP has the UDP port with the number of
 * the TCP port, because peers are told one number; so the distributed hash table shares it.
 * @param options.host IPv4 address; null = all
 * @param options.max connections at once that come in
 * @returns the socket for the table (`opts.socket` of k-rpc-socket), which listens when uTP does
 * @throws Error when the native library cannot be loaded
 */
export function prepareUtp({ host, max }: { host: string | null; max: number }): EventEmitter {
  // The very module that webtorrent itself uses, wherever it was installed.
  const library = createRequire(import.meta.resolve('webtorrent'))('utp-native') as UtpLibrary;
  const create = library.createServer;
  const table = new TableSocket();
  library.createServer = (...options) => {
    const server = create(...options);
    server.maxConnections = max;
    const listen = server.listen.bind(server);
    server.listen = (port) => listen(port, host ?? '0.0.0.0');
    for (const name of ['setSendBufferSize', 'setRecvBufferSize'] as const) {
      const set = server[name].bind(server);
      server[name] = (bytes) => {
        try {
          return set(bytes);
        } catch {
          // It could not listen, which is told of on its own.
          return 0;
        }
      };
    }
    server.once('listening', () => {
      // The client would do without uTP for ever because of one datagram that could not be read.
      server.removeAllListeners('error');
      server.on('error', () => {});
    });
    table.useServer(server);
    return server;
  };
  return table;
}

/** A datagram socket as k-rpc-socket wants it; what is no uTP goes through it. */
class TableSocket extends EventEmitter {
  #server: UtpServer | null = null;
  #isClosed = false;

  useServer(server: UtpServer): void {
    server.once('listening', () => {
      if (this.#isClosed) return;
      this.#server = server;
      this.emit('listening');
    });
    server.on('message', (bytes: Uint8Array, from: object) => {
      if (!this.#isClosed) this.emit('message', bytes, from);
    });
  }

  /** It is uTP that binds. */
  bind(): void {}

  address(): { address: string; family: 'IPv4'; port: number } {
    const { address = '0.0.0.0', port = 0 } = this.#server?.address() ?? {};
    return { address, family: 'IPv4', port };
  }

  send(bytes: Uint8Array, offset: number, length: number, port: number, host: string, sent: Sent): void {
    const server = this.#server;
    // utp-native would look up anything else, for ever if need be.
    if (server === null || this.#isClosed || !isIPv4(host) || !(port > 0 && port < 65_536)) {
      sent(new Error(`cannot send to ${host}:${port}`));
      return;
    }
    try {
      server.send(bytes, offset, length, port, host, sent);
    } catch (error) {
      sent(error as Error);
    }
  }

  /** The socket is that of uTP, and goes with it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    queueMicrotask(() => this.emit('close'));
  }
}
