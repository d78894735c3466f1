import { type Command, Option } from 'commander';
import { backupCommand } from './backup-command.ts';
import { backupsCommand } from './backups-command.ts';
import { dbCommand } from './db-command.ts';
import type { CliIo } from './io.ts';
import { maintainCommand } from './maintain-command.ts';
import { rebuildCommand } from './rebuild-command.ts';
import { restoreCommand } from './restore-command.ts';

/** Adds the commands that look after our own database. `command` makes one that takes `--config`. */
export function addDatabaseCommands(
  io: CliIo,
  command: (name: string, description: string) => Command,
  setExitCode: (code: number) => void,
): void {
  command('backup', 'back up the database now, beside a running daemon or without one')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await backupCommand(io, options)));
  command('backups', 'list the copies of the database, newest first, and why each is kept')
    .option('--verify', 'read each from its first byte to its last')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await backupsCommand(io, options)));
  command(
    'restore',
    'put a backup in the place of the database; it is proved first, and what it replaces is kept',
  )
    .argument('[name]', 'a backup as "wikiseed backups" lists it; default: the newest good one')
    .option('--dry-run', 'say what it would do')
    .option('--json', 'print JSON')
    .action(async (name, options) => setExitCode(await restoreCommand(io, name, options)));
  command(
    'maintain',
    'look after the database now: checkpoint, analyze, integrity, retention, and vacuum when it is due',
  )
    .argument('[task...]', 'checkpoint, analyze, integrity, retention, vacuum, thresholds, lease_sweep')
    .option('--full', 'with vacuum: write the whole database anew, while no daemon runs')
    .addOption(
      new Option('--mode <mode>', 'of the checkpoint').choices(['passive', 'full', 'restart', 'truncate']),
    )
    .option('--json', 'print JSON')
    .action(async (tasks, options) => setExitCode(await maintainCommand(io, tasks, options)));
  command('db', 'what the database looks like, and what should be done about it')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await dbCommand(io, options)));
  command('rebuild', 'make the database again from the data directory and the local manifest')
    .option('--verify', 'read every held file again and compare its hashes')
    .option('--ignore-backups', 'go on although a backup could be restored')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await rebuildCommand(io, options)));
}
