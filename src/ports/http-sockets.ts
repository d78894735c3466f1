import type { LookupAddress } from 'node:dns';
import type { ClientRequest } from 'node:http';
import type { LookupFunction, Socket } from 'node:net';
import { PRIVATE_ADDRESS } from './http-errors.ts';

/** Whoever connects gets only public addresses of a name; with none left nobody connects. */
export function publicLookup(lookup: LookupFunction, isPublic: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '', 0);
      const all = (Array.isArray(found) ? found : [{ address: found, family: 0 }]) as LookupAddress[];
      const fitting = all.filter(({ address }) => isPublic(address));
      const [first] = fitting;
      if (first === undefined) return callback(privateAddress(hostname), '', 0);
      if (options.all === true) callback(null, fitting);
      else callback(null, first.address, first.family);
    });
  };
}

/** Ends a request before its first byte goes out when its connection leads into a private network. */
export function guardSocket(request: ClientRequest, isPublic: (address: string) => boolean): void {
  request.once('socket', (socket: Socket) => {
    const judge = (): void => {
      const { remoteAddress } = socket;
      if (remoteAddress !== undefined && !isPublic(remoteAddress))
        request.destroy(privateAddress(remoteAddress));
    };
    if (socket.connecting) socket.once('connect', judge);
    else judge();
  });
}

function privateAddress(what: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${what} leads into a private network`), { code: PRIVATE_ADDRESS });
}
