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
  /** `rate:<name>`: how many bytes a second may pass, set by hand; written by the queue. */
  rate: 'rate:',
  /** `schedule:<name>`: when something regular happens next; written by scheduling. */
  schedule: 'schedule:',
  /** How the last backup went; written by maintenance. */
  lastBackup: 'maintenance:last_backup',
  /** How the last rehearsal of a restore went; written by maintenance. */
  lastRehearsal: 'maintenance:last_rehearsal',
  /** How full the disk is and what follows from it, for commands beside the daemon; written by the wiring of storage. */
  storage: 'storage:state',
  /** `torrent:recording:<id>`: a torrent whose files are being written down, and that does not count yet; written by the catalog. */
  recording: 'torrent:recording:',
  /** `tracker:<announce address>`: what it said when it was last asked for numbers; written by seeding. */
  tracker: 'tracker:',
  /** How far the counter of uploaded bytes of each torrent was when it was last read; written by seeding. */
  uploadCounters: 'seeding:upload_counters',
  /** When each torrent was served last, while not all can be at once; written by seeding. */
  seedingTurns: 'seeding:turns',
  /** When swarms were counted last, ms since the epoch; written by seeding. */
  swarmsLookedAt: 'seeding:looked_at',
} as const;
