import { dirname } from 'node:path';
import { describeError, formatBytes } from '../lib/index.ts';
import { type BackupEntry, listBackups, planOldBackups, verifyBackup } from '../maintenance/index.ts';
import { createNodeDisk, createSystemClock } from '../ports/index.ts';
import { showByteBar } from './backup-command.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';
import { formatTable } from './table.ts';
import { counted } from './words.ts';

/** What a copy is, for people. */
const KINDS: Readonly<Record<BackupEntry['kind'], string>> = {
  backup: 'backup',
  before_migration: 'before a migration',
  replaced: 'replaced by a restore',
};

/**
 * `backups`: every copy of the database there is, newest first, and why it is kept. With `verify` each is read from its first
 * byte to its last, but for replaced databases, which may well be damaged. Needs no database. Exit code 1 when `verify` found
 * one that cannot be restored.
 */
export async function backupsCommand(
  io: CliIo,
  options: { config?: string; json?: boolean; verify?: boolean },
): Promise<number> {
  const { config } = loadForCommand(io, options.config);
  const disk = createNodeDisk();
  const deps = { disk, clock: createSystemClock(), dataDir: config.wikiseed.dataDir };
  const outcomes = options.verify === true ? await verifyAll(io, deps) : null;
  const plan = await planOldBackups(deps, config.maintenance.keep);
  const fates = new Map([
    ...plan.keep.map(({ backup, reasons }) => [backup.name, reasons.join(', ')] as const),
    ...plan.remove.map(
      ({ backup, reason }) => [backup.name, `goes with the next backup: ${reason}`] as const,
    ),
  ]);
  const backups = [...plan.keep, ...plan.remove]
    .map(({ backup }) => backup)
    .sort((a, b) => b.madeAt - a.madeAt);
  const hasBad = outcomes !== null && [...outcomes.values()].some((outcome) => outcome !== null);

  if (options.json === true) {
    const listed = backups.map((backup) => ({
      ...backup,
      ...(outcomes?.has(backup.name)
        ? { isGood: outcomes.get(backup.name) === null, problem: outcomes.get(backup.name) ?? null }
        : {}),
      fate: fates.get(backup.name),
    }));
    printJson(io, { backups: listed });
  } else if (backups.length === 0) io.out.write('No backups. "wikiseed backup" makes one.\n');
  else {
    const rows = backups.map((backup) => [
      backup.name,
      new Date(backup.madeAt).toISOString().slice(0, 16).replace('T', ' '),
      formatBytes(backup.sizeBytes),
      backup.kind === 'backup' ? (backup.reason ?? '-') : KINDS[backup.kind],
      backup.schema === null ? '-' : String(backup.schema),
      stateOf(backup, outcomes),
      fates.get(backup.name) ?? '',
    ]);
    const heads = ['name', 'made (UTC)', 'size', 'reason', 'schema', 'state', 'kept or not'];
    const width = io.out.isTTY === true ? io.out.columns : undefined;
    io.out.write(
      `${formatTable(rows, { heads, numbers: [2, 4], flexible: [5, 6], ...(width === undefined ? {} : { width }) })}\n\n${placesOf(backups)}\n`,
    );
  }
  return hasBad ? EXIT.failed : EXIT.ok;
}

/** `3 copies in /data/backups, 1 copy in /data/db` */
function placesOf(backups: readonly BackupEntry[]): string {
  const places = Map.groupBy(backups, ({ path }) => dirname(path));
  return [...places]
    .map(([folder, held]) => `${counted(held.length, 'copy', 'copies')} in ${folder}`)
    .join(', ');
}

/** Name -> what is wrong with it, null for a good one. */
async function verifyAll(
  io: CliIo,
  deps: Parameters<typeof verifyBackup>[0],
): Promise<Map<string, string | null>> {
  const outcomes = new Map<string, string | null>();
  for (const { name, kind } of await listBackups(deps.disk, deps.dataDir)) {
    if (kind === 'replaced') continue;
    const bar = showByteBar(io);
    try {
      const proof = await verifyBackup(deps, name, { signal: io.signal, onProgress: bar.show });
      outcomes.set(name, proof.ok ? null : proof.reason);
    } catch (error) {
      if (io.signal.aborted) throw error;
      // A bad sector in one says nothing of the others.
      outcomes.set(name, describeError(error));
    } finally {
      bar.stop();
    }
  }
  return outcomes;
}

function stateOf(backup: BackupEntry, outcomes: ReadonlyMap<string, string | null> | null): string {
  const outcome = outcomes?.get(backup.name);
  const state = outcome === null ? 'good' : outcome === undefined ? backup.state : 'BAD';
  const remark = outcome ?? backup.remark;
  return remark === null ? state : `${state}: ${remark}`;
}
