export * from './check.ts';
export * from './lock.ts';
export * from './migrate.ts';
export * from './open.ts';
export * from './restore-swap.ts';
export * as schema from './schema/index.ts';
export * from './state-keys.ts';
export * from './system-state.ts';
