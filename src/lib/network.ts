import { BlockList, isIP } from 'node:net';

/** A network, or a single address: then `prefix` is all of its bits. */
interface Network {
  address: string;
  prefix: number;
  family: 'ipv4' | 'ipv6';
}

/**
 * Reads `127.0.0.1`, `::1`, `[::1]`, `10.0.0.0/8` or `2001:db8::/32`. Pure.
 * @returns null for anything else: a name, an address with a port or a zone
 */
export function parseNetwork(text: string): Network | null {
  const [, written = '', bits] = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const address = plainAddress(written);
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return null;
  const all = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? all : Number(bits);
  return prefix > all ? null : { address, prefix, family: family === 4 ? 'ipv4' : 'ipv6' };
}

/** Tells whether an address is in one of `networks`, however both are spelt. What cannot be read is in none. Pure. */
export function networkList(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const text of networks) {
    const network = parseNetwork(text);
    if (network !== null) list.addSubnet(network.address, network.prefix, network.family);
  }
  return (text) => {
    const address = plainAddress(text).replace(/%.*$/, '');
    const family = isIP(address);
    return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** Without brackets; IPv4 addresses may come written as IPv6 ones. */
export function plainAddress(address: string): string {
  const bare = address.replace(/^\[|\]$/g, '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare);
  return mapped?.[1] ?? bare;
}
