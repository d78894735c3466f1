import type { Command } from 'commander';
import { coverageCommand } from './coverage-command.ts';
import { cyclesCommand } from './cycles-command.ts';
import type { CliIo } from './io.ts';
import { planCommand } from './plan-command.ts';
import { wikisCommand } from './wikis-command.ts';

/** Commands that say what is known, wanted and safe: they change nothing. */
export function addCatalogCommands(
  io: CliIo,
  command: (name: string, description: string) => Command,
  setExitCode: (code: number) => void,
): void {
  command('plan', 'what would be fetched for a cycle, what not, and why; changes nothing')
    .option('--cycle <date>', 'of this cycle, YYYY-MM-DD; default: the newest one that is open or due')
    .option('--ask', 'ask upstream now, even when the last looks would do')
    .option('--wiki <glob>', 'every file of these wikis, for example "be_*"')
    .option('--all', 'every file of every wiki')
    .option('--json', 'print JSON, always with every file')
    .action(async (options) => setExitCode(await planCommand(io, options)));
  command('wikis', 'list wikis: whether they are taken, and why')
    .option('--excluded', 'only those that are not taken')
    .option('--vanished', 'only those that the site matrix names no more')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await wikisCommand(io, options)));
  const cycles = command('cycles', 'list cycles; show one')
    .argument('[date]', 'show this cycle, YYYY-MM-DD')
    .option('--all', 'with a date: list every gap and every file')
    .option('--json', 'print JSON')
    .action(async (date, options) => setExitCode(await cyclesCommand(io, date, options)));
  // Options that `cycles` has too are read by it, wherever they stand: both are asked for.
  cycles
    .command('show')
    .description('runs, files, gaps with their reasons, replaced files and supplements of a cycle')
    .argument('<date>', 'YYYY-MM-DD')
    .option('-c, --config <file>', 'configuration file')
    .option('--all', 'list every gap and every file')
    .option('--json', 'print JSON')
    .action(async (date, _, sub: Command) =>
      setExitCode(await cyclesCommand(io, date, sub.optsWithGlobals())),
    );
  command('coverage', 'the newest verified copy of every project in every language')
    .option('--project <name>', 'only of this project, for example wiktionary')
    .option('--missing', 'only wikis without a verified copy')
    .option('--csv', 'print comma-separated values (RFC 4180)')
    .option('--json', 'print JSON')
    .action(async (options) => setExitCode(await coverageCommand(io, options)));
}
