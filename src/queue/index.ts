export { LIMIT_MAX, type Limit, type Pause, parseScope, type Scope, scopeText } from './controls.ts';
export * from './job-type.ts';
export type { JobChange } from './operator.ts';
export { createQueue } from './queue.ts';
export { parseRate, RATE_NAMES, type Rate, type RateName } from './rates.ts';
export type { Halt } from './targets.ts';
export type { FinishedJob, IdleReport, Queue, QueueControl, QueueDeps } from './types.ts';
