import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../app.ts';
import { createCatalog } from '../catalog/index.ts';
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
import { recordDamage } from './verify-record.ts';
import { asJson, isHealed, isSoundByNow, printResult, type Repair } from './verify-text.ts';
import { counted, isDay } from './words.ts';

/** What the command understands. */
export interface VerifyOptions {
  config?: string;
  repair?: boolean;
  wiki?: string;
  cycle?: string;
  json?: boolean;
}

const LOOK_AGAIN_MS = 500;
/** A repair that rests longer than this, for example until a newer version of its file was fetched, is not waited for. */
const PUT_OFF_MS = 5 * 60_000;
/** `verify`: reads held files again and records what is damaged; with `--repair` damaged ones are put right. @returns 0 sound, 1 damage left or unread */
export async function verifyCommand(io: CliIo, options: VerifyOptions): Promise<number> {
  if (options.cycle !== undefined && !isDay(options.cycle))
    throw new UsageError(`${options.cycle} is not the date of a cycle`, 'Write it as YYYY-MM-DD.');
  const loaded = loadForCommand(io, options.config);
  const files = await readAll(io, loaded, options);
  const damaged = files.filter(({ state }) => state === 'damaged');
  const recorded = await recordDamage(io, loaded, damaged);
  // Who put one right by hand is told so: the repair reads it and takes it for sound.
  const toRepair = [...damaged, ...files.filter(isSoundByNow)];
  const repairs =
    options.repair === true && toRepair.length > 0
      ? await repairAll(io, loaded, toRepair)
      : new Map<number, Repair>();
  if (options.json === true) printJson(io, asJson(files, { repairs, recorded }));
  else printResult(io, files, { repairs, recorded, isRepair: options.repair === true });
  const isLeft = (file: VerifiedFile): boolean =>
    file.state === 'unread' || (file.state === 'damaged' && !isHealed(repairs.get(file.id)));
  return files.some(isLeft) ? EXIT.failed : EXIT.ok;
}

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
      'SELECT dump_id AS dumpId, status, result, last_error AS lastError, next_retry_at AS nextAt FROM jobs WHERE id = ?',
    );
    for (;;) {
      const rows = jobIds.flatMap((id) => ask.get(id) ?? []);
      const open = rows.filter(
        ({ status, nextAt }) =>
          status === 'in_progress' || (status === 'pending' && nextAt <= Date.now() + PUT_OFF_MS),
      );
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
  /** Epoch ms. */
  nextAt: number;
}

function repairOf({ status, result, lastError }: JobRow): Repair {
  if (status === 'pending')
    return {
      state: 'failed',
      reason: `${lastError ?? 'it was put off, perhaps for a newer version of the file'}; it is tried again by itself`,
    };
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
