import type { Bus } from '../events/index.ts';
import { describeError, errorCode } from '../lib/index.ts';
import type { Log } from '../ports/index.ts';

/** Raised while the disk does not let go of something that is to be deleted. */
export const STUCK_ALERT_KEY = 'prune_stuck';

/**
 * What was decided on and the disk refuses to remove: a folder of another user, an immutable file, a sector that is gone. It waits for
 * nobody, so nothing else waits for it; it is tried again with each prune and each start.
 */
export interface Stuck {
  /** @param what a deletion, or the folder of a retired torrent @param path as people are told */
  note(what: Refused, path: string, error: unknown): void;
  /** It went, or is not to go any more. */
  over(what: Refused): void;
  has(what: Refused): boolean;
  count(): number;
  /** In one sentence; null = nothing is stuck. */
  text(): string | null;
  /** Raises the alert, or says that it is over. */
  tell(): void;
}

type Refused = `deletion:${number}` | `torrent:${number}`;

/** See `Stuck`. */
export function createStuck({ bus, log }: { bus: Bus; log: Log }): Stuck {
  const known = new Map<Refused, { path: string; message: string }>();

  function text(): string | null {
    for (const { path, message } of known.values()) {
      const others = known.size - 1;
      const more = others === 0 ? '' : `, and ${others} more`;
      return `the disk refuses to remove ${path} (${message})${more}`;
    }
    return null;
  }

  return {
    note(what, path, error) {
      const message = describeError(error);
      // At each try anew it would fill the log: a prune tries all of them.
      if (known.get(what)?.message !== message)
        log.error({ path, err: message }, 'what is to be deleted could not be removed; tried again');
      known.set(what, { path, message });
    },
    over: (what) => void known.delete(what),
    has: (what) => known.has(what),
    count: () => known.size,
    text,
    tell() {
      const message = text();
      if (message === null) bus.emit('alert:resolved', { key: STUCK_ALERT_KEY });
      else
        bus.emit('alert:raised', {
          ...{ key: STUCK_ALERT_KEY, severity: 'warn', message },
          hint: 'Look at the rights of the file and its folder, and at the disk. Everything else is deleted meanwhile, and this as soon as it can be.',
        });
    },
  };
}

/** Whether the system refused something that was asked of the disk; its words are EPERM, EIO and the like. */
export const isOfTheDisk = (error: unknown): boolean => /^E[A-Z0-9]+$/.test(errorCode(error));
