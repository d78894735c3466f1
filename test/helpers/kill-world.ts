import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calendarOf } from '../../src/app-settings.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/index.ts';
import { dueCycles } from '../../src/scheduling/index.ts';
import { type KillOrder, type KillRecord, parseReport } from './kill-points.ts';
import { sandboxConfig } from './with-app.ts';
import { type Ended, spawnWikiseed, writeConfig } from './with-process.ts';

const PRELOAD = join(import.meta.dirname, 'kill-preload.js');

/** Node keeps its compiled modules here: a third of each start. */
const COMPILE_CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'crash-tests');

/** A whole run takes 2 s; one that is not over after this hangs. */
const LIFE_MAX_MS = 90_000;

/** One process from start to end. */
export interface Life extends Ended {
  /** Where it was killed; null when it ended by itself. */
  killed: Extract<KillRecord, { kind: 'killed' }> | null;
  records: KillRecord[];
}

/** A sandbox in this process, which survives every kill, and one data directory that many lives share. */
export interface KillWorld {
  readonly sandbox: Sandbox;
  /** Of the sandbox: dumps, archive and objects as they really lie there. */
  readonly sandboxDir: string;
  readonly dataDir: string;
  /** Runs `wikiseed run --until-idle` once. @throws Error when it hangs */
  live(order: KillOrder): Promise<Life>;
  close(): Promise<void>;
}

/**
 * A cycle as small as it can be with every stage in it: two wikis, two torrents (regular and history), seven dump files,
 * uploads, an object store.
 * @param options.taskDelayMs how long the archive keeps an accepted file queued; default 0
 */
export async function openKillWorld(options: { taskDelayMs?: number } = {}): Promise<KillWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-kill-'));
  const sandboxDir = join(folder, 'sandbox');
  const dataDir = join(folder, 'data');
  const calendar = { cycleDays: [1] };
  let sandbox: Sandbox | undefined;
  try {
    sandbox = await startSandbox({
      dir: sandboxDir,
      wikis: 2,
      sizeBytes: 100_000,
      runDates: [firstOfMonth(calendar)],
      taskDelayMs: options.taskDelayMs ?? 0,
      r2WriteIntervalMs: 0,
    });
    const { path, env } = writeConfig(smallestConfig(sandbox, dataDir, calendar), folder);
    const running = sandbox;
    return {
      sandbox,
      sandboxDir,
      dataDir,
      live: (order) => liveOnce({ folder, args: ['run', '--until-idle', '--config', path], env, order }),
      async close() {
        await running.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await sandbox?.stop();
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

type Calendar = Pick<ReturnType<typeof calendarOf>, 'cycleDays'>;

function smallestConfig(
  sandbox: Sandbox,
  dataDir: string,
  calendar: Calendar,
): ReturnType<typeof sandboxConfig> {
  const { config, secrets } = sandboxConfig(sandbox, dataDir);
  return {
    secrets,
    config: {
      ...config,
      scheduling: { ...config.scheduling, cycleDays: calendar.cycleDays },
      dumps: {
        ...config.dumps,
        regularTypes: ['pages-articles', 'site_stats'],
        historyTypes: ['pages-meta-history'],
      },
      ia: { ...config.ia, verifyPollMs: [50] },
    },
  };
}

/** YYYYMMDD of the newest cycle that is due: one with history whatever the day of the test. */
function firstOfMonth(calendar: Calendar): string {
  const config = { ...calendarOf(defaultConfig()), ...calendar };
  const cycle = dueCycles(config, Date.now(), null)[0];
  if (cycle === undefined) throw new Error('no cycle is due');
  return cycle.cycleDate.replaceAll('-', '');
}

async function liveOnce(facts: {
  folder: string;
  args: readonly string[];
  env: Record<string, string>;
  order: KillOrder;
}): Promise<Life> {
  const reportPath = join(facts.folder, 'report');
  rmSync(reportPath, { force: true });
  const reportFd = openSync(reportPath, 'a');
  const { child, ended } = spawnWikiseed(facts.args, {
    cwd: facts.folder,
    env: { ...facts.env, NODE_COMPILE_CACHE: COMPILE_CACHE, WIKISEED_TEST_KILL: JSON.stringify(facts.order) },
    preload: PRELOAD,
    reportFd,
  });
  closeSync(reportFd);
  let isHanging = false;
  const watchdog = setTimeout(() => {
    isHanging = true;
    child.kill('SIGKILL');
  }, LIFE_MAX_MS);
  const end = await ended;
  clearTimeout(watchdog);
  const records = parseReport(readFileSync(reportPath, 'utf8'));
  const killed = records.find((record) => record.kind === 'killed') ?? null;
  const life: Life = { ...end, killed, records };
  if (isHanging) throw new Error(`a process was not over after ${LIFE_MAX_MS} ms\n${lastWords(life)}`);
  const wasKilled = child.signalCode === 'SIGKILL';
  if (wasKilled !== (killed !== null))
    throw new Error(`a process ended with ${child.signalCode} and reported ${JSON.stringify(killed)}`);
  return life;
}

/** The end of what a process said, for messages of failure. */
export function lastWords(life: Ended): string {
  return `exit code ${life.code}\n${life.stderr}\n${life.stdout.slice(-3000)}`;
}
