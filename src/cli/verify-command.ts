import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../app.ts';
import { createCatalog, isUnverified, type Verification } from '../catalog/index.ts';
import { isDataDirectoryInUse } from '../db/index.ts';
import { type DumpFileId, describeError, formatBytes, isAbort, UsageError } from '../lib/index.ts';
import { REPAIR_AT_ONCE } from '../monitoring/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../ports/index.ts';
import { createLayout } from '../storage/index.ts';
import { operate } from './daemon.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { type LoadedConfig, loadForCommand, openForReading } from './load.ts';
import { showReadingBar } from './reading-bar.ts';
import { plainText } from './table.ts';
import { type VerifiedFile, verifyFiles } from './verify-files.ts';
import { counted } from './words.ts';

/** What the command understands. */
export interface VerifyOptions {
  config?: string;
  repair?: boolean;
  wiki?: string;
  cycle?: string;
  json?: boolean;
}

/** How a damaged file ended. */
interface Repair {
  state: 'sound' | 'repaired' | 'damaged' | 'gone' | 'failed';
  reason: string | null;
}

const LOOK_AGAIN_MS = 500;
/** A list on a screen; the whole is in `--json`. */
const LIST_MAX = 20;

type Level = Verification | 'unverified';

/** By what files were proved when they were fetched, in the order in which they are told. */
const LEVELS: Readonly<Record<Level, string>> = {
  sha1: "by upstream's SHA-1",
  md5: "by upstream's MD5",
  'sha256-upstream': "by upstream's SHA-256",
  'structure-only': 'by their structure only: upstream gave no hash',
  unverified: 'by nothing (unverified): no hash, and no structure to check',
};

/** `verify`: reads held files again; with `--repair` damaged ones are put right. @returns 0 sound, 1 damage left or unread */
export async function verifyCommand(io: CliIo, options: VerifyOptions): Promise<number> {
  if (options.cycle !== undefined && !/^\d{4}-\d{2}-\d{2}$/.test(options.cycle))
    throw new UsageError(`${options.cycle} is not the date of a cycle`, 'Write it as YYYY-MM-DD.');
  const loaded = loadForCommand(io, options.config);
  const files = await readAll(io, loaded, options);
  const damaged = files.filter(({ state }) => state === 'damaged');
  const repairs =
    options.repair === true && damaged.length > 0
      ? await repairAll(io, loaded, damaged)
      : new Map<number, Repair>();
  if (options.json === true) printJson(io, asJson(files, repairs));
  else printResult(io, files, { repairs, options });
  const isLeft = (file: VerifiedFile): boolean =>
    file.state === 'unread' || (file.state === 'damaged' && !isHealed(repairs.get(file.id)));
  return files.some(isLeft) ? EXIT.failed : EXIT.ok;
}

const isHealed = (repair: Repair | undefined): boolean =>
  repair !== undefined && repair.state !== 'damaged' && repair.state !== 'failed';

async function readAll(
  io: CliIo,
  { config }: LoadedConfig,
  { wiki, cycle }: VerifyOptions,
): Promise<VerifiedFile[]> {
  const { dataDir } = config.wikiseed;
  const db = openForReading(dataDir);
  const bar = showReadingBar(io);
  try {
    const catalog = createCatalog({ db, clock: createSystemClock() });
    const held = catalog.heldFiles({ wikiDbName: wiki ?? null, cycleDate: cycle ?? null });
    if (held.length === 0 && (wiki !== undefined || cycle !== undefined))
      throw new UsageError(
        `nothing is held of ${[wiki, cycle].filter((name) => name !== undefined).join(', ')}`,
        '"wikiseed cycles" and "wikiseed wikis" list what there is.',
      );
    return await verifyFiles(
      {
        ...{ catalog, disk: createNodeDisk(), layout: createLayout(dataDir), signal: io.signal },
        pieceLength: config.torrents.pieceLengthBytes,
        onProgress: bar.show,
      },
      held,
    );
  } finally {
    bar.stop();
    db.close();
  }
}

/** Through the running daemon, else here. */
async function repairAll(
  io: CliIo,
  loaded: LoadedConfig,
  damaged: readonly VerifiedFile[],
): Promise<Map<number, Repair>> {
  const ids = damaged.map(({ id }) => id);
  return isDataDirectoryInUse(loaded.config.wikiseed.dataDir)
    ? repairByDaemon(io, loaded, ids)
    : repairHere(io, loaded, ids);
}

async function repairHere(
  io: CliIo,
  { config, secrets, sourcePath }: LoadedConfig,
  ids: readonly DumpFileId[],
): Promise<Map<number, Repair>> {
  const app = await createApp({ config, secrets, log: silentLog, configPath: sourcePath });
  const repairs = new Map<number, Repair>();
  try {
    for (const [at, id] of ids.entries()) {
      const tell = (doing: string): void => showStep(io, `repairing ${at + 1} of ${ids.length}: ${doing}`);
      try {
        const { state, reason } = await app.repairHeld(id, {
          signal: io.signal,
          onProgress: (done, total, label) => tell(`${label}, ${formatBytes(done)} of ${formatBytes(total)}`),
        });
        repairs.set(id, { state, reason });
      } catch (error) {
        if (isAbort(error)) throw error;
        repairs.set(id, { state: 'failed', reason: describeError(error) });
      }
    }
    return repairs;
  } finally {
    showStep(io, null);
    await app.stop();
  }
}

async function repairByDaemon(
  io: CliIo,
  loaded: LoadedConfig,
  ids: readonly DumpFileId[],
): Promise<Map<number, Repair>> {
  const jobIds: number[] = [];
  await operate(io, loaded, async ({ actions }) => {
    for (let from = 0; from < ids.length; from += REPAIR_AT_ONCE)
      jobIds.push(...(await actions.repairFiles(ids.slice(from, from + REPAIR_AT_ONCE))).jobIds);
  });
  const db = openForReading(loaded.config.wikiseed.dataDir);
  try {
    const ask = db.sqlite.prepare<[number], JobRow>(
      'SELECT dump_id AS dumpId, status, result, last_error AS lastError FROM jobs WHERE id = ?',
    );
    for (;;) {
      const rows = jobIds.flatMap((id) => ask.get(id) ?? []);
      const open = rows.filter(({ status }) => status === 'pending' || status === 'in_progress');
      if (open.length === 0) return new Map(rows.map((row) => [row.dumpId, repairOf(row)]));
      showStep(
        io,
        `the running WikiSeed repairs: ${rows.length - open.length} of ${counted(rows.length, 'file')} done`,
      );
      await sleep(LOOK_AGAIN_MS, undefined, { signal: io.signal });
    }
  } finally {
    showStep(io, null);
    db.close();
  }
}

interface JobRow {
  dumpId: number;
  status: string;
  result: string | null;
  lastError: string | null;
}

function repairOf({ status, result, lastError }: JobRow): Repair {
  if (status !== 'completed' || result === null)
    return { state: 'failed', reason: lastError ?? `its job ended as ${status}` };
  const { state, reason } = JSON.parse(result) as Repair;
  return { state, reason };
}

/** One line that replaces itself on a terminal; null ends it. */
function showStep(io: CliIo, text: string | null): void {
  if (io.err.isTTY !== true) return;
  io.err.write(
    text === null ? '\r\u001b[K' : `\r${plainText(text).slice(0, (io.err.columns ?? 100) - 1)}\u001b[K`,
  );
}

function levelsOf(files: readonly VerifiedFile[]): Record<Level, number> {
  const levels = { sha1: 0, md5: 0, 'sha256-upstream': 0, 'structure-only': 0, unverified: 0 };
  for (const file of files) levels[isUnverified(file) ? 'unverified' : file.verification] += 1;
  return levels;
}

function asJson(files: readonly VerifiedFile[], repairs: ReadonlyMap<number, Repair>): object {
  const count = (state: VerifiedFile['state']): number => files.filter((file) => file.state === state).length;
  return {
    filesRead: files.length,
    bytesRead: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    sound: count('sound'),
    damaged: count('damaged'),
    unread: count('unread'),
    repaired: [...repairs.values()].filter(isHealed).length,
    levels: levelsOf(files),
    files: files.map((file) => ({ ...file, repair: repairs.get(file.id) ?? null })),
  };
}

function printResult(
  io: CliIo,
  files: readonly VerifiedFile[],
  { repairs, options }: { repairs: ReadonlyMap<number, Repair>; options: VerifyOptions },
): void {
  const line = (text: string): void => void io.out.write(`${plainText(text)}\n`);
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  line(
    `${counted(files.length, 'file')} read, ${formatBytes(bytes)}. They were proved, when they were fetched,`,
  );
  for (const [level, count] of Object.entries(levelsOf(files)))
    if (count > 0) line(`  ${String(count).padStart(7)} ${LEVELS[level as Level]}`);
  const bad = files.filter(({ state }) => state !== 'sound');
  if (bad.length === 0) {
    line('All of them are what is recorded.');
    return;
  }
  for (const file of bad.slice(0, LIST_MAX)) {
    line(`${file.localPath} (${file.verification}): ${wordsOf(file)}`);
    const repair = repairs.get(file.id);
    if (repair !== undefined) line(`  ${repairWords(repair)}`);
  }
  if (bad.length > LIST_MAX) line(`and ${bad.length - LIST_MAX} more; --json lists all`);
  const healed = [...repairs.values()].filter(isHealed).length;
  const left = bad.length - healed;
  line(
    healed > 0
      ? `${counted(healed, 'file')} repaired, ${left} left.`
      : `${counted(left, 'file')} left as they were found.`,
  );
  if (left > 0 && options.repair !== true) line('To put them right: wikiseed verify --repair');
  else if (left > 0) line('What nobody has now is tried again every day while the daemon runs.');
}

function wordsOf({ state, reason }: VerifiedFile): string {
  return state === 'unread' ? `could not be read: ${reason}` : `damaged: ${reason}`;
}

function repairWords({ state, reason }: Repair): string {
  switch (state) {
    case 'repaired':
      return 'repaired';
    case 'sound':
      return 'sound by now';
    case 'gone':
      return 'not held any more';
    case 'damaged':
      return 'not repaired: nobody who was asked has the right bytes now';
    case 'failed':
      return `not repaired: ${reason}`;
  }
}
