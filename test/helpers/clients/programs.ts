import { has } from '../needs.ts';
import { startAria2 } from './aria2.ts';
import type { Client } from './client.ts';
import { startLibtorrent } from './libtorrent.ts';
import type { Lifetime } from './lifetime.ts';
import { canMakeNamespaces, type Namespace } from './namespace.ts';
import { startQbittorrent } from './qbittorrent.ts';
import { startRtorrent } from './rtorrent.ts';
import { startTransmission } from './transmission.ts';
import { startWebtorrent } from './webtorrent.ts';

/** A program of the matrix, and whether it can be had here. */
export interface ProgramOfMatrix {
  name: string;
  isHere: boolean;
  start(lifetime: Lifetime, world: { namespace: Namespace | null }): Promise<Client>;
}

/** All programs of the matrix; prints a line for each that is missing. @param python null = none knows libtorrent */
export function programs(python: string | null): { all: ProgramOfMatrix[]; hasNamespaces: boolean } {
  const hasNamespaces = has('ip') && canMakeNamespaces();
  return {
    hasNamespaces,
    all: [
      { name: 'aria2c', isHere: has('aria2c'), start: startAria2 },
      { name: 'qbittorrent-nox', isHere: has('qbittorrent-nox'), start: startQbittorrent },
      {
        name: 'transmission-daemon',
        isHere: has('transmission-daemon') && hasNamespaces,
        start: (lifetime, { namespace }) => startTransmission(lifetime, namespace!),
      },
      { name: 'webtorrent', isHere: true, start: async (lifetime) => startWebtorrent(lifetime) },
      { name: 'rtorrent', isHere: has('rtorrent'), start: startRtorrent },
      {
        name: 'libtorrent',
        isHere: python !== null,
        start: async (lifetime) => startLibtorrent(lifetime, python!),
      },
    ],
  };
}
