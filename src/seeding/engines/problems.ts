import type { EngineEvents } from '../engine.ts';

/** What an operator should know. */
export interface Problem {
  code: string;
  message: string;
  hint?: string | undefined;
}

/** What is wrong now; each matter is told when it begins, changes or is over, not at each look. */
export interface Complaints {
  /** `infoHash` null = the program as a whole. */
  problem(infoHash: string | null, problem: Problem): void;
  over(infoHash: string | null): void;
  of(infoHash: string | null): Problem | null;
}

/** See `Complaints`. */
export function createComplaints({ onProblem }: Pick<EngineEvents, 'onProblem'>): Complaints {
  const open = new Map<string | null, Problem>();
  return {
    problem(infoHash, { code, message, hint }) {
      const known = open.get(infoHash);
      if (known?.code === code && known.message === message) return;
      const problem = hint === undefined ? { code, message } : { code, message, hint };
      open.set(infoHash, problem);
      onProblem?.(infoHash, problem);
    },
    over(infoHash) {
      if (open.delete(infoHash)) onProblem?.(infoHash, null);
    },
    of: (infoHash) => open.get(infoHash) ?? null,
  };
}
