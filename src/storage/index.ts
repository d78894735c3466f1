export * from './facts.ts';
export * from './layout.ts';
export * from './mode.ts';
export * from './space.ts';
