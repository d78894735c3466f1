import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import type { Catalog, ExpectedFile, RunFacts, Wiki } from '../../catalog/index.ts';
import { CycleDate, type DumpFileId, RetryableError, runDateOf } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Log } from '../../ports/index.ts';
import { type AnyJobHandler, defineJob, handleJob } from '../../queue/index.ts';
import { type DumpStatus, parseDumpStatus, parseIndex, readEntry, runDateOfStatus } from '../dump-status.ts';
import { type Selection, selectFiles } from '../select-files.ts';
import { addHashes, needsHashes } from '../sums.ts';
import { parseRunDates, type Upstream } from '../upstream.ts';
import { createWikiFilter, type WikiFilter } from '../wiki-filter.ts';

/**
 * Looks at the runs of a cycle. Without a wiki it reads `index.json` once for all of them and names those it could not
 * judge from it (`askSingly`); with a wiki it reads that wiki's own status.
 */
export const findDumps = defineJob({
  type: 'find_dumps',
  input: z.object({
    cycleDate: CycleDate,
    wikiDbName: z.string().nullable(),
    /** Whether the wiki stands in `index.json`; null when that could not be read, or nobody looked. */
    isInIndex: z.boolean().nullable(),
  }),
  output: z.object({
    runs: z.array(z.custom<RunFacts>()),
    askSingly: z.array(z.object({ wikiDbName: z.string(), isInIndex: z.boolean().nullable() })),
  }),
  uniqueKey: (input) => `${input.cycleDate}:${input.wikiDbName ?? '*'}`,
  subject: (input) => ({ cycleDate: input.cycleDate }),
  target: 'dumps',
  priority: 20,
  timeoutMs: 60 * 60_000,
});

/** What a look at all wikis gives. */
interface Scan {
  runs: RunFacts[];
  askSingly: { wikiDbName: string; isInIndex: boolean | null }[];
}

/** A torn index is read this often before it is done without. */
const INDEX_ATTEMPTS = 3;

/** What `record` hands to the follow-ups: files to fetch now. */
export type FoundDumps = readonly { id: DumpFileId; sizeBytes: number }[];

/** The slice of configuration that decides what is looked for. */
export interface FindDumpsConfig extends Omit<Selection, 'includesHistory'> {
  dumpsBaseUrl: string;
  wikis: WikiFilter;
}

/** The handler. */
export function handleFindDumps(deps: {
  catalog: Catalog;
  upstream: Upstream;
  log: Log;
  config: FindDumpsConfig;
}): AnyJobHandler {
  const { catalog, upstream, log, config } = deps;
  const base = config.dumpsBaseUrl.replace(/\/$/, '');
  const isWanted = createWikiFilter(config.wikis);
  const wantedWikis = (): Wiki[] =>
    catalog.wikis().filter((wiki) => !wiki.isPrivate && isWanted(wiki.wikiDbName));

  async function judge(
    wikiDbName: string,
    cycleDate: string,
    found: { status: DumpStatus; text: string },
    signal: AbortSignal,
  ): Promise<RunFacts> {
    const runDate = runDateOf(cycleDate);
    const includesHistory = catalog.cycle(cycleDate)?.includesHistory ?? false;
    const selected = selectFiles(
      found.status,
      { wikiDbName, runDate, baseUrl: base },
      { ...config, includesHistory },
    );
    for (const refused of selected.refused)
      log.warn({ wiki: wikiDbName, runDate, ...refused }, 'refused a file of a run, the rest goes on');
    let files: ExpectedFile[] = selected.files;
    if (needsHashes(files)) {
      const read = (name: string): Promise<string | null> =>
        upstream.text(`${base}/${wikiDbName}/${runDate}/${name}`, signal);
      files = await addHashes(files, { wikiDbName, runDate }, read);
    }
    return {
      wikiDbName,
      cycleDate,
      runDate,
      status: selected.isFinished ? 'finished' : 'in_progress',
      notices: selected.notices,
      files,
      statusText: found.text,
    };
  }

  /** `index.json`; null when it is not there, or stays torn: then every wiki is asked singly. */
  async function readIndex(attempt: number, signal: AbortSignal): Promise<Map<string, unknown> | null> {
    const text = await upstream.text(`${base}/index.json`, signal);
    if (text === null) return null;
    try {
      return parseIndex(text);
    } catch (error) {
      if (attempt < INDEX_ATTEMPTS) throw error;
      log.warn({ attempt }, 'index.json stays torn, so every wiki is asked singly');
      return null;
    }
  }

  /** Reads all wikis' newest runs in one request; whatever is not certain from it is asked for singly. */
  async function scan(cycleDate: string, attempt: number, signal: AbortSignal): Promise<Scan> {
    const entries = await readIndex(attempt, signal);
    const runs: RunFacts[] = [];
    const askSingly: Scan['askSingly'] = [];
    for (const wiki of wantedWikis()) {
      // A thousand status documents take seconds to judge; pages and leases must not wait for all of them.
      await nextTurn();
      const status = readEntry(entries?.get(wiki.wikiDbName));
      if (status !== null && runDateOfStatus(status, wiki.wikiDbName) === runDateOf(cycleDate))
        runs.push(await judge(wiki.wikiDbName, cycleDate, { status, text: JSON.stringify(status) }, signal));
      else
        askSingly.push({
          wikiDbName: wiki.wikiDbName,
          isInIndex: entries === null ? null : entries.has(wiki.wikiDbName),
        });
    }
    return { runs, askSingly };
  }

  async function askOne(
    {
      wikiDbName,
      cycleDate,
      isInIndex,
    }: { wikiDbName: string; cycleDate: string; isInIndex: boolean | null },
    signal: AbortSignal,
  ): Promise<RunFacts> {
    const runDate = runDateOf(cycleDate);
    const folder = `${base}/${wikiDbName}`;
    const text = await upstream.text(`${folder}/${runDate}/dumpstatus.json`, signal);
    if (text !== null) {
      const status = parseDumpStatus(text, `${wikiDbName}/${runDate}/dumpstatus.json`);
      return judge(wikiDbName, cycleDate, { status, text }, signal);
    }
    // 404 means not yet, gone, or never: the listing tells which.
    const listing = await upstream.text(`${folder}/`, signal);
    const dates = listing === null ? [] : parseRunDates(listing);
    const absent = (reason: string): RunFacts => ({
      wikiDbName,
      cycleDate,
      runDate,
      status: 'absent',
      notices: [{ dumpType: '*', reason }],
      files: [],
      statusText: null,
    });
    // A 404 alone proves nothing: sites have bad days. Absent is only what another document says too.
    if (dates.length === 0 && isInIndex === false) return absent('upstream has no dumps of this wiki');
    if (dates.some((date) => date > runDate) && !dates.includes(runDate))
      return absent('upstream has no run of this date');
    return { ...absent('the run has not begun yet'), status: 'in_progress' };
  }

  return handleJob(findDumps, {
    async run({ cycleDate, wikiDbName, isInIndex }, { signal, attempt }) {
      const found =
        wikiDbName === null
          ? await scan(cycleDate, attempt, signal)
          : { runs: [await askOne({ wikiDbName, cycleDate, isInIndex }, signal)], askSingly: [] };
      step('discovery:looked');
      return found;
    },
    record(_input, { runs }): FoundDumps {
      return runs.flatMap((facts) =>
        catalog.recordRun(facts).map((id) => ({ id, sizeBytes: catalog.dumpFile(id)?.sizeBytes ?? 0 })),
      );
    },
    recordFailure({ cycleDate, wikiDbName }, error) {
      if (wikiDbName === null || catalog.run(wikiDbName, runDateOf(cycleDate)) !== null) return;
      const reason = `its status could not be read: ${error instanceof RetryableError ? error.code : String(error)}`;
      catalog.recordRun({
        wikiDbName,
        cycleDate,
        runDate: runDateOf(cycleDate),
        status: 'in_progress',
        notices: [{ dumpType: '*', reason }],
        files: [],
        statusText: null,
      });
    },
    summarize: ({ runs, askSingly }) => ({
      runs: runs.length,
      files: runs.reduce((sum, run) => sum + run.files.length, 0),
      askedSingly: askSingly.length,
    }),
  });
}
