import type { SystemState } from '../db/index.ts';
import { hours } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { ItemToProve } from './make-plan.ts';

/** Which items the archive was asked about, and which answers a prune still waits for; kept over restarts. */
export interface ProofWaits {
  /** What is to be asked of these now, and whether one of them is worth waiting for. Changes nothing. */
  look(items: readonly ItemToProve[]): { toAsk: ItemToProve[]; isWaiting: boolean };
  /** They are asked about now; inside the transaction that stores the jobs. */
  noteAsked(items: readonly ItemToProve[]): void;
  /**
   * A question is over, inside the transaction that ends its job.
   * @param end.isAnswered false: the archive said nothing
   * @returns true when it was waited for, and nothing else is
   */
  noteEnd(identifier: string, end: { isAnswered: boolean }): boolean;
  /** An answer is still waited for. */
  isWaiting(): boolean;
}

/** What is remembered of one item. */
interface Asked {
  /** First asked at, epoch ms; once for each proof that grew too old. */
  since: number;
  /** Last asked at, epoch ms. */
  askedAt: number;
  /** Its answer came, or nobody waits for it any more. */
  isEnded: boolean;
}

interface Remembered {
  /** The archive did not answer when it was asked last: nothing waits for it before it did. */
  isSilent: boolean;
  items: Record<string, Asked>;
}

const KEY = 'pruning:asked';
/** An item that was asked about is not asked again for so long, whatever came of it. */
const ASK_AGAIN_MS = hours(20);
/** An answer is waited for no longer; less than a day, so that the daily prune never finds itself waiting twice. */
const WAIT_MS = hours(20);

/** See `ProofWaits`. */
export function createProofWaits(deps: {
  state: SystemState;
  clock: Clock;
  /** After that a proof that was found is old again, and worth another wait. */
  remoteProofMaxAgeMs: number;
}): ProofWaits {
  const { state, clock } = deps;
  const forgetMs = Math.max(deps.remoteProofMaxAgeMs, ASK_AGAIN_MS);

  /** What still counts. Nothing that is from the future: the clock was wrong. */
  function recall(): Remembered {
    const now = clock.now();
    const { isSilent, items } = parse(state.get(KEY));
    const recent = Object.entries(items).filter(
      ([, { since, askedAt }]) => askedAt <= now && now - since < forgetMs,
    );
    const isOverdue = (asked: Asked): boolean => !asked.isEnded && now - asked.since >= WAIT_MS;
    return {
      isSilent: isSilent || Object.values(items).some(isOverdue),
      items: Object.fromEntries(
        recent.map(([name, asked]) => [name, isOverdue(asked) ? { ...asked, isEnded: true } : asked]),
      ),
    };
  }
  const remember = (facts: Remembered): void => state.set(KEY, JSON.stringify(facts), clock.now());
  const isAnyAwaited = ({ items }: Remembered): boolean =>
    Object.values(items).some(({ isEnded }) => !isEnded);

  return {
    look(items) {
      const now = clock.now();
      const known = recall();
      const isAwaited = (asked: Asked | undefined): boolean =>
        asked === undefined ? !known.isSilent : !asked.isEnded;
      return {
        toAsk: items.filter(
          ({ identifier }) => now - (known.items[identifier]?.askedAt ?? 0) >= ASK_AGAIN_MS,
        ),
        isWaiting: items.some(({ identifier }) => isAwaited(known.items[identifier])),
      };
    },
    noteAsked(items) {
      if (items.length === 0) return;
      const now = clock.now();
      const known = recall();
      for (const { identifier } of items) {
        const before = known.items[identifier] ?? { since: now, isEnded: known.isSilent };
        known.items[identifier] = { ...before, askedAt: now };
      }
      remember(known);
    },
    noteEnd(identifier, { isAnswered }) {
      const known = recall();
      const asked = known.items[identifier];
      if (asked === undefined && isAnswered !== known.isSilent) return false;
      const isAwaited = asked?.isEnded === false;
      if (asked !== undefined) known.items[identifier] = { ...asked, isEnded: true };
      known.isSilent = !isAnswered;
      remember(known);
      return isAwaited && !isAnyAwaited(known);
    },
    isWaiting: () => isAnyAwaited(recall()),
  };
}

/** What cannot be read counts as never asked. */
function parse(text: string | null): Remembered {
  try {
    const { isSilent, items } = JSON.parse(text ?? '{}') as Partial<Remembered>;
    return { isSilent: isSilent === true, items: items ?? {} };
  } catch {
    return { isSilent: false, items: {} };
  }
}
