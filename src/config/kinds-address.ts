import { parseNetwork } from '../lib/network.ts';
import { isPlainAndRemote } from './addresses.ts';
import type { Kind } from './fields.ts';
import { kind, refuse, shown } from './kinds.ts';

/** Kinds for addresses of the outside and for files and hosts of this machine. */

const asIs = (value: string): string => value;

/**
 * An https address; plain http only for loopback, or anywhere if `plainHttp` is `warn` (the warning comes later).
 * A trailing slash is dropped, so that paths can be appended with one. A query is refused where paths are appended.
 */
export function address(
  options: { plainHttp?: 'loopback' | 'warn'; mayHaveQuery?: boolean } = {},
): Kind<string> {
  const { plainHttp = 'loopback', mayHaveQuery = false } = options;
  return kind((raw) => {
    const wanted = 'an address such as https://example.org';
    if (typeof raw !== 'string') return refuse(`must be ${wanted}, found ${shown(raw)}.`);
    const url = checkedUrl(raw, ['https:', 'http:'], wanted);
    if ((url.search !== '' && !mayHaveQuery) || url.hash !== '')
      return refuse('must be an address without ? or # part.');
    if (plainHttp === 'loopback') refusePlain(raw);
    return raw.trim().replace(/\/+$/, '');
  }, asIs);
}

/** An address that is itself a secret (a web hook): never repeated in messages, kept as written. */
export function privateAddress(): Kind<string> {
  return kind((raw) => {
    const url = typeof raw === 'string' ? URL.parse(raw) : null;
    if (url === null || !/^https?:$/.test(url.protocol)) return refuse('must be an https address.');
    refusePlain(String(raw));
    return String(raw).trim();
  }, asIs);
}

/** A BitTorrent tracker: udp, https or wss; plain http is common among trackers and gets a warning later. */
export function tracker(): Kind<string> {
  return kind((raw) => {
    const wanted = 'a tracker such as udp://tracker.example.org:1337/announce';
    if (typeof raw !== 'string') return refuse(`must be ${wanted}, found ${shown(raw)}.`);
    const url = checkedUrl(raw, ['udp:', 'https:', 'http:', 'wss:', 'ws:'], wanted);
    if (url.protocol === 'udp:' && url.port === '')
      return refuse('must name a port: udp://host:port/announce.');
    if (url.protocol === 'ws:') refusePlain(raw);
    return raw.trim();
  }, asIs);
}

function checkedUrl(raw: string, protocols: readonly string[], wanted: string): URL {
  const url = URL.parse(raw.trim());
  if (url !== null && (url.username !== '' || url.password !== '')) {
    return refuse('must not carry a user name or password; secrets come from the environment.');
  }
  if (url === null || !protocols.includes(url.protocol) || url.hostname === '') {
    return refuse(`must be ${wanted}, found ${raw.includes('@') ? 'something else' : shown(raw)}.`);
  }
  return url;
}

function refusePlain(raw: string): void {
  if (!isPlainAndRemote(raw)) return;
  refuse(
    'must use https: plain http can be read and changed on the way and is accepted for loopback addresses only.',
  );
}

/** A path on this machine; `~` is refused, because no shell expands it here. */
export function path(): Kind<string> {
  return kind((raw) => {
    if (typeof raw !== 'string' || raw.trim() === '' || raw.includes('\0')) {
      return refuse(`must be a path, found ${shown(raw)}.`);
    }
    return raw.startsWith('~') ? refuse('must be a full path: "~" is not expanded here.') : raw;
  }, asIs);
}

/** A host name or address to listen on or connect to, without port. */
export function host(): Kind<string> {
  return kind((raw) => {
    const isFine = typeof raw === 'string' && /^(\[?[0-9A-Fa-f:.]+\]?|[A-Za-z0-9._-]+)$/.test(raw);
    return isFine ? raw : refuse(`must be a host name or address without port, found ${shown(raw)}.`);
  }, asIs);
}

/** An IP address or a network of them (CIDR); no name, because connections come from addresses. */
export function network(): Kind<string> {
  return kind((raw) => {
    if (typeof raw === 'string' && parseNetwork(raw) !== null) return raw.trim();
    return refuse(
      `must be an IP address such as 127.0.0.1 or ::1, or a network such as 10.0.0.0/8, found ${shown(raw)}; names are not looked up.`,
    );
  }, asIs);
}

/** A mail address, or `Name <address>`. */
export function mailbox(): Kind<string> {
  return kind((raw) => {
    const isFine =
      typeof raw === 'string' && /^([^<>\r\n]*<[^@\s<>]+@[^@\s<>]+>|[^@\s<>]+@[^@\s<>]+)$/.test(raw);
    return isFine ? raw : refuse(`must be a mail address such as ops@example.org, found ${shown(raw)}.`);
  }, asIs);
}
