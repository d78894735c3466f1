import type { App } from '../app.ts';
import { type IdleReport, scopeText } from '../queue/index.ts';
import { EXIT } from './exit-codes.ts';
import { counted } from './words.ts';

/** How a run until idle ended. */
export interface IdleOutcome {
  exitCode: number;
  sentence: string;
}

/** What the judgement rests on: the tables themselves, not the pages' remembered counts. */
type OutcomeFacts = Pick<App, 'catalog' | 'seeding' | 'uploadsEnabled'>;

/**
 * Judges a run that has nothing left to do: 0 all whole, 1 something is halted, 3 finished with gaps.
 * Whole means: every expected file is in a torrent, every run is known, every torrent is served, every upload is verified.
 */
export async function outcomeOf(app: OutcomeFacts, idle: IdleReport): Promise<IdleOutcome> {
  const halt = idle.halted[0];
  if (halt !== undefined) {
    const hint = halt.hint === null ? '' : ` ${halt.hint}`;
    return { exitCode: EXIT.failed, sentence: `Stopped with work left. ${endSentence(halt.message)}${hint}` };
  }
  if (idle.paused.length > 0) {
    const names = idle.paused.map(({ scope }) => scopeText(scope)).join(', ');
    return {
      exitCode: EXIT.failed,
      sentence: `Stopped with work left. Paused by an operator: ${names}. "wikiseed resume all" ends it.`,
    };
  }
  const gaps = await findGaps(app);
  if (gaps.length > 0) return { exitCode: EXIT.gaps, sentence: `Finished with gaps: ${gaps.join('; ')}.` };
  const count = app.catalog.cycles().length;
  if (count === 0) return { exitCode: EXIT.gaps, sentence: 'No cycle is due yet.' };
  return {
    exitCode: EXIT.ok,
    sentence: `Finished: ${count === 1 ? '1 cycle' : `${count} cycles`} published and whole.`,
  };
}

async function findGaps(app: OutcomeFacts): Promise<string[]> {
  const gaps: string[] = [];
  for (const { cycleDate, status } of app.catalog.cycles()) {
    const now = app.catalog.progress(cycleDate);
    const missing = now.filesExpected - now.filesDeleted - now.filesIncluded;
    const notArchived = now.filesHeld - now.filesArchived;
    if (app.uploadsEnabled && notArchived > 0)
      gaps.push(`${counted(notArchived, 'file')} of cycle ${cycleDate} not at the Internet Archive`);
    if (status === 'open') {
      gaps.push(`cycle ${cycleDate} waits for upstream or for a later attempt`);
      continue;
    }
    if (now.filesHeld === 0 && now.filesDeleted === 0)
      gaps.push(`nothing of cycle ${cycleDate} could be taken`);
    else if (status !== 'published') gaps.push(`cycle ${cycleDate} is ${status} and not published`);
    if (missing > 0) gaps.push(`${counted(missing, 'file')} of cycle ${cycleDate} in no torrent`);
    if (now.runsUnfinished > 0)
      gaps.push(`${counted(now.runsUnfinished, 'wiki')} of cycle ${cycleDate} not finished by upstream`);
  }
  const seeding = await app.seeding();
  if (seeding.isEnabled) {
    const served = new Set(seeding.torrents.filter((t) => t.isReady).map((t) => t.infoHash));
    const idle = app.catalog.torrents().filter((torrent) => !served.has(torrent.infoHash));
    for (const torrent of idle) gaps.push(`the torrent ${torrent.name} is not served`);
  }
  return gaps;
}

function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
