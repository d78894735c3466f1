import { isPublicAddress } from '../lib/public-address.ts';

/** Rules for addresses: where plain text may travel, and what an address may carry. */

/**
 * Whether a host name means this machine: `localhost`, `*.localhost`, 127.0.0.0/8, `::1`.
 * Only there is plain http accepted, because nobody can listen in or change bytes on the way.
 */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  return name === '::1' || /(^|\.)localhost$/.test(name) || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Whether an address points at this machine; false if it cannot be read. */
export function isLoopbackUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isLoopbackHost(url.hostname);
}

/** Whether an address would travel unencrypted to another machine. */
export function isPlainAndRemote(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null && (url.protocol === 'http:' || url.protocol === 'ws:') && !isLoopbackHost(url.hostname)
  );
}

/**
 * Whether only this machine, or only the network it is in, can reach an address: by its form, no name is looked up. True also for
 * one that cannot be read.
 */
export function isPrivateUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null) return true;
  const host = url.hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  if (host.includes(':') || /^[\d.]+$/.test(host)) return !isPublicAddress(host);
  return !host.includes('.') || /\.(localhost|local|internal|lan|home\.arpa)$/.test(host);
}

/** Whether an address names every address of a machine, at which one can listen and which nobody can reach. */
export function isUnspecifiedUrl(text: string): boolean {
  const host = URL.parse(text)?.hostname;
  return host === '0.0.0.0' || host === '[::]';
}
