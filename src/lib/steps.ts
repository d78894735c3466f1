import { channel } from 'node:diagnostics_channel';

/** Where the points are announced at which a process may die; a subscriber gets `{ name }`. */
export const STEPS_CHANNEL = 'wikiseed:step';

const steps = channel(STEPS_CHANNEL);

/**
 * Announces a named point of the work, such as `job:committed` or `download:renamed`. Synchronous, and free while nobody
 * listens; the crash tests listen, and kill the process there.
 */
export function step(name: string): void {
  if (steps.hasSubscribers) steps.publish({ name });
}
