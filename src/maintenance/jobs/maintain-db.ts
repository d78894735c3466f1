import { z } from 'zod';
import { hours, Snooze } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import { type Care, MAINTAIN_TASKS, type MaintainReport } from '../care/care.ts';
import { isInWindow, msUntilWindow, type Window } from '../care/window.ts';

/** One kind of care for the database. Compacting waits for the maintenance window. */
export const maintainDb = defineJob({
  type: 'maintain_db',
  input: z.object({ task: z.enum(MAINTAIN_TASKS) }),
  output: z.object({
    task: z.enum(MAINTAIN_TASKS),
    durationMs: z.number().nonnegative(),
    summary: z.string(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  }),
  uniqueKey: ({ task }) => task,
  // The disk that holds the database: a full one stops this too.
  target: 'disk',
  isUpkeep: true,
  maxAttempts: 3,
  timeoutMs: hours(6),
  // Nobody waits for it: what brings dumps home goes first.
  priority: 500,
});

/** Input of a `maintain_db` job. */
export type MaintainInput = z.infer<typeof maintainDb.input>;

/** Tasks that are put off until the window when they come due outside it, as after downtime. */
const ONLY_IN_WINDOW: ReadonlySet<string> = new Set(['vacuum', 'retention']);

/** The handler. */
export function createMaintainDb(deps: {
  care: Care;
  window: Window;
}): JobHandler<MaintainInput, MaintainReport> {
  return handleJob(maintainDb, {
    async run({ task }, context) {
      const now = context.clock.now();
      if (ONLY_IN_WINDOW.has(task) && !isInWindow(deps.window, now))
        throw new Snooze('waits for the maintenance window', msUntilWindow(deps.window, now));
      return deps.care.run(task, {
        signal: context.signal,
        // Only the timer never notices: `truncate` by hand is for people.
        mode: 'passive',
        onStep: ({ done, step }) => context.progress({ label: `${task}, step ${step}`, doneBytes: done }),
      });
    },
  });
}
