export * from './layout.ts';
export * from './space.ts';
export * from './facts.ts';
export * from './mode.ts';
