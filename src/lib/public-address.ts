import { BlockList, isIP } from 'node:net';

/**
 * Addresses that do not lead to one well-known machine out there: this machine, private and shared networks, link-local, unique-local,
 * multicast, reserved and documentation ranges (IANA special-purpose registries).
 */
const NOT_PUBLIC = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  NOT_PUBLIC.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  ['::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001:db8::', 32],
  ['3fff::', 20],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const)
  NOT_PUBLIC.addSubnet(network, prefix, 'ipv6');

/** Ranges whose addresses carry an IPv4 address that they lead to: NAT64 in its last four bytes, 6to4 in the second and third pair. */
const NAT64 = new BlockList();
NAT64.addSubnet('64:ff9b::', 96, 'ipv6');
const SIX_TO_FOUR = new BlockList();
SIX_TO_FOUR.addSubnet('2002::', 16, 'ipv6');

/**
 * Whether an IP address leads to a machine that everybody can reach. Pure.
 * @param address without brackets; a zone (`%eth0`) makes it local
 * @returns false also for what is no IP address at all
 */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return false;
  if (family === 4) return !NOT_PUBLIC.check(address, 'ipv4');
  // Covers IPv4 addresses that are written as IPv6 ones (`::ffff:10.0.0.1`) too.
  if (NOT_PUBLIC.check(address, 'ipv6')) return false;
  if (NAT64.check(address, 'ipv6')) return isPublicAddress(embedded(address, 6));
  if (SIX_TO_FOUR.check(address, 'ipv6')) return isPublicAddress(embedded(address, 1));
  return true;
}

/** The IPv4 address in the 16-bit groups `first` and `first + 1` of an IPv6 address. */
function embedded(address: string, first: number): string {
  // The URL parser writes every IPv6 address in one form: lower-case hex, at most one `::`, no dots.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  const [high = 0, low = 0] = groups.slice(first, first + 2).map((group) => Number.parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** The IP address that a URL names itself, without brackets; null when it names a host. */
export function literalAddress(url: URL): string | null {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? null : host;
}
