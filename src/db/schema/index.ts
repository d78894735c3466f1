export * from './cycles.ts';
export * from './dump-runs.ts';
export * from './dumps.ts';
export * from './jobs.ts';
export * from './operations.ts';
export * from './torrents.ts';
export * from './wikis.ts';
