import { isIP, isIPv6 } from 'node:net';
import { networkList, plainAddress } from '../lib/network.ts';
import type { Clock } from '../ports/index.ts';

/** What one client, and all together, may take of `/webseed/`. Rates in bytes per second, null = unlimited. */
export interface WebseedLimits {
  maxRequests: number;
  maxRequestsPerClient: number;
  bandwidthLimitBytesPerSecond: number | null;
  bandwidthLimitPerClientBytesPerSecond: number | null;
}

/** A place for one answer. */
export interface Place {
  /** Resolves when so many bytes may go. @throws Interrupted when `signal` aborts */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /** Must be called, once. */
  leave(): void;
}

/** Shares `/webseed/` among those who ask. */
export interface ClientLimits {
  /** @returns `client`: that one has as many answers as it may; `all`: everybody together has */
  enter(client: string): Place | 'client' | 'all';
  /** Clients that are remembered. */
  readonly size: number;
}

/** Unused time that may be made up for. */
const BURST_MS = 250;
/** Clients that are gone are forgotten when there are more than this. */
const REMEMBERED = 1000;

/** Passes bytes on credit: whoever comes waits for those before, so the average is right whatever the size of a chunk. */
interface Meter {
  paidUntilMs: number;
}

/** See `ClientLimits`. */
export function createClientLimits(deps: { clock: Clock; limits: WebseedLimits }): ClientLimits {
  const { clock, limits } = deps;
  const clients = new Map<string, Meter & { answers: number }>();
  const all: Meter = { paidUntilMs: 0 };
  let answers = 0;

  /** @returns ms to wait */
  function charge(meter: Meter, rate: number | null, bytes: number): number {
    if (rate === null) return 0;
    const now = clock.monotonicMs();
    const start = Math.max(meter.paidUntilMs, now - BURST_MS);
    meter.paidUntilMs = start + (bytes / rate) * 1000;
    return Math.max(0, start - now);
  }

  function forgetIdle(): void {
    const now = clock.monotonicMs();
    for (const [name, client] of clients)
      if (client.answers === 0 && client.paidUntilMs <= now) clients.delete(name);
  }

  return {
    get size() {
      return clients.size;
    },
    enter(name) {
      const client = clients.get(name) ?? { answers: 0, paidUntilMs: 0 };
      if (client.answers >= limits.maxRequestsPerClient) return 'client';
      if (answers >= limits.maxRequests) return 'all';
      if (clients.size >= REMEMBERED) forgetIdle();
      clients.set(name, client);
      client.answers += 1;
      answers += 1;
      return {
        async take(bytes, signal) {
          const own = charge(client, limits.bandwidthLimitPerClientBytesPerSecond, bytes);
          if (own > 0) await clock.sleep(own, signal);
          const shared = charge(all, limits.bandwidthLimitBytesPerSecond, bytes);
          if (shared > 0) await clock.sleep(shared, signal);
        },
        leave() {
          client.answers -= 1;
          answers -= 1;
          if (client.answers === 0 && client.paidUntilMs <= clock.monotonicMs()) clients.delete(name);
        },
      };
    },
  };
}

/**
 * Who asks: the address of the connection, or behind a proxy of ours the last address in X-Forwarded-For that is none of them.
 * Whoever has an IPv6 network has all of its addresses. Pure.
 */
export function clientOf(
  remote: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: readonly string[],
): string {
  const isTrusted = proxiesOf(trustedProxies);
  const chain = [...(forwardedFor ?? '').split(','), remote ?? ''].map((part) => plainAddress(part.trim()));
  let client = chain.at(-1) ?? '';
  // From our own end: what a client wrote itself stands before what our proxies added.
  for (const address of chain.toReversed()) {
    if (isIP(address) === 0) break;
    client = address;
    if (!isTrusted(address)) break;
  }
  return isIPv6(client) ? networkOf(client) : client;
}

/** Made once for each configuration, not for each request. */
const proxyLists = new WeakMap<readonly string[], (address: string) => boolean>();

function proxiesOf(trustedProxies: readonly string[]): (address: string) => boolean {
  const known = proxyLists.get(trustedProxies) ?? networkList(trustedProxies);
  proxyLists.set(trustedProxies, known);
  return known;
}

/** The first 64 bits. */
function networkOf(address: string): string {
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
