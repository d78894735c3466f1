import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../app.ts';
import { createCatalog } from '../catalog/index.ts';
import { createSystemState, type Db, isDataDirectoryInUse, STATE_KEYS } from '../db/index.ts';
import { formatBytes, UsageError, WikiSeedError } from '../lib/index.ts';
import { createStatusQueries } from '../monitoring/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../ports/index.ts';
import {
  createThreadPlanner,
  isBesideUs,
  lookForWaiting,
  type PlanOutline,
  seedingProgramOf,
  type Waiting,
} from '../pruning/index.ts';
import {
  bytesToFree,
  createLayout,
  lookAtDisk,
  type PruneUsage,
  parseSavedStorage,
  seedersMaxAgeMs,
} from '../storage/index.ts';
import { operate } from './daemon.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { type LoadedConfig, loadForCommand, openForReading } from './load.ts';
import { printHistory, printPrunePlan, prunePlanJson } from './prune-text.ts';
import { plainText } from './table.ts';

/** What the command understands. */
export interface PruneOptions {
  config?: string;
  dryRun?: boolean;
  history?: boolean;
  wiki?: string;
  all?: boolean;
  summary?: boolean;
  json?: boolean;
}

/** Tombstones that `--history` lists. */
const HISTORY_MAX = 10_000;
const LOOK_AGAIN_MS = 500;

/** `prune`: makes room by plan; with `--dry-run` says what would go and what stays, with `--history` what went. */
export async function pruneCommand(io: CliIo, options: PruneOptions): Promise<number> {
  if (options.history === true && options.dryRun === true)
    throw new UsageError('--dry-run is about what would go, --history about what went', 'Give one of them.');
  if (options.wiki !== undefined && options.history !== true && options.dryRun !== true)
    throw new UsageError(
      '--wiki belongs to --dry-run or --history',
      'What is deleted is not chosen by hand: write "wikiseed prune", or look with "wikiseed prune --dry-run --wiki <name>".',
    );
  if (options.all === true && options.history !== true && options.dryRun !== true)
    throw new UsageError(
      '--all belongs to --dry-run or --history',
      'Nothing was deleted. "wikiseed prune --dry-run --all" names every file.',
    );
  if (options.summary === true && (options.dryRun !== true || options.all === true || options.json === true))
    throw new UsageError(
      '--summary belongs to --dry-run alone',
      'Write "wikiseed prune --dry-run --summary".',
    );
  const loaded = loadForCommand(io, options.config);
  if (options.history === true) return showHistory(io, loaded, options);
  if (options.dryRun === true) return showPlan(io, loaded, options);
  return pruneNow(io, loaded, options);
}

function showHistory(io: CliIo, { config }: LoadedConfig, options: PruneOptions): number {
  const db = openForReading(config.wikiseed.dataDir);
  try {
    assertKnown(db, options.wiki);
    const catalog = createCatalog({ db, clock: createSystemClock() });
    const deletions = catalog.deletions({ wikiDbName: options.wiki ?? null, limit: HISTORY_MAX });
    if (options.json === true)
      printJson(
        io,
        deletions.map(({ evidence, ...rest }) => ({ ...rest, evidence: JSON.parse(evidence) as unknown })),
      );
    else printHistory(io, deletions, { areFilesShown: options.all === true });
    return EXIT.ok;
  } finally {
    db.close();
  }
}

/** A name that was mistyped must not look like a wiki of which nothing is held. */
function assertKnown(db: Db, wiki: string | undefined): void {
  if (wiki === undefined) return;
  const isKnown = db.sqlite
    .prepare<[{ wiki: string }]>(
      `SELECT 1 FROM wikis WHERE wiki_db_name = @wiki UNION ALL SELECT 1 FROM dumps WHERE wiki_db_name = @wiki
        UNION ALL SELECT 1 FROM deletions WHERE wiki_db_name = @wiki LIMIT 1`,
    )
    .get({ wiki });
  if (isKnown === undefined)
    throw new UsageError(
      `there is no wiki ${wiki}`,
      '"wikiseed wikis" lists their names; the German Wikipedia, for example, is dewiki.',
    );
}

/** How full the disk is, for a command. */
async function usageFor(
  { config }: LoadedConfig,
  db: Db,
  { isDaemonRunning }: { isDaemonRunning: boolean },
): Promise<PruneUsage> {
  const { dataDir } = config.wikiseed;
  return lookAtDisk({ disk: createNodeDisk(), dataDir }, config.storage, {
    saved: parseSavedStorage(createSystemState(db).get(STATE_KEYS.storage)),
    isDaemonRunning,
    heldBytes: createCatalog({ db, clock: createSystemClock() }).heldBytes(),
  });
}

async function showPlan(io: CliIo, loaded: LoadedConfig, options: PruneOptions): Promise<number> {
  const { config, secrets } = loaded;
  const { dataDir } = config.wikiseed;
  const db = openForReading(dataDir);
  let usage: PruneUsage;
  let waiting: Waiting;
  try {
    assertKnown(db, options.wiki);
    usage = await usageFor(loaded, db, { isDaemonRunning: isDataDirectoryInUse(dataDir) });
    waiting = await lookForWaiting({
      ...{ sqlite: db.sqlite, disk: createNodeDisk(), layout: createLayout(dataDir) },
      catalog: createCatalog({ db, clock: createSystemClock() }),
    });
  } finally {
    db.close();
  }
  const { remoteProofMaxAgeMs, minSeedersBeforePrune, pruneOldestFirst } = config.storage;
  const uploadsEnabled = config.ia.enabled && secrets.iaAccessKey !== null && secrets.iaSecretKey !== null;
  const policy = {
    neededBytes: bytesToFree(usage),
    ...{ remoteProofMaxAgeMs, minSeedersBeforePrune, pruneOldestFirst, uploadsEnabled },
    seedersMaxAgeMs: seedersMaxAgeMs(config.seeding.statsIntervalMs),
  };
  const plan: PlanOutline = await createThreadPlanner({ databasePath: db.path, dataDir }).plan(
    { now: createSystemClock().now(), policy, waitingBytes: waiting.sizeBytes },
    { isDetailed: true, signal: io.signal },
  );
  const details = plan.details.filter(({ wikiDbName }) => (options.wiki ?? wikiDbName) === wikiDbName);
  const shown = {
    ...plan,
    details,
    waiting: {
      ...waiting,
      program: isBesideUs(config.seeding.engine) ? seedingProgramOf(config.seeding.engine) : null,
    },
  };
  if (options.json === true) printJson(io, prunePlanJson(shown, usage));
  else {
    const detail = options.all === true ? 'files' : options.summary === true ? 'reasons' : 'sets';
    printPrunePlan(io, shown, usage, { detail, wiki: options.wiki ?? null });
  }
  return EXIT.ok;
}

async function pruneNow(io: CliIo, loaded: LoadedConfig, options: PruneOptions): Promise<number> {
  const { config, secrets, sourcePath } = loaded;
  const { dataDir } = config.wikiseed;
  if (isDataDirectoryInUse(dataDir))
    return operate(io, loaded, async ({ actions }) => {
      const { jobId } = await actions.prune();
      if (options.json !== true) io.out.write(`The running WikiSeed prunes now (job ${jobId}).\n`);
      return waitForJob(io, dataDir, jobId, options);
    });
  openForReading(dataDir).close();
  const app = await createApp({ config, secrets, log: silentLog, configPath: sourcePath });
  try {
    const db = openForReading(dataDir);
    const report = await app
      .prune(io.signal, {
        // The lock on the data directory is our own.
        usage: () => usageFor(loaded, db, { isDaemonRunning: false }),
        onProgress: (done, total) => {
          if (io.err.isTTY === true)
            io.err.write(`\rdeleted ${formatBytes(done)} of ${formatBytes(total)} needed\u001b[K`);
        },
      })
      .finally(() => db.close());
    if (io.err.isTTY === true) io.err.write('\r\u001b[K');
    const { items, ...facts } = report;
    if (options.json === true) printJson(io, { ...facts, itemsAsked: 0, isDaemonRunning: false });
    else tellSummary(io, report);
    if (items.length > 0 && options.json !== true)
      io.out.write(
        'Some proofs at the Internet Archive are too old to count; a running WikiSeed asks for them anew.\n',
      );
    return report.removedBytes >= report.neededBytes ? EXIT.ok : EXIT.gaps;
  } finally {
    await app.stop();
  }
}

/** Follows the daemon's job in the database until it is over. */
async function waitForJob(io: CliIo, dataDir: string, jobId: number, options: PruneOptions): Promise<number> {
  const db = openForReading(dataDir);
  try {
    const queries = createStatusQueries({ db, clock: createSystemClock() });
    for (;;) {
      const job = queries.job(jobId);
      if (job === null) throw new WikiSeedError('prune_lost', `job ${jobId} is gone`);
      if (job.status === 'completed') return tellResult(io, resultOf(db, jobId), options);
      if (job.status !== 'pending' && job.status !== 'in_progress')
        throw new WikiSeedError('prune_failed', `job ${jobId} ended as ${job.status}`, {
          hint: `"wikiseed jobs ${jobId}" says why.`,
        });
      await sleep(LOOK_AGAIN_MS, undefined, { signal: io.signal });
    }
  } finally {
    db.close();
  }
}

interface JobResult {
  neededBytes: number;
  removedBytes: number;
  waitingFiles: number;
  summary: string;
}

function resultOf(db: Db, jobId: number): JobResult {
  const text = db.sqlite
    .prepare<[number], string | null>('SELECT result FROM jobs WHERE id = ?')
    .pluck()
    .get(jobId);
  return JSON.parse(
    text ?? '{"neededBytes":0,"removedBytes":0,"waitingFiles":0,"summary":"done"}',
  ) as JobResult;
}

function tellResult(io: CliIo, result: JobResult, options: PruneOptions): number {
  if (options.json === true) printJson(io, { ...result, isDaemonRunning: true });
  else tellSummary(io, result);
  return result.removedBytes >= result.neededBytes ? EXIT.ok : EXIT.gaps;
}

function tellSummary(io: CliIo, { summary, removedBytes, neededBytes, waitingFiles }: JobResult): void {
  io.out.write(`${plainText(sentence(summary))}\n`);
  // A process of a moment never knows a program for long enough to believe what it does not name.
  if (waitingFiles > 0)
    io.out.write(
      'A running WikiSeed asks again by itself until what waits can go; this command asks once.\n',
    );
  if (removedBytes < neededBytes)
    io.out.write('"wikiseed prune --dry-run --summary" says why everything else stays.\n');
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
