import type { App } from '../app.ts';
import type { IdleReport } from '../queue/index.ts';
import { EXIT } from './exit-codes.ts';

/** How a run until idle ended. */
export interface IdleOutcome {
  exitCode: number;
  sentence: string;
}

/** Judges a run that has nothing left to do: 0 all whole, 1 something is halted or failed, 3 finished with gaps. */
export function outcomeOf(app: Pick<App, 'catalog' | 'queries'>, idle: IdleReport): IdleOutcome {
  const halt = idle.halted[0];
  if (halt !== undefined)
    return {
      exitCode: EXIT.failed,
      sentence: `Stopped with work left: ${halt.target} is halted, ${halt.message}.${halt.hint === null ? '' : ` ${halt.hint}`}`,
    };
  const cycles = app.queries.cycles(100);
  if (cycles.length === 0) return { exitCode: EXIT.gaps, sentence: 'No cycle is due yet.' };
  const gaps = cycles.reduce((sum, cycle) => sum + cycle.files.failed + cycle.files.quarantined, 0);
  const open = cycles.filter((cycle) => cycle.status !== 'published');
  if (open.length > 0) {
    const names = open.map((cycle) => `${cycle.cycleDate} (${cycle.status})`).join(', ');
    return { exitCode: EXIT.gaps, sentence: `Nothing left to do for now; not published yet: ${names}.` };
  }
  if (gaps > 0)
    return {
      exitCode: EXIT.gaps,
      sentence: `Finished with gaps: ${gaps} expected files could not be taken, see "wikiseed jobs --status failed".`,
    };
  return {
    exitCode: EXIT.ok,
    sentence: `Finished: ${cycles.length} ${cycles.length === 1 ? 'cycle' : 'cycles'} published and whole.`,
  };
}
