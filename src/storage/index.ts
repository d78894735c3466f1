export * from './layout.ts';
export * from './space.ts';
