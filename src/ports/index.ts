export * from './clock.ts';
export * from './datagram.ts';
export * from './disk.ts';
export * from './http.ts';
export * from './log.ts';
export * from './object-store.ts';
export * from '../lib/public-address.ts';
export * from './random.ts';
