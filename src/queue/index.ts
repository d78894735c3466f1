export * from './job-type.ts';
