/**
 * Keys of `system_state` that one room writes and another one reads, and prefixes of such keys (those that end with a colon). They are
 * stored: a word never changes.
 */
export const STATE_KEYS = {
  /** `halt:<target>`: a target that stopped; written by the queue. */
  halt: 'halt:',
  /** `pause:<scope>`: what is held by hand; written by the queue. */
  pause: 'pause:',
  /** `limit:<scope>`: how many jobs may run at once, set by hand; written by the queue. */
  limit: 'limit:',
  /** `schedule:<name>`: when something regular happens next; written by scheduling. */
  schedule: 'schedule:',
  /** `maintenance:last_<what>`: how the last run of one kind went; written by maintenance. */
  lastRun: 'maintenance:last_',
  /** How the last backup went. */
  lastBackup: 'maintenance:last_backup',
  /** How the last rehearsal of a restore went. */
  lastRehearsal: 'maintenance:last_rehearsal',
} as const;
