import { execFileSync, spawnSync } from 'node:child_process';
import type { Lifetime } from './lifetime.ts';

/** A network of the test's own: programs that refuse loopback peers live in it, everything else is reached at `hostAddress`. */
export interface Namespace {
  /** Ours, as seen from inside and from outside. */
  hostAddress: string;
  /** Of the programs inside. */
  innerAddress: string;
  /** What goes before a command that is to run inside. */
  prefix: readonly string[];
}

const quiet = { stdio: 'pipe' } as const;

/** Says whether network namespaces can be made here; prints a line when they cannot. */
export function canMakeNamespaces(): boolean {
  const name = `wikiseed-try-${process.pid}`;
  const isMade = spawnSync('ip', ['netns', 'add', name], quiet).status === 0;
  if (isMade) spawnSync('ip', ['netns', 'del', name], quiet);
  else console.log('skipped: no network namespace can be made here (it takes root and iproute2)');
  return isMade;
}

/** Makes a namespace with one wire to us; it goes with the lifetime. */
export function createNamespace(lifetime: Lifetime): Namespace {
  const number = process.pid % 16_000;
  const name = `wikiseed-${process.pid}`;
  // A net of four addresses out of 198.18.0.0/15, which is kept for tests between networks.
  const net = `198.18.${number >> 6}.`;
  const first = (number % 64) * 4;
  const hostAddress = `${net}${first + 1}`;
  const innerAddress = `${net}${first + 2}`;
  const outer = `ws${number}a`;
  const inner = `ws${number}b`;
  const ip = (...args: string[]) => execFileSync('ip', args, quiet);
  ip('netns', 'add', name);
  // The wire goes with it.
  lifetime.add(() => spawnSync('ip', ['netns', 'del', name], quiet));
  ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', name);
  ip('addr', 'add', `${hostAddress}/30`, 'dev', outer);
  ip('link', 'set', outer, 'up');
  ip('-n', name, 'addr', 'add', `${innerAddress}/30`, 'dev', inner);
  ip('-n', name, 'link', 'set', inner, 'up');
  ip('-n', name, 'link', 'set', 'lo', 'up');
  return { hostAddress, innerAddress, prefix: ['ip', 'netns', 'exec', name] };
}
