import { calendarOf, createAppHttp } from '../app-settings.ts';
import { createCatalog } from '../catalog/index.ts';
import type { Config } from '../config/index.ts';
import { migrateDb, openMemoryDb } from '../db/index.ts';
import { createDiscovery } from '../discovery/index.ts';
import { formatBytes, JobId } from '../lib/index.ts';
import { createSystemClock, silentLog } from '../ports/index.ts';
import type { AnyJobHandler, JobContext } from '../queue/index.ts';
import { cyclesToOpen } from '../scheduling/index.ts';
import { createLayout } from '../storage/index.ts';
import type { CliIo } from './io.ts';
import { formatTable } from './table.ts';
import { counted } from './words.ts';

/** What `run` would fetch now. */
export interface RunPlan {
  cycles: {
    cycleDate: string;
    status: string;
    files: {
      wiki: string;
      dumpType: string;
      file: string;
      sizeBytes: number;
      url: string;
      action: 'download' | 'held';
    }[];
    notices: { wiki: string; dumpType: string; reason: string }[];
  }[];
}

/** Asks upstream through the handlers that act, on a scratch database. */
export async function planRun(deps: { config: Config; signal: AbortSignal }): Promise<RunPlan> {
  const { config, signal } = deps;
  const clock = createSystemClock();
  const db = openMemoryDb(createLayout(config.wikiseed.dataDir).database);
  try {
    migrateDb(db, { dataDir: null, now: new Date(clock.now()) });
    const catalog = createCatalog({ db, clock });
    const http = createAppHttp(config, clock);
    const room = createDiscovery({
      catalog,
      http,
      clock,
      log: silentLog,
      config: { ...config.dumps, ...config.discovery },
    });
    const perform = (type: string, input: unknown): Promise<unknown> =>
      performJob(room.handlers, type, input, signal);
    await perform('discover_wikis', {});
    for (const cycle of cyclesToOpen(calendarOf(config), clock.now(), catalog.cycles()))
      catalog.openCycle(cycle);
    const open = catalog.cycles().filter((cycle) => cycle.status === 'open');
    for (const { cycleDate } of open) {
      const scan = (await perform('find_dumps', { cycleDate, wikiDbName: null, isInIndex: null })) as {
        askSingly: { wikiDbName: string; isInIndex: boolean | null }[];
      };
      for (const wiki of scan.askSingly) await perform('find_dumps', { cycleDate, ...wiki });
    }
    return {
      cycles: open.map(({ cycleDate, status }) => ({ cycleDate, status, ...describe(catalog, cycleDate) })),
    };
  } finally {
    db.close();
  }

  async function performJob(
    handlers: readonly AnyJobHandler[],
    type: string,
    input: unknown,
    abort: AbortSignal,
  ): Promise<unknown> {
    const handler = handlers.find((h) => h.jobType.type === type) as AnyJobHandler;
    const context: JobContext = {
      jobId: JobId.parse(1),
      attempt: 1,
      signal: abort,
      clock,
      log: silentLog,
      cursor: null,
      progress: () => {},
    };
    const output = await handler.run(input, context);
    db.transaction(() => handler.record?.(input, output));
    return output;
  }
}

function describe(
  catalog: ReturnType<typeof createCatalog>,
  cycleDate: string,
): Pick<RunPlan['cycles'][number], 'files' | 'notices'> {
  return {
    files: catalog
      .dumpFiles(cycleDate)
      .filter((file) => file.ourStatus !== 'deleted')
      .map((file) => ({
        wiki: file.wikiDbName,
        dumpType: file.dumpType,
        file: file.filename,
        sizeBytes: file.sizeBytes,
        url: file.wikimediaUrl,
        action: file.verification === null ? 'download' : 'held',
      })),
    notices: catalog.runs(cycleDate).flatMap((run) =>
      (JSON.parse(run.notices) as { dumpType: string; reason: string }[]).map((n) => ({
        wiki: run.wikiDbName,
        ...n,
      })),
    ),
  };
}

/** The plan for people. */
export function printPlan(io: CliIo, plan: RunPlan): void {
  if (plan.cycles.length === 0) io.out.write('Nothing to do: no cycle is open or due.\n');
  for (const cycle of plan.cycles) {
    const wanted = cycle.files.filter((file) => file.action === 'download');
    const bytes = wanted.reduce((sum, file) => sum + file.sizeBytes, 0);
    if (cycle !== plan.cycles[0]) io.out.write('\n');
    io.out.write(
      `Cycle ${cycle.cycleDate}: ${counted(wanted.length, 'file')} to download, ${formatBytes(bytes)}; `,
    );
    io.out.write(`${cycle.files.length - wanted.length} already held\n`);
    if (cycle.files.length > 0) {
      const rows = cycle.files.map((f) => [f.wiki, f.file, formatBytes(f.sizeBytes), f.action]);
      const heads = ['wiki', 'file', 'size', 'action'];
      io.out.write(`\n${formatTable(rows, { heads, numbers: [2] })}\n`);
    }
    if (cycle.notices.length > 0) {
      io.out.write('\nNot taken:\n');
      const rows = cycle.notices.map((n) => [n.wiki, n.dumpType, n.reason]);
      io.out.write(`${formatTable(rows, { heads: ['wiki', 'dump type', 'reason'] })}\n`);
    }
  }
}
