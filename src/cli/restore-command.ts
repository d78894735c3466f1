import { formatBytes } from '../lib/index.ts';
import { type Restored, restoreBackup } from '../maintenance/index.ts';
import { createNodeDisk, createSystemClock } from '../ports/index.ts';
import { showByteBar } from './backup-command.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { loadForCommand } from './load.ts';

/** `restore [name]`: puts a backup in the place of the database; without a name the newest good one. */
export async function restoreCommand(
  io: CliIo,
  name: string | undefined,
  options: { config?: string; json?: boolean; dryRun?: boolean },
): Promise<number> {
  const { config } = loadForCommand(io, options.config);
  const isDryRun = options.dryRun === true;
  const bar = showByteBar(io);
  const restored = await restoreBackup(
    { disk: createNodeDisk(), clock: createSystemClock(), dataDir: config.wikiseed.dataDir },
    { name: name ?? null, isDryRun, signal: io.signal, onProgress: bar.show },
  ).finally(bar.stop);
  if (options.json === true) printJson(io, { ...restored, isDryRun });
  else io.out.write(`${linesOf(restored, isDryRun).join('\n')}\n`);
  return EXIT.ok;
}

function linesOf(restored: Restored, isDryRun: boolean): string[] {
  const { backup, rejected, replacedPath, databaseBytes, schema, willMigrate } = restored;
  const madeAt = new Date(backup.madeAt).toISOString().slice(0, 19).replace('T', ' ');
  const facts = `${backup.name}, made ${madeAt} UTC, ${formatBytes(databaseBytes)}, schema ${schema}`;
  const lines = rejected.map(({ name, reason }) => `Passed over ${name}: ${reason}.`);
  if (isDryRun) return [...lines, `Would restore ${facts}. Nothing was changed.`];
  lines.push(`Restored ${facts}.`);
  if (replacedPath !== null) lines.push(`What was there before is kept in ${replacedPath}.`);
  lines.push(
    `Next: start "wikiseed run"${willMigrate ? '; it brings the database up to this version' : ''}. ` +
      'It looks at what is on disk and does again what happened after the backup.',
  );
  return lines;
}
