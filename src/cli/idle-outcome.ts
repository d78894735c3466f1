import type { App } from '../app.ts';
import { type NoticeKind, noticeKind, type RunNotice } from '../catalog/index.ts';
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
 * Whole means: every expected file is in a torrent, every run is known and gave the configured dump types that it offers,
 * every torrent is served, every upload is verified.
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
    gaps.push(...lackingTypes(app.catalog, cycleDate));
  }
  const seeding = await app.seeding();
  if (seeding.isEnabled) {
    const served = new Set(
      seeding.torrents.filter((t) => t.isReady || t.state === 'resting').map((t) => t.infoHash),
    );
    const idle = app.catalog
      .torrents()
      .filter(({ infoHash, retiredAt }) => retiredAt === null && !served.has(infoHash));
    for (const torrent of idle) gaps.push(`the torrent ${torrent.name} is not served`);
  }
  return gaps;
}

/** What upstream should have given, but did not. What a wiki does not offer, or a run leaves out, is no gap. */
const GAP_OF_KIND: Readonly<Partial<Record<NoticeKind, string>>> = {
  failed: 'failed upstream',
  lacking: 'incomplete upstream',
  refused: 'refused because of its address',
};

const NAMED_MAX = 5;

/** Configured dump types that a cycle lacks, one text for all wikis. */
function lackingTypes(catalog: OutcomeFacts['catalog'], cycleDate: string): string[] {
  const groups = new Map<string, { words: string; dumpType: string; wikis: Set<string> }>();
  for (const run of catalog.runs(cycleDate)) {
    if (run.status === 'absent') continue;
    for (const notice of JSON.parse(run.notices) as RunNotice[]) {
      const words = GAP_OF_KIND[noticeKind(notice, run)];
      if (words === undefined) continue;
      const { dumpType } = notice;
      const key = `${dumpType}\t${words}`;
      const group = groups.get(key) ?? { words, dumpType, wikis: new Set() };
      groups.set(key, group);
      group.wikis.add(run.wikiDbName);
    }
  }
  const texts = [...groups.values()].map(({ words, dumpType, wikis }) => {
    const whose = wikis.size === 1 ? [...wikis][0] : counted(wikis.size, 'wiki');
    return `${dumpType} of ${whose} in cycle ${cycleDate} ${words}`;
  });
  const more = texts.length - NAMED_MAX;
  return more > 0
    ? [
        ...texts.slice(0, NAMED_MAX),
        `${counted(more, 'more dump type')} of cycle ${cycleDate} not given by upstream`,
      ]
    : texts;
}

function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
