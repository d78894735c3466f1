export * from './assert.ts';
export * from './errors.ts';
export * from './ids.ts';
export * from './retry.ts';
export * from './thread-script.ts';
export * from './units.ts';
