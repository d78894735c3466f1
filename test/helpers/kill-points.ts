/** Where a process is to die; with none of the points it runs to its end. */
export interface KillOrder {
  /** At the n-th occurrence of one named step, counted from 1. */
  step?: { name: string; count: number };
  /** At the first occurrence of whichever of these steps comes first. */
  firstOf?: readonly string[];
  /** When the n-th database write of this process has run, counted from 1. */
  write?: number;
  /** Reports every step and every write. */
  record?: boolean;
}

/** One line of a process's report. `writes` are its database writes so far. */
export type KillRecord =
  | { kind: 'step'; name: string; count: number; writes: number }
  | { kind: 'write'; count: number; sql: string }
  | { kind: 'killed'; at: 'step' | 'write'; name: string; count: number; writes: number }
  | { kind: 'ended'; code: number; writes: number };

/** The points of an undisturbed run. */
export interface KillPoints {
  /** Names in order of their first occurrence, with how often each came. */
  steps: ReadonlyMap<string, number>;
  writes: number;
}

/** Reads a report; a line torn by the kill is left out. */
export function parseReport(text: string): KillRecord[] {
  return text
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as KillRecord);
}

/** Counts the points of a recorded run. */
export function pointsOf(records: readonly KillRecord[]): KillPoints {
  const steps = new Map<string, number>();
  let writes = 0;
  for (const record of records) {
    if (record.kind === 'step') steps.set(record.name, record.count);
    if (record.kind === 'write') writes = record.count;
  }
  return { steps, writes };
}
