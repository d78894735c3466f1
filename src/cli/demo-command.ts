import { join, resolve } from 'node:path';
import { type App, createApp } from '../app.ts';
import { calendarOf } from '../app-settings.ts';
import { defaultConfig } from '../config/index.ts';
import { formatBytes, formatDuration, parseSize, UsageError, WikiSeedError } from '../lib/index.ts';
import { createSystemClock } from '../ports/index.ts';
import { type Sandbox, startSandbox, wikiCountMax } from '../sandbox/index.ts';
import { dueCycles } from '../scheduling/index.ts';
import { demoConfig } from './demo-config.ts';
import { writeDemoFiles } from './demo-files.ts';
import { prepareDemoFolder } from './demo-folder.ts';
import { type DemoStage, inspectDemo } from './demo-stages.ts';
import { EXIT } from './exit-codes.ts';
import { outcomeOf } from './idle-outcome.ts';
import type { CliIo } from './io.ts';
import { createLogger } from './logger.ts';
import { showProgressBars } from './progress-bars.ts';
import { counted } from './words.ts';

/** Options as commander gives them. */
export interface DemoOptions {
  exit?: boolean;
  dataDir: string;
  /** Left out: as in the demo the folder holds, else the default. */
  wikis?: string;
  size?: string;
  port: string;
}

/** As many as the defaults of a real installation name. */
const MIRRORS = 2;

/** A wiki with more than this share of all dumps gets a torrent of its own. */
const LARGE_WIKI_SHARE = 12;

/** Below this not even the smallest tables of a few wikis fit. */
const MIN_SIZE_BYTES = 100_000;

function parseOptions(
  io: CliIo,
  options: DemoOptions,
): { dataDir: string; wikis: number | null; sizeBytes: number | null; port: number } {
  const wikis = options.wikis === undefined ? null : Number(options.wikis);
  if (wikis !== null && (!Number.isInteger(wikis) || wikis < 1 || wikis > wikiCountMax))
    throw new UsageError(`--wikis ${options.wikis} is not a number from 1 to ${wikiCountMax}`);
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port ${options.port} is not a port`, 'Use 0 to 65535; 0 takes any free one.');
  let sizeBytes: number | null = null;
  try {
    if (options.size !== undefined) sizeBytes = parseSize(options.size);
  } catch (error) {
    throw new UsageError(`--size ${options.size}: ${(error as Error).message}`);
  }
  if (sizeBytes !== null && sizeBytes < MIN_SIZE_BYTES)
    throw new UsageError(
      `--size ${options.size} is too small: use at least ${formatBytes(MIN_SIZE_BYTES)}`,
      'Write a unit, such as 5MB.',
    );
  return { dataDir: resolve(io.cwd, options.dataDir), wikis, sizeBytes, port };
}

/** Starts the app; a taken default port is no reason to fail a demo. */
async function startApp(
  io: CliIo,
  make: (port: number) => Promise<App>,
  port: number,
): Promise<{ app: App; url: string }> {
  const app = await make(port);
  try {
    return { app, url: (await app.start()).url };
  } catch (error) {
    await app.stop();
    if (!(error instanceof WikiSeedError) || error.code !== 'port_taken') throw error;
    io.out.write(`Port ${port} is taken, so the status page uses a free one.\n`);
    const second = await make(0);
    return { app: second, url: (await second.start()).url };
  }
}

/** `demo`: one cycle from discovery to a seeded, published torrent. 0 only when every stage really happened. */
export async function demoCommand(io: CliIo, options: DemoOptions): Promise<number> {
  const { dataDir, port, ...asked } = parseOptions(io, options);
  const clock = createSystemClock();
  const startedMs = clock.monotonicMs();
  const due = dueCycles(calendarOf(defaultConfig()), clock.now(), null)[0];
  if (due === undefined) throw new UsageError('the clock of this machine is wrong: no cycle is due');
  const { wikis, sizeBytes } = await prepareDemoFolder(dataDir, asked);
  io.out.write(
    `WikiSeed demo: ${counted(wikis, 'wiki')}, ${formatBytes(sizeBytes)} of dumps, all on this machine, in ${dataDir}\n`,
  );
  io.out.write(
    'Starting a small Wikimedia with two mirrors, an Internet Archive, an S3 store and a BitTorrent tracker …\n',
  );
  const keepAlive = setInterval(() => {}, 2 ** 30);
  const logFile = join(dataDir, 'logs', 'demo.log');
  let sandbox: Sandbox | null = null;
  let app: App | null = null;
  let bars = { stop(): void {} };
  try {
    sandbox = await startSandbox({
      dir: join(dataDir, 'sandbox'),
      wikis,
      sizeBytes,
      mirrors: MIRRORS,
      runDates: [due.cycleDate.replaceAll('-', '')],
    });
    const world = sandbox;
    const before = world.counters();
    const log = createLogger({ level: 'debug', file: logFile });
    let configPath = '';
    const make = (pagePort: number): Promise<App> => {
      const { config: base, secrets } = demoConfig(world, { dataDir, port: pagePort });
      const config = {
        ...base,
        // Torrents name the page as a webseed; of a port that is chosen later nobody knows yet.
        wikiseed: {
          ...base.wikiseed,
          publicBaseUrl: pagePort === 0 ? null : `http://127.0.0.1:${pagePort}`,
        },
        // No wiki of this world has a gigabyte: the largest ones get a torrent of their own all the same.
        torrents: { ...base.torrents, wikiRunMinSizeBytes: Math.round(sizeBytes / LARGE_WIKI_SHARE) },
      };
      configPath = writeDemoFiles({ config, secrets });
      return createApp({ config, secrets, log, clock, configPath });
    };
    const started = await startApp(io, make, port);
    app = started.app;
    const { url } = started;
    io.out.write(`Working on the cycle of ${due.cycleDate}; status page: ${url}\n`);
    bars = showProgressBars({ bus: app.bus, queries: app.queries, stream: io.err });
    const interrupted = new Promise<null>((done) => {
      if (io.signal.aborted) done(null);
      io.signal.addEventListener('abort', () => done(null), { once: true });
    });
    const idle = await Promise.race([app.whenIdle(), interrupted]);
    bars.stop();
    if (idle === null) return EXIT.interrupted;
    const stages = await inspectDemo({
      app,
      sandbox: world,
      before,
      cycleDate: due.cycleDate,
      dataDir,
      sizeBytes,
      pageUrl: url,
    });
    const outcome = await outcomeOf(app, idle);
    const durationMs = clock.monotonicMs() - startedMs;
    const manifest = join(app.layout.publish, 'manifest.json');
    const endsNow = options.exit === true;
    const command = commandFor(io, configPath);
    report(io, stages, { url: endsNow ? null : url, manifest, dataDir, logFile, durationMs, command });
    const failed = stages.filter((stage) => !stage.happened);
    if (failed.length > 0 || outcome.exitCode !== EXIT.ok) {
      io.err.write(`\nThe demo did not succeed. ${outcome.sentence} The log ${logFile} says more.\n`);
      return failed.length > 0 ? EXIT.failed : outcome.exitCode;
    }
    if (endsNow) return EXIT.ok;
    io.out.write('\nEverything stays up and seeds until you press Ctrl+C.\n');
    await interrupted;
    return EXIT.ok;
  } finally {
    bars.stop();
    await app?.stop();
    await sandbox?.stop();
    clearInterval(keepAlive);
  }
}

function report(
  io: CliIo,
  stages: readonly DemoStage[],
  /** `url`: null when the page is gone as soon as this is read. */
  facts: {
    url: string | null;
    manifest: string;
    dataDir: string;
    logFile: string;
    durationMs: number;
    command: string;
  },
): void {
  io.out.write('\nWhat happened\n');
  for (const stage of stages)
    io.out.write(`  ${stage.happened ? 'ok    ' : 'FAILED'}  ${stage.name.padEnd(9)} ${stage.detail}\n`);
  io.out.write(`\nIt took ${formatDuration(Math.round(facts.durationMs))}.\n`);
  io.out.write('\nWhere to look\n');
  io.out.write(`  status page   ${facts.url ?? 'run without --exit to look at the status page'}\n`);
  io.out.write(`  manifest      ${facts.url === null ? facts.manifest : `${facts.url}manifest.json`}\n`);
  io.out.write(`  files         ${join(facts.dataDir, 'dumps')}\n`);
  io.out.write(`  torrents      ${join(facts.dataDir, 'torrents')}\n`);
  io.out.write(`  log           ${facts.logFile}\n`);
  io.out.write(`  commands      ${facts.command}\n`);
  io.out.write(
    '                and so on: plan, wikis, cycles, coverage, torrents, verify, prune --dry-run, jobs\n',
  );
}

/** `status` of this demo, as it is to be written here: `npm run demo` brings a Node of its own, which a bare `wikiseed` may lack. */
function commandFor(io: CliIo, configPath: string): string {
  const isByNpm = io.env.npm_lifecycle_event === 'demo';
  const path = /^[\w./@+-]+$/.test(configPath) ? configPath : `'${configPath.replaceAll("'", "'\\''")}'`;
  return `${isByNpm ? 'npm run wikiseed --' : 'wikiseed'} status --config ${path}`;
}
